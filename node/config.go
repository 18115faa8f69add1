package node

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"time"

	"baton/node/broker/policy"
	"baton/repl/quorum"
	"baton/store/vfs"
)

// Defaults of the settings that operators change most.
const (
	DefaultSessionTimeout  = 4 * time.Second
	DefaultElectionTimeout = time.Second
	DefaultQuorumTimeout   = 10 * time.Second
	DefaultSegmentSize     = 64 << 20
	DefaultRetainBytes     = 1 << 30
	DefaultDedupWindow     = 10 * time.Minute
	DefaultDedupCount      = 1_000_000
	DefaultScrubRate       = 4 << 20
	compactSegments        = 8
)

// Config of a Node. The zero value of a field means its default; Validate
// says which have none.
type Config struct {
	ID       string // node id, unique in the cluster, the same at every start
	Group    string // name of the cluster in the member nodes, default "baton"
	DataDir  string
	FS       vfs.FS // of DataDir; nil: the operating system's
	Replicas int    // configured size of the cluster, default 3
	Sync     string // sync policy, default quorum_disk
	Weight   int    // breaks ties in an election, default 1

	ZK             []string // host:port of the ZooKeeper servers
	ZKPath         string   // default /baton
	ZKPassword     string
	SessionTimeout time.Duration // default 4 s; servers clamp it

	ListenStomp string // opened only while leading
	ListenRepl  string
	ListenAdmin string
	// Advertise* are told to others in place of the listener's address.
	AdvertiseStomp string
	AdvertiseRepl  string
	AdvertiseAdmin string
	// ReplVia maps a node id to the address to dial in place of the one that
	// this node advertises: for address translation and for tests.
	ReplVia map[string]string

	Token           string        // shared secret of the cluster, proved and never sent
	AdminToken      string        // bearer token of the control verbs
	ElectionTimeout time.Duration // election-timeout, default 1 s
	QuorumTimeout   time.Duration // how long a producer waits for a quorum, default 10 s
	SegmentSize     int64         // default 64 MiB
	// RetainBytes is how much log that no queue needs any more a leader keeps
	// for members that lack it, default 1 GiB.
	RetainBytes int64
	// CompactBytes is how much log the oldest messages may keep behind them
	// before they are moved up, default 8 segments.
	CompactBytes int64
	// DedupWindow, DedupCount and DedupBytes bound how long the id that a
	// producer gave to a message suppresses another one of the same id: until
	// it is so old, default 10 minutes, until there are so many newer ones,
	// default 1,000,000, or until so much log lies behind it, default as
	// CompactBytes. The log keeps what came since the oldest id.
	DedupWindow time.Duration
	DedupCount  int64
	DedupBytes  int64
	// RetentionInterval is how often the node looks what it can free, default
	// 1 s.
	RetentionInterval time.Duration
	// ScrubRate is how fast the log is read to find damage, in bytes per second,
	// default 4 MiB.
	ScrubRate int64
	// ScrubPause is the least time between the beginnings of two readings of the
	// whole log, default 1 min.
	ScrubPause time.Duration
	Limits     Limits // of clients
	// StoreLimit is how many bytes all queues may hold before producers wait,
	// default 0: any.
	StoreLimit int64
	// Policies of queues and topics, while this node leads. Give all nodes the
	// same.
	Policies policy.Table

	Version string // shown in the status
	Logger  *slog.Logger
}

// idPattern keeps node ids usable in znodes, file names, flags and metrics.
var idPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

