package lesson

import (
	"fmt"
	"time"

	"baton/node/adminapi"
)

func fencing() Lesson {
	return Lesson{Name: "fencing", Title: "A paused leader comes back", About: "pause the leader, let another be elected, wake it: the epoch fences it",
		Steps: func() []Step {
			return []Step{
				opening("The worst kind of dead is the one that is not: a leader that stops for a while, by a pause of the machine, and wakes up believing that it still leads."),
				{
					Title: "Pause the leader",
					Story: "SIGSTOP: the process stays, its sockets stay open, it just says nothing. No connection breaks, so only silence can tell.",
					Ask:   "When will the others act?", Choices: []string{"at once, as after a kill", "after the election timeout (1 s) of silence", "never: the session is still open"},
					Right: func(s *Seen) int {
						if d := outage(s); d >= 500*time.Millisecond {
							return 1
						}
						return 0
					},
					Verb: "pause", Target: leaderOf,
					Checks: []Check{anotherLeads(), measured()},
					Never:  []Check{twice()},
					Explain: func(s *Seen) string {
						return fmt.Sprintf("After %.1f s of outage another node leads. Compare with a kill: there the sockets told at once.", outage(s).Seconds())
					},
				},
				{
					Title: "Wake it up",
					Story: "Now there are two processes that believe they lead, for a moment. The old one has clients connected, and may try to go on.",
					Ask:   "What can the old leader still do?", Choices: []string{"acknowledge writes until ZooKeeper tells it", "nothing: it can gather no quorum, and steps down", "take leadership back, as its log is older"},
					Right: func(*Seen) int { return 1 },
					Hint:  "Every record and every acknowledgement carries the epoch. The followers have promised a higher one on disk.",
					Verb:  "resume", Target: leaderOfLesson,
					Checks: []Check{
						{"the old leader follows the new one", func(s *Seen) bool {
							n := s.Now.Node(s.Notes["leader"])
							return s.Acted && n.Answers && n.Status.Role == adminapi.RoleFollower && n.Status.Epoch >= s.Now.Epoch
						}},
						full(),
						{"the new leader stayed", func(s *Seen) bool { return s.Acted && s.Now.Leader == s.Before.Leader }},
					},
					Never: []Check{twice()},
					Explain: func(*Seen) string {
						return "It met the higher epoch and stepped down. It could not have done harm: a receipt needs a quorum, and a quorum had promised to listen to nobody older."
					},
				},
				audit(),
			}
		}}
}

func noQuorum() Lesson {
	return Lesson{Name: "no-quorum", Title: "Loss of quorum", About: "kill both followers: the leader must stop acknowledging",
		Steps: func() []Step {
			other := func(s *Seen) string {
				first := follower(s)
				for _, id := range s.Now.Followers() {
					if id != first {
						s.Notes["second"] = id
					}
				}
				return s.Notes["second"]
			}
			return []Step{
				opening("A leader alone is not a quorum. What should it do when both followers are gone: go on alone, or stop?"),
				{
					Title: "Kill the first follower", Story: "One follower dies. Two of three are left: still a quorum.",
					Verb: "kill", Target: follower,
					Checks: []Check{{"the follower is down", func(s *Seen) bool { return s.Acted && !s.Now.Node(s.Notes["follower"]).Up }}, flowing("producers hear success all the same")},
				},
				{
					Title: "Kill the second follower",
					Story: "Now the other follower dies, too. The leader is alive and well, with its clients connected.",
					Ask:   "What will producers notice?", Choices: []string{"nothing: the leader goes on alone", "they wait, and get an error if it lasts", "they are sent to another node"},
					Right: func(*Seen) int { return 1 },
					Verb:  "kill", Target: other,
					Checks: []Check{
						{"the leader says that it has no quorum", func(s *Seen) bool {
							for _, n := range s.Now.Nodes {
								if s.Acted && n.Answers && n.Status.Role == adminapi.RoleLeader && !n.Status.Quorum.OK {
									return true
								}
							}
							return false
						}},
						{"for two seconds nobody heard success", func(s *Seen) bool {
							at := s.Notes["silent"]
							now := fmt.Sprint(s.Now.Messages.Receipted)
							if at != now {
								s.Notes["silent"], s.Notes["since"] = now, s.Now.At.Format(time.RFC3339Nano)
								return false
							}
							since, err := time.Parse(time.RFC3339Nano, s.Notes["since"])
							return err == nil && s.Acted && s.Now.At.Sub(since) > 2*time.Second
						}},
					},
					Explain: func(*Seen) string {
						return "It stops. If it went on alone and then died, what it had acknowledged would be on one lost disk. Not acknowledging is the only honest answer."
					},
				},
				{
					Title: "Bring them back", Story: "The followers start again. As soon as one of them is in sync, there is a quorum.",
					Verb:   "start-all",
					Checks: []Check{flowing("producers hear success again"), full()},
					Never:  []Check{twice()},
					Explain: func(s *Seen) string {
						return fmt.Sprintf("Producers went on after %.1f s at most.", s.Elapsed().Seconds())
					},
				},
				audit(),
			}
		}}
}

