package tuitest

import (
	"fmt"
	"math"
	"strings"
	"time"

	"baton/demo/failover"
	"baton/node/adminapi"
	"baton/tui/data"
)

const ms = time.Millisecond

// CatchingUp has n3 receive what it missed.
func CatchingUp() *data.Snapshot {
	s := Healthy()
	s.Chains.Replicas = 2
	n := &s.Nodes[2]
	n.CPU, n.Status.StartedAt, n.Status.PID = 9, at.Add(-9*time.Second), 4790
	n.Status.State, n.Status.Positions.Append = adminapi.StateCatchingUp, position-146_233
	s.Processes[2].PID = 4790
	n.Lag = flat(240, 0)
	for i := range n.Lag {
		switch {
		case i < 150:
			n.Lag[i] = math.NaN()
		default:
			n.Lag[i] = 1_048_210 * math.Exp(-float64(i-150)/45)
		}
	}
	f := follower(s, 0, "n3")
	f.State, f.LagBytes, f.LagSeconds = adminapi.StateCatchingUp, 146_233, 6.2
	f.Flushed, f.Received, f.Next = position-146_233, position-140_000, position-120_000
	f.CatchUp = &adminapi.CatchUp{From: 0, To: position, Done: position - 146_233, Rate: 41 << 20, ETASecs: 3}
	s.Nodes[0].Status.Quorum.Have = 2
	s.Nodes[0].Status.Quorum.Missing = []string{"n3"}
	s.Failovers = []failover.Run{run(1, 14*time.Minute, "kill n3", 12*ms, 21*ms, 30*ms, 62*ms, 96*ms)}
	events(s,
		"-9s n3 console.action you: start n3",
		"-8.4s n3 zk.joined n3 joined as 0000000024",
		"-8.1s n1 repl.follower_attached n3 attached from 127.0.0.1:40022",
		"-8.0s n3 repl.catch_up n3 continues from 0, 1 048 210 bytes to go")
	return s
}

// killed takes n1 away, ago before now.
func killed(s *data.Snapshot, ago time.Duration) {
	n := &s.Nodes[0]
	n.Fresh, n.SeenAt, n.Error, n.Refused = data.Stale, at.Add(-ago), "connection refused", true
	n.CPU, n.InRate, n.OutRate = -1, -1, -1
	s.Processes[0].State, s.Processes[0].Since, s.Processes[0].Exit = data.ProcessExited, at.Add(-ago), "killed (SIGKILL)"
	s.Tree.Members = s.Tree.Members[1:]
	n.Lag = nil
}

// Failover is 71 ms after a kill: elected, not yet promoted.
func Failover() *data.Snapshot {
	s := Healthy()
	killed(s, 71*ms)
	for i := 1; i < 3; i++ {
		n := &s.Nodes[i]
		n.Status.Role, n.Status.State, n.Status.Sealed, n.Status.Link.Connected = adminapi.RoleElecting, adminapi.StateSealed, 8, false
		s.Tree.Members[i-1].Sealed = 8
	}
	s.Tree.Epoch, s.Tree.Phase, s.Tree.Leader = 8, "elected", "n2"
	s.InRate, s.OutRate = append(s.InRate, 0, 0), append(s.OutRate, 0, 0)
	s.Ledger.InDoubt = 3
	s.QueuesAt = at.Add(-171 * ms)
	s.Failovers = []failover.Run{run(1, 14*time.Minute, "kill n3", 12*ms, 21*ms, 30*ms, 62*ms, 96*ms), run(2, 71*ms, "kill n1", 12*ms, 24*ms, 33*ms)}
	events(s,
		"-71ms n1 console.action you: kill n1",
		"-59ms n2 election.suspected n2 suspects the leader of epoch 7",
		"-47ms n3 election.quorum_sealed 2 of 3 members sealed epoch 8",
		"-38ms n2 election.elected n2 leads epoch 8: highest position, lowest number")
	return s
}

// FailedOver is two seconds after the same failover ended.
func FailedOver() *data.Snapshot {
	s := Healthy()
	killed(s, 2*time.Second)
	s.Nodes[0].Fresh = data.Unknown
	s.Tree = tree(8, "elected", "n2", 3)
	s.Tree.Members = s.Tree.Members[1:]
	for i := 1; i < 3; i++ {
		s.Nodes[i].Status.Epoch, s.Nodes[i].Status.Leader, s.Nodes[i].Status.Sealed = 8, "n2", 8
	}
	s.Nodes[2].Status.Link.Leader = "n2"
	lead(s, 1, 8)
	s.Ledger.InDoubt = 3
	s.Failovers = []failover.Run{run(1, 14*time.Minute, "kill n3", 12*ms, 21*ms, 30*ms, 62*ms, 96*ms), run(2, 2*time.Second, "kill n1", 12*ms, 24*ms, 33*ms, 66*ms, 93*ms)}
	events(s,
		"-2s n1 console.action you: kill n1",
		"-1.988s n2 election.suspected n2 suspects the leader of epoch 7",
		"-1.976s n3 election.quorum_sealed 2 of 3 members sealed epoch 8",
		"-1.967s n2 election.elected n2 leads epoch 8: highest position, lowest number",
		"-1.934s n2 election.serving n2 serves clients in epoch 8",
		"-1.907s n2 election.first_receipt first receipt of epoch 8")
	return s
}

