package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/google/uuid"

	"baton/node/admin"
	"baton/node/adminapi"
	"baton/node/events"
	"baton/node/metrics"
	"baton/repl"
	"baton/repl/quorum"
	"baton/store"
	"baton/store/record"
	"baton/store/wal"
	"baton/zkclient"
	"baton/zkclient/group"
)

// Node is one running broker node. Start it, then Run it.
type Node struct {
	cfg     Config
	policy  quorum.Policy
	process string // random, tells this process's member nodes from another's
	started time.Time
	events  *events.Ring
	mail    *mailbox

	store   *store.Store
	applier *applier
	server  *repl.Server
	admin   *admin.Server
	zk      *zkclient.Client
	group   *group.Group

	adminAddr, replAddr string
	files               files

	trimNow  chan struct{} // capacity 1: wakes runTrim
	refusals refusals
	held     heldSnapshots
	rates    rates

	wg     sync.WaitGroup // writes to ZooKeeper under way
	failed chan error     // capacity 1: the first error that ends the node
	stop   chan struct{}  // closed by Shutdown
	// The log was replaced, both of capacity 1: for kickOnWrites and runApplier.
	replaced chan struct{}
	once     sync.Once

	mu struct { // a leaf: nothing is called while it is held
		sync.Mutex
		role       roleStatus
		leadership *leadership
		follower   *repl.Follower
		process    adminapi.Process // refreshed at most once a second
		processAt  time.Time
		totals     totals
	}
}

// eventsKept is how many events a node remembers for consoles that come late.
const eventsKept = 4096

// Start opens the store and the ports and begins to join the cluster. It fails
// with one clear sentence on what an operator can mend: bad options, a
// directory that is in use or corrupt, a taken port. A ZooKeeper that does not
// answer is waited for.
func Start(cfg Config) (*Node, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	policy, err := quorum.Parse(cfg.Sync)
	if err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, policy: policy, process: uuid.NewString(), started: time.Now(), mail: newMailbox(), trimNow: make(chan struct{}, 1),
		events: events.New(cfg.ID, eventsKept, cfg.Logger), failed: make(chan error, 1), stop: make(chan struct{}),
		replaced: make(chan struct{}, 1)}
	n.refusals.n, n.held.n = n, n
	n.files = files{filesLimit(), cfg.Logger}
	n.mu.role = roleStatus{role: adminapi.RoleStarting}
	if err := n.open(); err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

// open starts the parts in their order. What it opened is closed by close.
func (n *Node) open() error {
	cfg := n.cfg
	if err := n.files.check(cfg.Limits.Connections); err != nil {
		return err
	}
	if err := portFree("--listen-stomp", cfg.ListenStomp); err != nil {
		return err
	}
	replLn, err := listen("--listen-repl", cfg.ListenRepl)
	if err != nil {
		return err
	}
	n.replAddr = replLn.Addr().String()
	adminLn, err := listen("--listen-admin", cfg.ListenAdmin)
	if err != nil {
		replLn.Close()
		return err
	}
	n.adminAddr = adminLn.Addr().String()
	n.events.Add(adminapi.KindStarted, 0, "started", "version", cfg.Version)

	n.store, err = store.Open(store.Config{Dir: cfg.DataDir, FS: cfg.FS, SegmentSize: cfg.SegmentSize, FlushInterval: n.flushInterval(),
		Quarantine: cfg.Replicas > 1, Logger: cfg.Logger})
	if err != nil {
		return errors.Join(err, replLn.Close(), adminLn.Close())
	}
	if err := n.store.SetIdentity("", cfg.ID); err != nil {
		return errors.Join(err, replLn.Close(), adminLn.Close())
	}
	n.noteRecovery()
	n.applier = newApplier(n.store)
	n.server, err = repl.NewServer(repl.ServerConfig{Listener: replLn, Identity: n.identity,
		Sealed: n.sealed, DeadAfter: cfg.ElectionTimeout, Refused: n.refusals.add, Logger: cfg.Logger})
	if err != nil {
		return errors.Join(err, replLn.Close(), adminLn.Close())
	}
	n.admin = admin.Start(admin.Config{Listener: guarded{adminLn, n.files}, Node: n, Operator: operator{n}, Events: n.events, Metrics: metrics.Handler(n),
		Token: cfg.AdminToken, Claimed: n.claimedBy, Logger: cfg.Logger})
	n.zk, err = zkclient.Connect(zkclient.Config{Servers: cfg.ZK, SessionTimeout: cfg.SessionTimeout, Password: cfg.ZKPassword, Logger: cfg.Logger})
	if err != nil {
		return err
	}
	n.group = group.New(group.Config{Client: n.zk, Path: cfg.ZKPath, GroupID: cfg.Group, Logger: cfg.Logger})
	return nil
}