func (c Config) withDefaults() Config {
	def := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	def(&c.Group, "baton")
	def(&c.Sync, "quorum_disk")
	def(&c.ZKPath, "/baton")
	def(&c.ListenStomp, "127.0.0.1:61613")
	def(&c.ListenRepl, "127.0.0.1:61619")
	def(&c.ListenAdmin, "127.0.0.1:61611")
	if c.Replicas == 0 {
		c.Replicas = 3
	}
	if c.Weight == 0 {
		c.Weight = 1
	}
	if c.SessionTimeout <= 0 {
		c.SessionTimeout = DefaultSessionTimeout
	}
	if c.ElectionTimeout <= 0 {
		c.ElectionTimeout = DefaultElectionTimeout
	}
	if c.QuorumTimeout <= 0 {
		c.QuorumTimeout = DefaultQuorumTimeout
	}
	if c.SegmentSize == 0 {
		c.SegmentSize = DefaultSegmentSize
	}
	if c.RetainBytes == 0 {
		c.RetainBytes = DefaultRetainBytes
	}
	if c.CompactBytes == 0 {
		c.CompactBytes = compactSegments * c.SegmentSize
	}
	if c.DedupWindow == 0 {
		c.DedupWindow = DefaultDedupWindow
	}
	if c.DedupCount == 0 {
		c.DedupCount = DefaultDedupCount
	}
	if c.DedupBytes == 0 {
		c.DedupBytes = c.CompactBytes
	}
	if c.RetentionInterval <= 0 {
		c.RetentionInterval = time.Second
	}
	if c.ScrubRate == 0 {
		c.ScrubRate = DefaultScrubRate
	}
	if c.ScrubPause <= 0 {
		c.ScrubPause = time.Minute
	}
	c.Limits = c.Limits.withDefaults()
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate says in one sentence per option what cannot work.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !idPattern.MatchString(c.ID) {
		bad("--id is %q: a node id has 1 to 63 letters, digits, dots, dashes or underscores and begins with a letter or digit", c.ID)
	}
	if c.DataDir == "" {
		bad("--data-dir is missing: say where this node keeps its data")
	}
	if len(c.ZK) == 0 {
		bad("--zk is missing: give the ZooKeeper servers as host:port,host:port (start one for development with: baton zk)")
	}
	for _, a := range c.ZK {
		if _, _, err := net.SplitHostPort(a); err != nil {
			bad("--zk has %q, which is not host:port", a)
		}
	}
	if !strings.HasPrefix(c.ZKPath, "/") || c.ZKPath == "/" || strings.HasSuffix(c.ZKPath, "/") || strings.Contains(c.ZKPath, "//") {
		bad("--zk-path is %q: it begins with / and does not end with one, as in /baton", c.ZKPath)
	}
	if c.Replicas < 1 || c.Replicas > 99 {
		bad("--replicas is %d: it is the configured size of the cluster, 1 to 99, usually 3", c.Replicas)
	}
	if c.RetainBytes < 0 {
		bad("--retain-bytes is %d: it is a number of bytes", c.RetainBytes)
	}
	if c.ScrubRate < 0 {
		bad("--scrub-rate is %d: it is a number of bytes per second", c.ScrubRate)
	}
	if c.StoreLimit < 0 {
		bad("--store-limit is %d: it is a number of bytes", c.StoreLimit)
	}
	if c.CompactBytes < 0 {
		bad("--compact-bytes is %d: it is a number of bytes", c.CompactBytes)
	}
	if c.DedupWindow < 0 || c.DedupCount < 0 || c.DedupBytes < 0 {
		bad("--dedup-window is %s, --dedup-count %d, --dedup-bytes %d: none of them can be negative", c.DedupWindow, c.DedupCount, c.DedupBytes)
	}
	errs = append(errs, c.Limits.validate()...)
	if _, err := quorum.Parse(c.Sync); err != nil {
		bad("--sync: %w", err)
	}
	for name, a := range map[string]string{"--listen-stomp": c.ListenStomp, "--listen-repl": c.ListenRepl, "--listen-admin": c.ListenAdmin} {
		if err := c.checkListen(name, a); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return configError{errors.Join(errs...)}
	}
	return nil
}

// ErrConfig means that an option cannot work; the text says which and why.
var ErrConfig = errors.New("node: bad configuration")

// configError is an ErrConfig whose text is the sentences for the operator.
type configError struct{ error }

func (configError) Is(target error) bool { return target == ErrConfig }
func (e configError) Unwrap() error      { return e.error }

// checkListen refuses what would open a port to everyone without a secret.
func (c Config) checkListen(name, addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%s is %q, which is not host:port", name, addr)
	}
	ip := net.ParseIP(host)
	loopback := host == "localhost" || ip != nil && ip.IsLoopback()
	switch {
	case loopback:
		return nil
	case name == "--listen-repl" && c.Token == "":
		return fmt.Errorf("%s %s is reachable from outside: give the cluster a shared secret with --token-file, or listen on 127.0.0.1", name, addr)
	case name == "--listen-admin" && c.AdminToken == "":
		return fmt.Errorf("%s %s is reachable from outside: give it a token with --admin-token-file, or listen on 127.0.0.1", name, addr)
	case name == "--listen-stomp":
		return fmt.Errorf("%s %s is reachable from outside, and this version has neither client logins nor TLS: listen on 127.0.0.1", name, addr)
	}
	return nil
}