// NoQuorum has the leader alone.
func NoQuorum() *data.Snapshot {
	s := Healthy()
	for i := 1; i < 3; i++ {
		n := &s.Nodes[i]
		n.Fresh, n.SeenAt, n.CPU, n.Refused, n.Error = data.Unknown, at.Add(-4200*ms), -1, true, "connection refused"
		s.Processes[i].State, s.Processes[i].Since, s.Processes[i].Exit = data.ProcessExited, at.Add(-4200*ms), "killed (SIGKILL)"
		n.Lag = append(flat(220, 0), math.NaN(), math.NaN(), math.NaN(), math.NaN())
	}
	s.Tree.Members = s.Tree.Members[:1]
	lead(s, 0, 7)
	l := &s.Nodes[0]
	l.Status.State, l.InRate, l.OutRate = adminapi.StateNoQuorum, 0, 0
	l.Status.Counters.NoQuorumMS, l.Status.Quorum.Missing = 4200, []string{"n2", "n3"}
	s.InRate = append(wave(220, 1250, 90), flat(17, 0)...)
	s.Ledger.InDoubt, s.Ledger.Rate = 12, 0
	events(s, "-4.2s n2 console.action you: kill n2", "-4.1s n3 console.action you: kill n3",
		"-4.0s n1 quorum.lost no quorum: n2 and n3 are missing; producers wait")
	return s
}

// ZooKeeperDown has a cluster that serves and cannot fail over.
func ZooKeeperDown() *data.Snapshot {
	s := Healthy()
	s.Tree.At, s.Tree.Error = at.Add(-6500*ms), "dial tcp 127.0.0.1:61610: connect: connection refused"
	for i := range s.Nodes {
		s.Nodes[i].Status.ZooKeeper.Connected = false
	}
	s.Processes[3].State, s.Processes[3].Exit, s.Processes[3].Since = data.ProcessExited, "killed (SIGKILL)", at.Add(-6500*ms)
	events(s, "-6.5s zookeeper console.action you: kill zookeeper", "-6.4s n1 zk.disconnected ZooKeeper is away: n1 keeps serving", "-6.4s n2 zk.disconnected ZooKeeper is away")
	return s
}

// Paused has n3 stopped by SIGSTOP.
func Paused() *data.Snapshot {
	s := Healthy()
	n := &s.Nodes[2]
	n.Fresh, n.SeenAt, n.CPU, n.Error = data.Unknown, at.Add(-3600*ms), -1, "context deadline exceeded"
	s.Processes[2].State, s.Processes[2].Since = data.ProcessPaused, at.Add(-3600*ms)
	f := follower(s, 0, "n3")
	f.State, f.LagBytes, f.LagSeconds = adminapi.StateLagging, 1_120_000, 3.6
	n.Lag = append(flat(226, 0), 50e3, 130e3, 210e3, 290e3, 370e3, 450e3, 530e3, 610e3, 690e3, 770e3, 850e3, 930e3, 1010e3, 1120e3)
	s.Nodes[0].Status.Quorum.Have, s.Nodes[0].Status.Quorum.Missing = 2, []string{"n3"}
	events(s, "-3.6s n3 console.action you: pause n3", "-2.6s n1 repl.follower_lost n3 was not heard for 1 s")
	return s
}

// StaleLeader has a leader on somebody else's cluster that stopped answering.
func StaleLeader() *data.Snapshot {
	s := Attached()
	n := &s.Nodes[0]
	n.Fresh, n.SeenAt, n.CPU, n.InRate, n.OutRate, n.Error = data.Stale, at.Add(-1700*ms), -1, -1, -1, "context deadline exceeded"
	s.QueuesAt = at.Add(-1700 * ms)
	s.Nodes[2].Fresh, s.Nodes[2].SeenAt, s.Nodes[2].Error = data.Unknown, at.Add(-5200*ms), "i/o timeout"
	s.Nodes[2].CPU = -1
	return s
}

