package tuitest

import (
	"fmt"
	"time"

	"baton/node/adminapi"
	"baton/tui/data"
)

// servers are a ZooKeeper ensemble of one.
func servers() []data.Server {
	return []data.Server{{Address: "127.0.0.1:61610", At: at.Add(-time.Second), Mode: "standalone", Version: "3.8.0", Connections: 4, NodeCount: 9,
		Zxid: "0x2f", LatencyMS: 0.2, Took: 600 * time.Microsecond}}
}

// links are those of three nodes, none disturbed.
func links(n int) []data.Link {
	var out []data.Link
	for from := 1; from <= n; from++ {
		for to := 1; to <= n; to++ {
			if from != to {
				out = append(out, data.Link{Kind: data.LinkReplication, From: id(from), To: id(to), Connections: 1, Bytes: 1 << 20})
			}
		}
		out = append(out, data.Link{Kind: data.LinkZooKeeper, From: id(from), To: "zookeeper1", Connections: 1},
			data.Link{Kind: data.LinkClient, From: "clients", To: id(from)})
	}
	return out
}

// ballot adds what members promised for an epoch, and by which rule it was decided.
func ballot(s *data.Snapshot, ago time.Duration, epoch uint64, leader, rule string, nodes ...string) {
	for i, n := range nodes {
		s.EventsAll++
		s.Events = append(s.Events, adminapi.Event{Seq: s.EventsAll, At: s.At.Add(-ago), Node: n, Kind: adminapi.KindSealed, Epoch: epoch,
			Text:   fmt.Sprintf("promised epoch %d, log ends at (%d, %d)", epoch, epoch-1, position-2*i),
			Fields: map[string]string{"position": fmt.Sprint(position - 2*i), "last_epoch": fmt.Sprint(epoch - 1)}})
	}
	s.EventsAll++
	s.Events = append(s.Events, adminapi.Event{Seq: s.EventsAll, At: s.At.Add(-ago + 9*ms), Node: nodes[0], Kind: adminapi.KindElected, Epoch: epoch,
		Text: fmt.Sprintf("%s leads epoch %d: %s", leader, epoch, rule), Fields: map[string]string{"leader": leader, "rule": fmt.Sprintf("%s leads epoch %d: %s", leader, epoch, rule)}})
}

// logs are lines of all processes.
func logs(s *data.Snapshot, lines ...data.LogLine) {
	for _, l := range lines {
		s.LogsAll++
		l.Seq = s.LogsAll
		s.Logs = append(s.Logs, l)
	}
}

func logLine(ago time.Duration, source, level, text string) data.LogLine {
	return data.LogLine{At: at.Add(-ago), Source: source, Level: level, Text: text}
}

