// Package tuitest has a cluster that is not there: scripted states for golden
// frames and a Source that lives through a failover, for looking at the console
// without one. Its figures are invented; nothing outside tests may show them.
package tuitest

import (
	"fmt"
	"math"
	"time"

	"baton/demo/failover"
	"baton/node/adminapi"
	"baton/tui/data"
)

// at is the clock of all scripted states.
var at = time.Date(2026, 5, 14, 12, 41, 7, 0, time.UTC)

// At is the moment that the scripted states show.
func At() time.Time { return at }

// State is one scripted condition of a cluster.
type State struct {
	Name string
	Snap *data.Snapshot
}

// States returns every scripted state, made anew.
func States() []State {
	var out []State
	for _, s := range []struct {
		name string
		make func() *data.Snapshot
	}{
		{"healthy", Healthy}, {"catching-up", CatchingUp}, {"failover", Failover}, {"failed-over", FailedOver},
		{"no-quorum", NoQuorum}, {"zk-down", ZooKeeperDown}, {"paused", Paused}, {"stale", StaleLeader},
		{"attached", Attached}, {"starting", Starting}, {"empty", Empty}, {"five", Five}, {"hostile", Hostile},
		{"story", Story}, {"lesson", Lesson}, {"disturbed", Disturbed}, {"replayed", Replayed}, {"foreign", Foreign}, {"ensemble", Ensemble},
	} {
		snap := s.make()
		snap.Derive()
		out = append(out, State{s.name, snap})
	}
	return out
}

const position = 1_048_210

// Healthy is three nodes in sync, n1 leading.
func Healthy() *data.Snapshot {
	s := &data.Snapshot{
		At: at, Seq: 1, Cluster: "demo", Launched: true,
		QueuesOf: "n1", QueuesAt: at.Add(-100 * time.Millisecond), Queues: queues(),
		InRate: wave(240, 1250, 90), OutRate: wave(240, 1180, 60),
		Ledger:  data.Ledger{OK: true, Sent: 418_204, Receipted: 418_203, Received: 417_990, Rate: 1250},
		Tree:    tree(7, "elected", "n1", 3),
		Servers: servers(), Links: links(3), Chains: data.Chains{Replicas: 3, Position: 1_048_210},
	}
	for i := 1; i <= 3; i++ {
		s.Nodes = append(s.Nodes, node(i, 3))
		s.Processes = append(s.Processes, data.Process{Name: id(i), Kind: "node", State: data.ProcessRunning, PID: 4710 + i, Since: at.Add(-842 * time.Second)})
	}
	s.Processes = append(s.Processes, data.Process{Name: "zookeeper", Kind: data.KindZooKeeper, State: data.ProcessRunning, PID: 4700, Since: at.Add(-843 * time.Second)})
	lead(s, 0, 7)
	events(s,
		"-19s n1 zk.connected session 0x1b established with 127.0.0.1:61610",
		"-18s n1 election.elected n1 leads epoch 7: highest position of 3",
		"-17.9s n1 election.serving n1 serves clients in epoch 7",
		"-17.7s n1 election.first_receipt first receipt of epoch 7",
		"-17.2s n2 repl.in_sync n2 is in sync with n1",
		"-17.1s n3 repl.in_sync n3 is in sync with n1")
	return s
}

func id(i int) string { return fmt.Sprintf("n%d", i) }

// node is a follower of n1, in sync.
func node(i, replicas int) data.Node {
	base := 61610 + 10*(i-1)
	return data.Node{
		ID: id(i), Admin: fmt.Sprintf("127.0.0.1:%d", base+1), Fresh: data.Fresh, SeenAt: at.Add(-80 * time.Millisecond),
		CPU: 3, InRate: -1, OutRate: -1, ByteRate: 310_000, Lag: flat(240, 0),
		Status: adminapi.Status{
			Node: id(i), ClusterID: "c0ffee", Version: "1.0.0", PID: 4710 + i, StartedAt: at.Add(-842 * time.Second), Now: at,
			Role: adminapi.RoleFollower, State: adminapi.StateInSync, Leader: "n1", Epoch: 7, Sealed: 7,
			Addresses: adminapi.Addresses{Stomp: fmt.Sprintf("127.0.0.1:%d", base+3), Repl: fmt.Sprintf("127.0.0.1:%d", base+9), Admin: fmt.Sprintf("127.0.0.1:%d", base+1)},
			Positions: adminapi.Positions{Applied: position, Commit: position, Flush: position, Append: position},
			Sync:      "quorum_disk", Quorum: adminapi.Quorum{Replicas: replicas, Size: replicas/2 + 1},
			Link:      &adminapi.Link{Leader: "n1", Address: "127.0.0.1:61619", Connected: true, LastHeardMS: 40},
			ZooKeeper: adminapi.ZooKeeper{Path: "/baton/demo", Connected: true, Server: "127.0.0.1:61610", SessionID: fmt.Sprintf("0x1%x", 0xa+i), TimeoutMS: 4000, Eid: fmt.Sprintf("%010d", 20+i)},
			Process:   adminapi.Process{CPUSeconds: 31, RSSBytes: 48 << 20, Goroutines: 64, StoreBytes: 212 << 20, DiskFree: 98 << 30, DiskTotal: 100 << 30},
		},
	}
}

