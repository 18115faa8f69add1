package lesson

import (
	"fmt"
	"strings"
	"time"

	"baton/node/adminapi"
)

// Book is all lessons, in the order in which to take them.
func Book() []Lesson {
	return []Lesson{firstFailover(), transfer(), catchUp(), fencing(), noQuorum(), zooKeeperAway(), divergentTail(), wipedDisk(), syncLocal(), syncQuorum(), powerMem(), powerDisk()}
}

// Find finds a lesson by its name.
func Find(name string) (Lesson, error) {
	var names []string
	for _, l := range Book() {
		if l.Name == name {
			return l, nil
		}
		names = append(names, l.Name)
	}
	return Lesson{}, fmt.Errorf("%w: %q; there are %s", ErrUnknown, name, strings.Join(names, ", "))
}

// The words of facts that many lessons share.

func healthy(s *Seen) bool { return s.Now.Healthy }

// full: nothing is missing any more.
func full() Check {
	return Check{"all three nodes are in sync again", func(s *Seen) bool { return s.Acted && s.Now.Full }}
}

// flowing: producers hear success, since the step's action.
func flowing(text string) Check {
	return Check{text, func(s *Seen) bool { return s.Acted && s.Now.Messages.Receipted > s.Done.Messages.Receipted+20 }}
}

// nothingLost: every receipted message has come, none came twice.
func nothingLost() Check {
	return Check{"every receipted message was received, none was lost", func(s *Seen) bool {
		m := s.Now.Messages
		return m.Outstanding == 0 && m.Receipted > 0
	}}
}

// twice must never become true.
func twice() Check {
	return Check{"a message came twice", func(s *Seen) bool { return s.Now.Messages.Duplicates > 0 }}
}

// quiet stops the producers, so that what is under way can come to its end.
const quiet = "quiet"

// holdConsumers leaves what is sent in the queues.
const holdConsumers = "hold-consumers"

// What is done to the machines of all nodes.
const (
	slowAll  = "slow-all" // their disks
	blackout = "blackout" // at the same time
	powerOn  = "power-on" // and good disks
)

// opening is the first step of a lesson: the cluster as it stands.
func opening(story string) Step {
	return Step{
		Title: "The cluster and its quorum", Story: story,
		Checks: []Check{
			{"a leader serves and two followers are in sync", func(s *Seen) bool { return s.Now.Full && s.Now.Leader != "" }},
			{"producers hear success", func(s *Seen) bool { return s.Now.Messages.Receipted > 50 }},
		},
		Explain: func(s *Seen) string {
			return fmt.Sprintf("%s leads epoch %d. Three replicas, so a quorum is two: every receipt so far means that two disks hold the message.", s.Now.Leader, s.Now.Epoch)
		},
	}
}

// audit is the last step: what became of the messages.
func audit() Step {
	return Step{
		Title:  "Was anything lost?",
		Story:  "The producers stop now, and the consumers take what is left. Every message carries a number, so a ledger knows which were receipted and which arrived.",
		Verb:   quiet,
		Checks: []Check{nothingLost(), {"the cluster is healthy", healthy}},
		Never:  []Check{twice()},
		Explain: func(s *Seen) string {
			m := s.Now.Messages
			return fmt.Sprintf("%d sent, %d receipted, %d received. %d were in doubt: their connection broke before the receipt, and of those nobody was promised anything. Lost: %d.", m.Sent, m.Receipted, m.Received, m.InDoubt, m.Outstanding)
		},
	}
}

// leaderOf remembers who led when the lesson took its course.
func leaderOf(s *Seen) string {
	if s.Notes["leader"] == "" || !s.Acted {
		s.Notes["leader"] = s.Now.Leader
	}
	return s.Notes["leader"]
}

// follower is one that is in sync, always the same within a lesson.
func follower(s *Seen) string {
	if s.Notes["follower"] == "" {
		if f := s.Now.Followers(); len(f) > 0 {
			s.Notes["follower"] = f[0]
		}
	}
	return s.Notes["follower"]
}

// anotherLeads: a node other than the one that led serves.
func anotherLeads() Check {
	return Check{"another node leads, in a higher epoch", func(s *Seen) bool {
		return s.Acted && s.Now.Leader != "" && s.Now.Leader != s.Notes["leader"] && s.Now.Epoch > s.Before.Epoch
	}}
}

// outage is the measured time from the fault to the first receipt, -1 if unknown.
func outage(s *Seen) time.Duration {
	if r, ok := s.Run(); ok && r.Done() {
		return r.FirstReceipt.Sub(r.Fault)
	}
	return -1
}

// measured: the stopwatch of the failover ran to its end.
func measured() Check {
	return Check{"a producer heard success from the new leader", func(s *Seen) bool { return outage(s) >= 0 }}
}

