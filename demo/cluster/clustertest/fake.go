// Package clustertest plays the program that a cluster runs, so that launching,
// breaking and judging can be tested without the broker: the subcommands zk
// and node with the flags of the real ones.
//
// A fake cluster elects by a file lock in the directory beside the nodes' data
// directories, which the kernel gives to the next node the moment the holder
// dies, and its "replication" is one journal in that directory. It pings
// ZooKeeper and its leader through whatever addresses it is told to, so a cut
// shows in its status.
package clustertest

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"baton/node/adminapi"
	"baton/node/client/clienttest"
	"baton/node/supervisor"
)

// Env makes a test binary play: TestMain calls Main if it is set. Its value is
// a comma list of quirks: "die" (node n2 fails at start), "forget" (a new
// leader does not know what the old one stored), "diverge" (n3 reports another
// hash), "mute" (never ready), "hold" (the first leader delivers nothing).
const Env = "BATON_TEST_CLUSTER"

// Main plays the program and returns its exit code.
func Main(args []string) int {
	var err error
	switch args[0] {
	case "zk":
		err = zk(args[1:])
	case "node":
		err = runNode(args[1:])
	default:
		err = fmt.Errorf("unknown subcommand %q", args[0])
	}
	if err != nil {
		fmt.Fprintln(os.Stdout, err) // the log of the process
		return 1
	}
	return 0
}

func quirk(name string) bool {
	for q := range strings.SplitSeq(os.Getenv(Env), ",") {
		if q == name {
			return true
		}
	}
	return false
}

func terminated() <-chan os.Signal {
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGTERM)
	return ch
}

// echo answers pings.
func echo(addr string) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(c, c); c.Close() }()
		}
	}()
	return nil
}

func ping(addr string) bool {
	c, err := net.DialTimeout("tcp", addr, 200*time.Millisecond)
	if err != nil {
		return false
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(200 * time.Millisecond))
	c.Write([]byte("x"))
	_, err = io.ReadFull(c, make([]byte, 1))
	return err == nil
}

func zk(args []string) error {
	fs := flag.NewFlagSet("zk", flag.ContinueOnError)
	listen := fs.String("listen", "", "")
	fs.String("data-dir", "", "")
	fd := fs.Int("parent-fd", 0, "")
	if err := fs.Parse(args); err != nil {
		return err
	}
	gone, err := supervisor.WatchParent(*fd)
	if err != nil {
		return err
	}
	if err := echo(*listen); err != nil {
		return err
	}
	select {
	case <-gone:
	case <-terminated():
	}
	return nil
}

type node struct {
	id, shared, zk    string
	stomp, repl, http string
	replicas          int
	via               map[string]string
	zkUp, linkUp      atomic.Bool
	started           time.Time
	release           chan struct{} // a transfer was asked for

	mu     sync.Mutex
	events []adminapi.Event
	server *clienttest.Server
	epoch  uint64 // led
}

// runDrill ends the process when its drill file says that the power is lost.
func runDrill(file string) {
	lost := func() string {
		var d struct {
			PowerLoss string `json:"power_loss"`
		}
		b, _ := os.ReadFile(file) // a file that is not there says nothing
		_ = json.Unmarshal(b, &d)
		return d.PowerLoss
	}
	for first := lost(); ; <-time.After(5 * time.Millisecond) {
		if now := lost(); now != "" && now != first {
			self, _ := os.FindProcess(os.Getpid())
			_ = self.Kill()
		}
	}
}

func runNode(args []string) error {
	n := &node{via: map[string]string{}, release: make(chan struct{}, 1), started: time.Now()}
	fs := flag.NewFlagSet("node", flag.ContinueOnError)
	fs.StringVar(&n.id, "id", "", "")
	dir := fs.String("data-dir", "", "")
	fs.StringVar(&n.zk, "zk", "", "")
	fs.String("zk-path", "", "")
	fs.IntVar(&n.replicas, "replicas", 0, "")
	fs.String("sync", "", "")
	fs.StringVar(&n.stomp, "listen-stomp", "", "")
	fs.StringVar(&n.repl, "listen-repl", "", "")
	fs.StringVar(&n.http, "listen-admin", "", "")
	fs.String("log-format", "", "")
	drill := fs.String("disk-drill", "", "")
	fs.String("zk-session-timeout", "", "")
	fs.String("election-timeout", "", "")
	via := fs.String("repl-via", "", "")
	fd := fs.Int("parent-fd", 0, "")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if quirk("die") && n.id == "n2" {
		return fmt.Errorf("cannot open the store")
	}
	for pair := range strings.SplitSeq(*via, ",") {
		if to, addr, ok := strings.Cut(pair, "="); ok {
			n.via[to] = addr
		}
	}
	gone, err := supervisor.WatchParent(*fd)
	if err != nil {
		return err
	}
	n.shared = filepath.Join(filepath.Dir(*dir), "shared")
	if err := os.MkdirAll(n.shared, 0o700); err != nil {
		return err
	}
	if err := echo(n.repl); err != nil {
		return err
	}
	if !quirk("mute") {
		ln, err := net.Listen("tcp", n.http)
		if err != nil {
			return err
		}
		go http.Serve(ln, n.handler())
	}
	n.event(adminapi.KindStarted, 0, nil)
	go n.runPings()
	go runDrill(*drill)
	failed := make(chan error, 1)
	go func() { failed <- n.runElections() }()
	select {
	case <-gone:
	case <-terminated():
	case err := <-failed:
		return fmt.Errorf("lead: %w", err)
	}
	return nil
}

func (n *node) event(kind string, epoch uint64, fields map[string]string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.events = append(n.events, adminapi.Event{
		Seq: uint64(len(n.events) + 1), At: time.Now(), Node: n.id, Kind: kind, Epoch: epoch, Text: n.id + " " + kind, Fields: fields,
	})
}