func zooKeeperAway() Lesson {
	return Lesson{Name: "zookeeper", Title: "ZooKeeper is away", About: "stop ZooKeeper: the cluster serves on, but cannot fail over",
		Steps: func() []Step {
			return []Step{
				opening("ZooKeeper arbitrates who leads. It is not on the path of a message: no send asks it anything."),
				{
					Title: "Stop ZooKeeper",
					Story: "The ZooKeeper server is stopped. Every session will be lost.",
					Ask:   "What will producers notice?", Choices: []string{"nothing", "a failover", "they wait until it is back"},
					Right: func(s *Seen) int {
						if _, failed := s.Run(); failed {
							return 1
						}
						return 0
					},
					Verb: "stop-zookeeper",
					Checks: []Check{
						{"ZooKeeper is down", func(s *Seen) bool { return s.Acted && s.Now.ZKDown }},
						{"every node has noticed", func(s *Seen) bool {
							for _, n := range s.Now.Nodes {
								if !n.Answers || n.Status.ZooKeeper.Connected {
									return false
								}
							}
							return s.Acted
						}},
						{"producers hear success five seconds later: longer than a session lasts", func(s *Seen) bool {
							return s.Elapsed() > 5*time.Second && s.Now.Messages.Receipted > s.Done.Messages.Receipted+20 && s.Now.Leader == s.Before.Leader
						}},
					},
					Never: []Check{{"leadership moved", func(s *Seen) bool { return s.Now.Epoch > s.Before.Epoch }}},
					Explain: func(s *Seen) string {
						return s.Now.Leader + " has its quorum of followers, and that is what safety rests on. Only one thing is missing: if it dies now, nobody can be elected."
					},
				},
				{
					Title: "Start it again", Story: "ZooKeeper comes back. Everybody registers anew.",
					Ask: "Who will lead?", Choices: []string{"whoever registers first", "the same node, in the same epoch", "the node with the longest log"},
					Right: func(s *Seen) int {
						if s.Now.Epoch == s.Before.Epoch {
							return 1
						}
						return 0
					},
					Verb: "start-zookeeper",
					Checks: []Check{
						{"every node is registered again", func(s *Seen) bool {
							for _, n := range s.Now.Nodes {
								if !n.Answers || !n.Status.ZooKeeper.Connected {
									return false
								}
							}
							return s.Acted
						}},
						{"the same leader serves in the same epoch", func(s *Seen) bool {
							return s.Elapsed() > 2*time.Second && s.Now.Leader == s.Before.Leader && s.Now.Epoch == s.Before.Epoch && s.Now.Full
						}},
					},
					Explain: func(*Seen) string {
						return "Nobody was demoted: losing ZooKeeper is no reason to doubt a leader whose followers are there."
					},
				},
				audit(),
			}
		}}
}