func firstFailover() Lesson {
	return Lesson{Name: "failover", Title: "A leader is killed", About: "kill the leader, guess how long producers wait, see who takes over and why",
		Steps: func() []Step {
			return []Step{
				opening("Producers send messages, and each send is receipted only when the leader and at least one follower have it on disk. That is what makes it safe to lose a node: what was receipted is somewhere else, too."),
				{
					Title: "Guess, then kill the leader",
					Story: "Now the leader dies: SIGKILL, no goodbye, nothing flushed. Its ZooKeeper session stays open for seconds, as nobody closes it.",
					Ask:   "How long will producers wait?", Choices: []string{"not at all", "a few tenths of a second at most", "until the ZooKeeper session has expired (4 s)"},
					Right: func(s *Seen) int {
						switch d := outage(s); {
						case d < 2*time.Millisecond:
							return 0
						case d < 2*time.Second:
							return 1
						}
						return 2
					},
					Hint: "The followers hold a connection to the leader. What happens to the connections of a process that is killed?",
					Verb: "kill", Target: leaderOf,
					Checks: []Check{anotherLeads(), measured()},
					Never:  []Check{twice()},
					Explain: func(s *Seen) string {
						r, _ := s.Run()
						return fmt.Sprintf("%s took over after %d ms. A killed process loses its sockets at once, and a link that cannot be opened again is reason enough to suspect: nobody waits for the session.",
							r.LeaderAfter, outage(s).Milliseconds())
					},
				},
				{
					Title: "Bring the old leader back",
					Story: "The node that was killed comes back with its old log. It does not resume its old epoch: it joins as any member and follows.",
					Verb:  "start", Target: leaderOfLesson,
					Checks: []Check{full(), {"the old leader follows", func(s *Seen) bool {
						return s.Acted && s.Now.Node(s.Notes["leader"]).Status.Role == adminapi.RoleFollower
					}}},
					Never: []Check{twice()},
					Explain: func(s *Seen) string {
						return s.Notes["leader"] + " asked where its log continues, fetched what it had missed, and counts in the quorum again."
					},
				},
				audit(),
			}
		}}
}

// leaderOfLesson is who led when an earlier step asked.
func leaderOfLesson(s *Seen) string { return s.Notes["leader"] }

func transfer() Lesson {
	return Lesson{Name: "transfer", Title: "A planned transfer", About: "hand leadership over on request and compare it with a crash",
		Steps: func() []Step {
			return []Step{
				opening("Before maintenance nobody wants a crash. The leader can be asked to hand over: it waits until its successor has everything, then lets it be elected."),
				{
					Title: "Hand over",
					Story: "Leadership moves to a follower that is in sync. Nobody has to suspect anybody: that phase, which a crash begins with, is missing.",
					Ask:   "What will producers notice?", Choices: []string{"nothing: not even a new connection", "a short wait and a new connection", "some messages are lost"},
					Right: func(*Seen) int { return 1 },
					Verb:  "transfer", Target: func(s *Seen) string { leaderOf(s); return follower(s) },
					Checks: []Check{
						{"the follower that was named leads", func(s *Seen) bool { return s.Acted && s.Now.Leader == s.Notes["follower"] }},
						measured(),
						{"the old leader follows, its process never stopped", func(s *Seen) bool {
							return s.Acted && s.Now.Node(s.Notes["leader"]).Status.Role == adminapi.RoleFollower
						}},
					},
					Never: []Check{twice()},
					Explain: func(s *Seen) string {
						return fmt.Sprintf("Producers waited %d ms. No phase was spent on noticing that something is wrong, for nothing was.", outage(s).Milliseconds())
					},
				},
				audit(),
			}
		}}
}

func catchUp() Lesson {
	return Lesson{Name: "catch-up", Title: "A follower was away", About: "stop a follower, let the log grow, watch it catch up",
		Steps: func() []Step {
			return []Step{
				opening("A follower that is stopped misses records. The leader goes on: it and the other follower are a quorum."),
				{
					Title: "Stop a follower, and let the log grow",
					Story: "One follower is stopped cleanly. Producers go on sending.",
					Ask:   "What will producers notice?", Choices: []string{"nothing", "they wait until the follower is back", "they wait for a failover"},
					Right: func(s *Seen) int {
						if _, failed := s.Run(); failed {
							return 2
						}
						return 0
					},
					Verb: "stop", Target: follower,
					Checks: []Check{
						{"the follower is down", func(s *Seen) bool { return s.Acted && !s.Now.Node(s.Notes["follower"]).Up }},
						flowing("producers hear success all the same"),
						{"the log has grown by 256 KiB", func(s *Seen) bool {
							return s.Acted && s.Now.Node(s.Now.Leader).Status.Positions.Commit > s.Done.Node(s.Done.Leader).Status.Positions.Commit+256<<10
						}},
					},
					Never: []Check{{"leadership moved", func(s *Seen) bool { return s.Now.Leader != "" && s.Now.Leader != s.Before.Leader }}},
					Explain: func(s *Seen) string {
						return "Two of three are a quorum, so every receipt still means two disks. One more loss, and producers would have to wait."
					},
					Timeout: time.Minute,
				},
				{
					Title: "Bring it back",
					Story: "The follower starts, tells the leader where its log ends, and gets the rest, beside the records that are new.",
					Verb:  "start", Target: follower,
					Checks: []Check{
						{"it follows again", func(s *Seen) bool {
							return s.Acted && s.Now.Node(s.Notes["follower"]).Status.Role == adminapi.RoleFollower
						}},
						full(),
						{"it holds as much as was committed when it came", func(s *Seen) bool {
							return s.Acted && s.Now.Node(s.Notes["follower"]).Status.Positions.Append >= s.Done.Node(s.Done.Leader).Status.Positions.Commit
						}},
					},
					Explain: func(s *Seen) string {
						return fmt.Sprintf("%s was in sync again after %.1f s. It fetched only what it had missed, because its log and the leader's agree up to where it stopped.", s.Notes["follower"], s.Elapsed().Seconds())
					},
				},
				audit(),
			}
		}}
}