// Attached is a cluster of somebody else: no processes, no load generator.
func Attached() *data.Snapshot {
	s := Healthy()
	s.Launched, s.Processes, s.Ledger, s.Cluster = false, nil, data.Ledger{}, "prod-eu"
	return s
}

// Starting is a launched cluster in its first moments.
func Starting() *data.Snapshot {
	s := &data.Snapshot{At: at, Cluster: "demo", Launched: true}
	for i := 1; i <= 3; i++ {
		s.Nodes = append(s.Nodes, data.Node{ID: id(i), Admin: "127.0.0.1:1", CPU: -1, InRate: -1, OutRate: -1, ByteRate: -1})
		s.Processes = append(s.Processes, data.Process{Name: id(i), Kind: "node", State: data.ProcessStarting, PID: 4710 + i, Since: at.Add(-200 * ms)})
	}
	return s
}

// Empty is what is known before anything is.
func Empty() *data.Snapshot { return &data.Snapshot{At: at, Cluster: "demo"} }

// Five has more nodes than cards fit side by side on 80 columns.
func Five() *data.Snapshot {
	s := Healthy()
	s.Tree = tree(7, "elected", "n1", 5)
	for i := 4; i <= 5; i++ {
		s.Nodes = append(s.Nodes, node(i, 5))
		s.Processes = append(s.Processes, data.Process{Name: id(i), Kind: "node", State: data.ProcessRunning, PID: 4710 + i})
	}
	for i := range s.Nodes {
		s.Nodes[i].Status.Quorum = adminapi.Quorum{Replicas: 5, Size: 3}
	}
	lead(s, 0, 7)
	return s
}

// Hostile is full of text that tries to leave its place, as if it had not been
// cleaned on its way in.
func Hostile() *data.Snapshot {
	s := Healthy()
	evil := "\x1b[2J\x1b[31mA\x1b]0;owned\x07\u202eB\r\n\x00\u200fC\u009b31m日本" + strings.Repeat("長", 200)
	s.Cluster = evil
	for i := range s.Nodes {
		n := &s.Nodes[i]
		n.Status.Reason, n.Error, n.Status.Sync, n.Status.Addresses.Stomp = evil, evil, evil, evil
		n.Status.Role, n.Status.State = adminapi.RoleElecting, evil
	}
	s.Nodes[1].ID, s.Processes[2].Exit, s.Processes[2].State = evil, evil, data.ProcessExited
	s.Tree.Path, s.Tree.Error, s.Tree.Members[0].Node, s.Tree.Members[1].Session = evil, evil, evil, evil
	for i := range s.Queues {
		s.Queues[i].Name = fmt.Sprint(i, evil)
		s.Queues[i].Depth, s.Queues[i].InRate = math.MaxUint64, math.Inf(1)
	}
	for i := range s.Events {
		s.Events[i].Text, s.Events[i].Node, s.Events[i].Kind = evil, evil, evil
	}
	s.Failovers = []failover.Run{run(1, time.Second, evil, 0, 0)}
	return s
}

// Ensemble is a healthy cluster on three ZooKeeper servers, of which one is down.
func Ensemble() *data.Snapshot {
	s := Healthy()
	s.Processes = s.Processes[:3]
	s.Servers = nil
	for i, mode := range []string{"follower", "", "leader"} {
		name, address := fmt.Sprintf("zookeeper%d", i+1), fmt.Sprintf("127.0.0.1:%d", 61610+10*i)
		p := data.Process{Name: name, Kind: data.KindZooKeeper, State: data.ProcessRunning, PID: 4700 + i, Since: at.Add(-843 * time.Second), Mode: mode}
		server := data.Server{Address: address, At: at.Add(-time.Second), Mode: mode, Version: "3.8.0", Connections: 2 + i, NodeCount: 11, Zxid: "0x10000002f", LatencyMS: 0.2, Took: 600 * time.Microsecond}
		if mode == "" {
			p.State, p.PID, p.Exit, p.Since = data.ProcessExited, 0, "signal killed", at.Add(-7*time.Second)
			server = data.Server{Address: address, At: at.Add(-9 * time.Second), Error: "dial tcp " + address + ": connect: connection refused"}
		}
		s.Processes, s.Servers = append(s.Processes, p), append(s.Servers, server)
	}
	s.Links = nil
	for _, l := range links(3) {
		if l.Kind != data.LinkZooKeeper {
			s.Links = append(s.Links, l)
			continue
		}
		for i := range 3 {
			l.To, l.Connections = fmt.Sprintf("zookeeper%d", i+1), 0
			if i == 2 {
				l.Connections = 1
			}
			s.Links = append(s.Links, l)
		}
	}
	return s
}