// Run takes part in the cluster until ctx ends, Shutdown is called or the
// store fails, then stops everything. The error says why it failed; nil means
// that it was asked to stop.
func (n *Node) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var loops sync.WaitGroup
	loops.Go(func() { n.runApplier(ctx) })
	loops.Go(func() { n.runTrim(ctx) })
	loops.Go(func() { n.runScrub(ctx) })
	loops.Go(func() { n.runRole(ctx) })
	var err error
	select {
	case <-ctx.Done():
	case <-n.stop:
	case err = <-n.failed:
		n.events.Add(adminapi.KindFailed, 0, err.Error())
	}
	if err == nil {
		n.events.Add(adminapi.KindStopping, 0, "stopping")
		n.handOver()
	}
	cancel()
	loops.Wait()
	n.wg.Wait()
	n.close()
	return err
}

// Shutdown begins to stop the node and returns at once.
func (n *Node) Shutdown() { n.once.Do(func() { close(n.stop) }) }

// fail ends the node with its first error.
func (n *Node) fail(err error) {
	select {
	case n.failed <- err:
	default:
	}
}

// close stops what open started, in the opposite order.
func (n *Node) close() {
	log := func(what string, err error) {
		if err != nil {
			n.cfg.Logger.Warn("close", "what", what, slog.Any("err", err))
		}
	}
	if n.group != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if n.group.Snapshot().Connected {
			log("membership", n.group.Leave(ctx))
		}
		log("group", n.group.Close())
	}
	if n.zk != nil {
		log("zookeeper client", n.zk.Close())
	}
	if n.server != nil {
		log("replication listener", n.server.Close())
	}
	if n.admin != nil {
		log("admin listener", n.admin.Close())
	}
	n.held.close()
	if n.store != nil {
		log("store", n.store.Close())
	}
}

func (n *Node) noteRecovery() {
	rec := n.store.Recovered()
	p := n.store.Log().Positions()
	text := fmt.Sprintf("recovered a log of %d bytes in %s", p.Append-p.Start, rec.Took.Round(time.Millisecond))
	if rec.Log.TornBytes > 0 {
		text += fmt.Sprintf(", cut a torn tail of %d bytes", rec.Log.TornBytes)
	}
	if rec.Quarantined != "" {
		n.events.Add(adminapi.KindDamaged, 0, "its log is damaged and was moved aside, it joins as a new disk: "+rec.Quarantined)
	}
	if rec.LogLost {
		text += "; its log was gone, so it begins as a new disk"
	}
	if rec.IndexRebuilt != "" {
		text += "; the index was rebuilt: " + rec.IndexRebuilt
	}
	n.events.Add(adminapi.KindRecovered, uint64(p.Epoch), text, "append", fmt.Sprint(p.Append))
}

// flushInterval lets the log flush lazily when no policy waits for a disk.
func (n *Node) flushInterval() time.Duration {
	if n.policy&(quorum.LocalDisk|quorum.RemoteDisk|quorum.QuorumDisk) != 0 {
		return 0
	}
	return 50 * time.Millisecond
}

func (n *Node) identity() repl.Identity {
	m := n.store.Meta()
	return repl.Identity{ClusterID: m.ClusterID, Node: n.cfg.ID, Incarnation: m.Incarnation, Token: []byte(n.cfg.Token)}
}

// sealed is the highest epoch promised on disk.
func (n *Node) sealed() record.Epoch { return n.store.Meta().Sealed }

// knownCommit is how much of the own log is known to be committed.
func (n *Node) knownCommit() record.Position {
	return min(n.applier.position(), n.store.Log().Positions().Append)
}

// replLog is the log as replication may use it: a truncation goes through the
// applier, which keeps the index from pointing above the cut.
func (n *Node) replLog() repl.Log { return truncatingLog{n.store.Log(), n.applier} }

type truncatingLog struct {
	*wal.Log
	applier *applier
}

func (l truncatingLog) TruncateTo(to record.Position) error {
	return fullError(l.applier.truncate(to))
}

func (l truncatingLog) Append(epoch record.Epoch, commit record.Position, b *record.Batch) (record.Position, error) {
	end, err := l.Log.Append(epoch, commit, b)
	return end, fullError(err)
}

func (l truncatingLog) AppendUrgent(epoch record.Epoch, commit record.Position, b *record.Batch) (record.Position, error) {
	end, err := l.Log.AppendUrgent(epoch, commit, b)
	return end, fullError(err)
}

func (l truncatingLog) AppendRaw(b []byte) (record.Position, error) {
	end, err := l.Log.AppendRaw(b)
	return end, fullError(err)
}

// fullError is the log's word for a full disk in that of replication.
func fullError(err error) error {
	if errors.Is(err, wal.ErrFull) {
		return fmt.Errorf("%w: %w", repl.ErrFull, err)
	}
	return err
}

func (n *Node) setLeadership(l *leadership) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if l == nil && n.mu.leadership != nil {
		n.mu.totals.add(n.mu.leadership)
	}
	n.mu.leadership = l
}

func (n *Node) setFollower(f *repl.Follower) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mu.follower = f
}

func listen(flag, addr string) (net.Listener, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s (%s): %w; choose another address or stop what uses it", addr, flag, err)
	}
	return ln, nil
}

// portFree finds out at start, not at the first failover, that a port that
// is opened only while leading is taken.
func portFree(flag, addr string) error {
	ln, err := listen(flag, addr)
	if err != nil {
		return err
	}
	return ln.Close()
}
