package lesson

import (
	"fmt"
	"strconv"
	"time"

	"baton/demo/cluster"
	"baton/demo/load"
	"baton/node/adminapi"
)

func divergentTail() Lesson {
	return Lesson{Name: "divergent", Title: "A divergent tail", About: "cut the leader off while it writes: what nobody else has is moved aside",
		Steps: func() []Step {
			return []Step{
				opening("A leader writes to its own log first. If it is cut off at that moment, its log holds records that no other node has, and that nobody was promised."),
				{
					Title: "Cut the leader off",
					Story: "Its links to the followers and to ZooKeeper go silent. Its clients stay, and keep sending: it appends what they send, and waits for followers that hear nothing.",
					Ask:   "What happens to those sends?", Choices: []string{"they are receipted: the leader has them on disk", "they are not receipted: one disk is no quorum", "the leader refuses them at once"},
					Right: func(*Seen) int { return 1 },
					Verb:  "cut", Target: leaderOf,
					Checks: []Check{
						anotherLeads(),
						{"producers found the new leader", func(s *Seen) bool {
							return s.Acted && s.Now.Messages.Receipted > s.Done.Messages.Receipted+50 && outage(s) >= 0
						}},
						{"the old leader's log is longer than what it could commit", func(s *Seen) bool {
							n := s.Now.Node(s.Notes["leader"])
							return s.Acted && n.Status.Positions.Append > n.Status.Positions.Commit
						}},
					},
					Never: []Check{twice()},
					Explain: func(s *Seen) string {
						n := s.Now.Node(s.Notes["leader"])
						return fmt.Sprintf("The log of %s goes on %d bytes beyond what it committed. The new leader went another way from there: the two logs diverge.", n.ID, n.Status.Positions.Append-n.Status.Positions.Commit)
					},
				},
				{
					Title: "Heal the network",
					Story: "The old leader hears of the higher epoch and follows. Its tail contradicts the log of the cluster.",
					Ask:   "What becomes of the tail?", Choices: []string{"it is merged into the new leader's log", "it is moved aside and cut", "the node is refused until somebody wipes it"},
					Right: func(*Seen) int { return 1 },
					Verb:  "heal", Target: leaderOfLesson,
					Checks: []Check{
						{"the old leader says that it moved its tail aside", func(s *Seen) bool { return s.Event(adminapi.KindTruncated, s.Notes["leader"]) }},
						full(),
					},
					Never: []Check{twice()},
					Explain: func(s *Seen) string {
						return "The tail lies in the directory diverged of " + s.Notes["leader"] + ", with its epoch and positions. It is never merged: nobody was told that those sends succeeded, and the producers have sent them again or know that they are in doubt."
					},
				},
				audit(),
			}
		}}
}

func wipedDisk() Lesson {
	return Lesson{Name: "wiped-disk", Title: "A wiped disk", About: "empty a follower's disk: it learns before it votes",
		Steps: func() []Step {
			return []Step{
				opening("A disk dies and is replaced. The node comes back with its old name and an empty log: it has forgotten everything it ever promised."),
				{
					Title: "Wipe a follower",
					Story: "A follower is killed, its data directory emptied, and it starts again. Producers go on.",
					Ask:   "May it vote right away?", Choices: []string{"yes: it has the same name", "no: it learns first, and counts in no quorum until then", "never again"},
					Right: func(*Seen) int { return 1 },
					Hint:  "If an empty log counted, two of three might elect a leader that lacks what was acknowledged.",
					Verb:  "wipe", Target: func(s *Seen) string {
						id := follower(s)
						if s.Notes["incarnation"] == "" {
							s.Notes["incarnation"] = s.Now.Node(id).Status.Incarnation
						}
						return id
					},
					Checks: []Check{
						{"it came back with another incarnation", func(s *Seen) bool {
							n := s.Now.Node(s.Notes["follower"])
							return s.Acted && n.Answers && n.Status.Incarnation != "" && n.Status.Incarnation != s.Notes["incarnation"]
						}},
						{"it was a learner, or its leader registered it", func(s *Seen) bool {
							return s.Acted && (s.Now.Node(s.Notes["follower"]).Status.Role == adminapi.RoleLearner || registered(s))
						}},
						{"it was registered when it had everything, and is in sync", func(s *Seen) bool { return s.Acted && s.Now.Full && registered(s) }},
						flowing("producers heard success all the while"),
					},
					Never: []Check{twice(), {"leadership moved", func(s *Seen) bool { return s.Now.Epoch > s.Before.Epoch }}},
					Explain: func(s *Seen) string {
						return fmt.Sprintf("%s had everything again after %.1f s. Until its leader registered the new incarnation, its acknowledgements counted for nothing.", s.Notes["follower"], s.Elapsed().Seconds())
					},
				},
				audit(),
			}
		}}
}