// lead makes a node the leader of an epoch and tells it of the others.
func lead(s *data.Snapshot, which int, epoch uint64) {
	l := &s.Nodes[which]
	l.Status.Role, l.Status.State, l.Status.Leader, l.Status.Epoch, l.Status.Link = adminapi.RoleLeader, adminapi.StateServing, l.ID, epoch, nil
	l.CPU, l.InRate, l.OutRate = 8, 1250, 1180
	l.Status.Clients = adminapi.Clients{Connections: 12, Subscriptions: 7}
	l.Status.Counters = adminapi.Counters{Enqueued: 418_203, Acked: 417_990, CommitP50: 1.1, CommitP99: 4}
	l.Status.Process.RSSBytes = 61 << 20
	l.Status.Followers = nil
	q := &l.Status.Quorum
	q.Have, q.OK = 1, false
	for i := range s.Nodes {
		if n := &s.Nodes[i]; i != which && n.Fresh == data.Fresh && n.Status.Role == adminapi.RoleFollower {
			l.Status.Followers = append(l.Status.Followers, adminapi.Follower{
				Node: n.ID, State: adminapi.StateInSync, Voter: true, Connected: true, Received: position, Flushed: position, Next: position, RTTMillis: 0.4,
			})
			q.Have++
		}
	}
	q.OK = q.Have >= q.Size
	s.QueuesOf = l.ID
}

// follower is the leader's word on one follower.
func follower(s *data.Snapshot, leader int, node string) *adminapi.Follower {
	fs := s.Nodes[leader].Status.Followers
	for i := range fs {
		if fs[i].Node == node {
			return &fs[i]
		}
	}
	return nil
}

func tree(epoch uint64, phase, leader string, n int) data.Tree {
	t := data.Tree{At: at.Add(-60 * time.Millisecond), Path: "/baton/demo", Server: "127.0.0.1:61610", SessionMS: 4000, Replicas: n, Epoch: epoch, Phase: phase, Leader: leader}
	for i := 1; i <= n; i++ {
		t.Registered = append(t.Registered, id(i))
		t.Members = append(t.Members, data.Member{
			Eid: fmt.Sprintf("%010d", 20+i), Node: id(i), Session: fmt.Sprintf("0x1%x", 0xa+i), Position: position, Epoch: epoch, Weight: 1, Sealed: epoch,
			Admin: fmt.Sprintf("127.0.0.1:%d", 61610+10*(i-1)+1),
		})
	}
	return t
}

func queues() []data.QueueRow {
	row := func(name string, depth uint64, in, out float64, consumers int, oldest int64, trend ...float64) data.QueueRow {
		return data.QueueRow{Queue: adminapi.Queue{Name: name, Depth: depth, Consumers: consumers, Pending: consumers * 8, OldestMS: oldest, Bytes: depth * 300}, InRate: in, OutRate: out, Trend: trend}
	}
	return []data.QueueRow{
		row("DLQ", 3, 0, 0, 0, 14_520_000, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3),
		row("audit.events", 90_211, 900, 610, 1, 134_000, 60e3, 63e3, 66e3, 70e3, 73e3, 76e3, 80e3, 83e3, 86e3, 90e3),
		row("mail.out", 0, 12, 12, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0),
		row("orders", 1204, 310, 305, 4, 3100, 400, 500, 500, 700, 800, 900, 900, 1000, 1100, 1204),
		row("payments", 88, 120, 120, 2, 200, 120, 118, 119, 117, 110, 100, 95, 90, 88, 88),
		row("日本語.キュー", 17, 2.5, 1.5, 1, 900, 1, 2, 3, 5, 8, 9, 11, 13, 15, 17),
	}
}

// events appends lines of the form "-19s node kind text".
func events(s *data.Snapshot, lines ...string) {
	for _, l := range lines {
		var ago, node, kind string
		var n int
		fmt.Sscanf(l, "%s %s %s%n", &ago, &node, &kind, &n)
		d, err := time.ParseDuration(ago)
		if err != nil {
			panic(err)
		}
		s.EventsAll++
		text := l[len(ago)+len(node)+len(kind)+3:]
		s.Events = append(s.Events, adminapi.Event{Seq: s.EventsAll, At: s.At.Add(d), Node: node, Kind: kind, Text: text})
	}
}

func flat(n int, v float64) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = v
	}
	return out
}

func wave(n int, mean, swing float64) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = mean + swing*math.Sin(float64(i)/9) + swing*0.4*math.Sin(float64(i)/2.3)
	}
	return out
}

// run is a failover from n1 to n2 whose fault was ago before now.
func run(id int, ago time.Duration, cause string, phases ...time.Duration) failover.Run {
	r := failover.Run{ID: id, Cause: cause, Fault: at.Add(-ago), LeaderBefore: "n1", EpochBefore: 7}
	for i, to := range []*time.Time{&r.Detected, &r.Sealed, &r.Elected, &r.Promoted, &r.FirstReceipt} {
		if i < len(phases) {
			*to = r.Fault.Add(phases[i])
		}
	}
	if len(phases) > 1 {
		r.Epoch = 8
	}
	if len(phases) > 2 {
		r.LeaderAfter = "n2"
	}
	return r
}