// Story is two finished failovers with all that nodes told of them: what the
// election, log and failover screens are about.
func Story() *data.Snapshot {
	s := FailedOver()
	s.Events, s.EventsAll = nil, 0
	at0 := 2 * time.Second
	s.Events = append(s.Events,
		adminapi.Event{Seq: 1, At: at.Add(-14 * time.Minute), Node: "n1", Kind: adminapi.KindServing, Epoch: 7, Text: "n1 serves clients in epoch 7"},
		adminapi.Event{Seq: 2, At: at.Add(-at0), Node: "n1", Kind: data.KindConsole, Text: "you: kill n1", Fields: map[string]string{data.FieldCommand: "baton chaos kill n1", data.FieldPlan: "--fault kill:n1@14m0s"}},
		adminapi.Event{Seq: 3, At: at.Add(-at0 + 12*ms), Node: "n2", Kind: adminapi.KindSuspected, Epoch: 7, Text: "n2 suspects the leader of epoch 7"})
	s.EventsAll = 3
	ballot(s, at0-24*ms, 8, "n2", "highest position", "n2", "n3")
	s.Events = append(s.Events,
		adminapi.Event{Seq: 7, At: at.Add(-at0 + 66*ms), Node: "n2", Kind: adminapi.KindServing, Epoch: 8, Text: "n2 serves clients in epoch 8"},
		adminapi.Event{Seq: 8, At: at.Add(-at0 + 71*ms), Node: "n3", Kind: adminapi.KindInSync, Epoch: 8, Text: "n3 is in sync with n2"},
		adminapi.Event{Seq: 9, At: at.Add(-at0 + 93*ms), Node: "n2", Kind: adminapi.KindFirstReceipt, Epoch: 8, Text: "first receipt of epoch 8"})
	s.EventsAll = 9
	logs(s,
		logLine(20*time.Second, "zookeeper", data.LevelInfo, "session 1b established  timeout=4s"),
		logLine(19*time.Second, "n1", data.LevelInfo, "serving  epoch=7 stomp=127.0.0.1:61613"),
		logLine(18*time.Second, "n2", data.LevelDebug, "append acknowledged  position=1040210"),
		logLine(at0-12*ms, "n2", data.LevelWarn, `leader is suspected  epoch=7 error="read tcp 127.0.0.1:40022->127.0.0.1:61619: connection reset by peer"`),
		logLine(at0-20*ms, "n3", data.LevelWarn, "leader is suspected  epoch=7"),
		logLine(at0-33*ms, "n2", data.LevelInfo, "elected  epoch=8 rule=\"highest position\""),
		logLine(at0-66*ms, "n2", data.LevelInfo, "serving  epoch=8 stomp=127.0.0.1:61623"),
		logLine(at0-80*ms, "n3", data.LevelError, "link to the old leader failed for good  peer=n1"),
		logLine(time.Second, "zookeeper", data.LevelInfo, "session 1b expired"))
	return s
}

// Lesson is a lesson at the step that asks for a prediction.
func Lesson() *data.Snapshot {
	s := Healthy()
	s.Lesson = &data.Lesson{Name: "failover", Title: "A leader is killed", Step: 1, Steps: []data.LessonStep{
		{Title: "The cluster and its quorum", Explain: "Three replicas, a quorum is two.", Guess: -1},
		{Title: "Guess, then kill the leader", Story: "Producers send, and each message is receipted only when the leader and one follower have it on disk. The leader will be killed: SIGKILL, no goodbye.",
			Ask: "How long will producers wait?", Choices: []string{"not at all", "about a tenth of a second", "until ZooKeeper's session has expired"}, Right: -1, Guess: -1,
			Do: "kill n1", Hint: "A killed process loses its sockets at once.",
			Checks: []data.LessonCheck{{Text: "the cluster is healthy", OK: true}, {Text: "another node leads"}, {Text: "producers hear success again"}}},
		{Title: "Was anything lost?", Guess: -1},
	}}
	return s
}

// Disturbed has slow and cut links.
func Disturbed() *data.Snapshot {
	s := CatchingUp()
	s.Links = links(3)
	s.Links[0].Delay, s.Links[1].Cut, s.Links[4].Rate = data.DelayAmount, true, data.ThrottleAmount
	return s
}

// Replayed is a recording that is held.
func Replayed() *data.Snapshot {
	s := Story()
	s.Player = &data.Player{File: "run.baton", At: 12 * time.Second, Length: 95 * time.Second, Frame: 48, Frames: 380, Speed: 1}
	return s
}

// Foreign is the tree of an ActiveMQ store whose second member serves.
func Foreign() *data.Snapshot {
	s := &data.Snapshot{At: at, Seq: 1, Cluster: "/activemq/leveldb-stores", Tree: data.Tree{At: at, Path: "/activemq/leveldb-stores", Server: "127.0.0.1:2181", SessionMS: 2000, Foreign: true}}
	for i, addr := range []string{"", "tcp://10.0.0.2:61619", ""} {
		m := data.Member{Eid: fmt.Sprintf("%010d", 4+i), Node: fmt.Sprintf("broker-%d", 4+i), Session: fmt.Sprintf("1b%d", i), Position: -1, Weight: 1, Address: addr}
		if i == 0 {
			m.Elected = "0000000005"
		}
		s.Tree.Members = append(s.Tree.Members, m)
	}
	return s
}