// registered says that the new incarnation of the wiped node was registered.
func registered(s *Seen) bool {
	now := s.Now.Node(s.Notes["follower"]).Status
	for _, e := range s.Since() {
		if e.Event != nil && e.Kind == adminapi.KindRegistered && e.Event.Fields["incarnation"] == now.Incarnation && now.Incarnation != s.Notes["incarnation"] {
			return true
		}
	}
	return false
}

// messagesWait is a step of the lessons that count what is lost.
func messagesWait() Step {
	return Step{
		Title:  "Let messages wait",
		Story:  "The consumers are held, so that messages stay in the queues: what was consumed already cannot be lost any more.",
		Verb:   holdConsumers,
		Checks: []Check{{"messages wait in the queues", func(s *Seen) bool { return s.Acted && s.Now.Messages.Outstanding > 30 }}},
	}
}

// The two lessons on sync policies do the same to clusters that differ in one
// word of configuration.

func syncLocal() Lesson {
	return syncLesson("sync-local", "local_disk", "What local_disk promises", "the same fault under sync local_disk: receipted messages are lost, and counted", true)
}

func syncQuorum() Lesson {
	return syncLesson("sync-quorum", "quorum_disk", "What quorum_disk promises", "the same fault under sync quorum_disk: nothing receipted is lost", false)
}

func syncLesson(name, policy, title, about string, loses bool) Lesson {
	promise := "A receipt means: a quorum, two of three, has the message on disk."
	if loses {
		promise = "A receipt means: the leader has the message on its disk, and nothing about the others. That is faster, and what a single broker gives."
	}
	return Lesson{Name: name, Title: title, About: about,
		Setup: func(c *cluster.Config, ld *load.Config) { c.Sync, ld.Prefetch = policy, 1 },
		Steps: func() []Step {
			first := opening("This cluster runs with sync " + policy + ". " + promise)
			first.Explain = func(s *Seen) string { return s.Now.Leader + " leads. " + promise }
			return []Step{
				first,
				messagesWait(),
				{
					Title: "The leader is lost while it is alone",
					Story: "The leader is cut off from its followers and from ZooKeeper, while its clients stay connected for a while. Then another node leads, and what only the old leader has is gone for the cluster.",
					Ask:   "Will receipted messages be lost?", Choices: []string{"no", "yes: those that only the cut off leader had"},
					Right: func(*Seen) int {
						if loses {
							return 1
						}
						return 0
					},
					Verb: "cut", Target: leaderOf,
					Checks: []Check{anotherLeads(), {"the old leader appended on", func(s *Seen) bool {
						n := s.Now.Node(s.Notes["leader"])
						return s.Acted && n.Status.Positions.Append > s.Done.Node(n.ID).Status.Positions.Append
					}}},
					Explain: func(*Seen) string {
						return "Two leaders for a moment: one with a quorum, one with clients. What counts is what each of them receipted."
					},
				},
				{
					Title: "Heal, and settle the account",
					Story: "The old leader comes back, follows, and moves its divergent tail aside. Then the producers stop, and the ledger is balanced.",
					Verb:  "heal", Target: leaderOfLesson,
					Checks: []Check{full(), flowing("producers hear success from the new leader")},
				},
				settle(loses),
			}
		}}
}

// settle waits until nothing moves any more and judges what is missing.
func settle(loses bool) Step {
	text := "nothing that was receipted is missing"
	if loses {
		text = "receipted messages are missing, and stay so"
	}
	return Step{
		Title: "What was lost?", Story: "The producers stop. What was receipted and has not been received when nothing moves any more is lost.",
		Verb: quiet,
		Checks: []Check{{text, func(s *Seen) bool {
			m := s.Now.Messages
			key := strconv.FormatUint(m.Received, 10) + "/" + strconv.FormatUint(m.Outstanding, 10)
			if s.Notes["moves"] != key || !s.Acted {
				s.Notes["moves"], s.Notes["still"] = key, s.Now.At.Format(time.RFC3339Nano)
				return false
			}
			since, err := time.Parse(time.RFC3339Nano, s.Notes["still"])
			return err == nil && s.Now.At.Sub(since) > 3*time.Second && (m.Outstanding > 0) == loses
		}}},
		Explain: func(s *Seen) string {
			m := s.Now.Messages
			if loses {
				return fmt.Sprintf("%d messages were receipted and are lost. The policy was kept: it never promised more than one disk. Choose it when that is enough.", m.Outstanding)
			}
			return fmt.Sprintf("%d receipted, none lost. The sends that only the old leader had were never receipted: their producers know that they are in doubt.", m.Receipted)
		},
	}
}