// current reads who leads in which epoch.
func (n *node) current() (epoch uint64, leader string) {
	b, _ := os.ReadFile(filepath.Join(n.shared, "leader"))
	fmt.Sscan(string(b), &epoch, &leader)
	return epoch, leader
}

func (n *node) runPings() {
	for {
		n.zkUp.Store(ping(strings.Split(n.zk, ",")[0]))
		_, leader := n.current()
		addr, ok := n.via[leader]
		n.linkUp.Store(ok && ping(addr))
		time.Sleep(20 * time.Millisecond) // a child process of a test, not a test
	}
}

func (n *node) runElections() error {
	for {
		lock, err := os.OpenFile(filepath.Join(n.shared, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
		if err == nil {
			err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX)
		}
		if err == nil {
			err = n.lead()
		}
		if err != nil {
			return err
		}
		lock.Close()
		time.Sleep(50 * time.Millisecond) // lets another node have the lock
	}
}

// lead serves until a transfer is asked for.
func (n *node) lead() error {
	old, _ := n.current()
	epoch := old + 1
	if old > 0 {
		n.event(adminapi.KindSuspected, old, nil)
	}
	n.event(adminapi.KindQuorumSealed, epoch, nil)
	n.event(adminapi.KindElected, epoch, map[string]string{"leader": n.id})
	name := filepath.Join(n.shared, "journal")
	b, err := os.ReadFile(name)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	if i := bytes.LastIndexByte(b, '\n'); i+1 < len(b) { // torn by a kill, so never confirmed
		b = b[:i+1]
		if err := os.Truncate(name, int64(len(b))); err != nil {
			return err
		}
	}
	if quirk("forget") {
		b = nil
	}
	journal, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer journal.Close()
	ln, err := net.Listen("tcp", n.stomp)
	if err != nil {
		return err
	}
	s, err := clienttest.New(clienttest.Config{Listener: ln, Journal: journal}, bytes.NewReader(b))
	if err != nil {
		return err
	}
	s.Hold(quirk("hold") && epoch == 1)
	if err := os.WriteFile(filepath.Join(n.shared, "leader"), fmt.Appendf(nil, "%d %s", epoch, n.id), 0o600); err != nil {
		return err
	}
	n.mu.Lock()
	n.server, n.epoch = s, epoch
	n.mu.Unlock()
	n.event(adminapi.KindServing, epoch, map[string]string{"leader": n.id})
	<-n.release
	n.mu.Lock()
	n.server = nil
	n.mu.Unlock()
	s.Close()
	n.event(adminapi.KindSteppedDown, epoch, nil)
	return nil
}

func (n *node) status() adminapi.Status {
	epoch, leader := n.current()
	s := adminapi.Status{
		Node: n.id, PID: os.Getpid(), StartedAt: n.started, Now: time.Now(), Leader: leader, Epoch: epoch,
		Addresses: adminapi.Addresses{Stomp: n.stomp, Repl: n.repl, Admin: n.http},
		Quorum:    adminapi.Quorum{Replicas: n.replicas, Size: n.replicas/2 + 1, Have: n.replicas, OK: true},
		ZooKeeper: adminapi.ZooKeeper{Connected: n.zkUp.Load()},
	}
	b, _ := os.ReadFile(filepath.Join(n.shared, "journal"))
	h := fnv.New64a()
	h.Write(b)
	if quirk("diverge") && n.id == "n3" {
		h.Write([]byte("x"))
	}
	s.Positions.Append, s.Positions.Commit, s.Positions.Applied = uint64(len(b)), uint64(len(b)), uint64(len(b))
	s.Chain = adminapi.Chain{Position: uint64(len(b)), Hash: fmt.Sprintf("%016x", h.Sum64())}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.server != nil:
		s.Role, s.State, s.Leader, s.Epoch = adminapi.RoleLeader, adminapi.StateServing, n.id, n.epoch
	case leader == "" || leader == n.id:
		s.Role, s.State = adminapi.RoleElecting, adminapi.StateWaiting
	case n.linkUp.Load():
		s.Role, s.State = adminapi.RoleFollower, adminapi.StateInSync
	default:
		s.Role, s.State = adminapi.RoleFollower, adminapi.StateProbing
	}
	return s
}

func (n *node) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { json.NewEncoder(w).Encode(n.status()) })
	mux.HandleFunc("POST /v1/transfer", func(w http.ResponseWriter, _ *http.Request) {
		n.mu.Lock()
		leads := n.server != nil
		n.mu.Unlock()
		if !leads {
			w.WriteHeader(http.StatusConflict)
			json.NewEncoder(w).Encode(adminapi.Error{Code: "not_leader", Message: n.id + " does not lead"})
			return
		}
		select {
		case n.release <- struct{}{}:
		default:
		}
	})
	mux.HandleFunc("GET /v1/events", func(w http.ResponseWriter, r *http.Request) {
		after, _ := strconv.ParseUint(r.URL.Query().Get("after"), 10, 64)
		n.stream(r.Context(), w, after)
	})
	return mux
}

func (n *node) stream(ctx context.Context, w http.ResponseWriter, after uint64) {
	flush := w.(http.Flusher).Flush
	flush()
	for ctx.Err() == nil {
		n.mu.Lock()
		news := append([]adminapi.Event(nil), n.events[min(int(after), len(n.events)):]...)
		n.mu.Unlock()
		for _, e := range news {
			b, _ := json.Marshal(e)
			fmt.Fprintf(w, "data: %s\n\n", b)
			after = e.Seq
		}
		if len(news) > 0 {
			flush()
		}
		time.Sleep(2 * time.Millisecond)
	}
}
