package lesson

import (
	"fmt"

	"baton/demo/cluster"
	"baton/demo/load"
)

// The two lessons on the loss of power do the same to clusters that differ in
// one word of configuration.

func powerMem() Lesson {
	return powerLesson("power-mem", "quorum_mem", "The power fails, under quorum_mem", "all nodes lose their power under sync quorum_mem: receipted messages are lost, and counted", true)
}

func powerDisk() Lesson {
	return powerLesson("power-disk", "quorum_disk", "The power fails, under quorum_disk", "all nodes lose their power under sync quorum_disk: nothing receipted is lost", false)
}

func powerLesson(name, policy, title, about string, loses bool) Lesson {
	promise := "A receipt means: two of three nodes have the message on their disks. The disk of each was asked to sync before anybody said so."
	if loses {
		promise = "A receipt means: two of three nodes have the message in the memory of their machines. The disks get it within some fraction of a second."
	}
	return Lesson{Name: name, Title: title, About: about,
		Setup: func(c *cluster.Config, ld *load.Config) { c.Sync, ld.Prefetch = policy, 1 },
		Steps: func() []Step {
			first := opening("This cluster runs with sync " + policy + ". " + promise)
			first.Explain = func(s *Seen) string { return s.Now.Leader + " leads. " + promise }
			return []Step{
				first,
				messagesWait(),
				slowDisks(loses),
				{
					Title: "The power fails",
					Story: "All three machines go off at the same moment. A killed process would leave its writes to the operating system; here that is gone, too: only what a disk was made to sync is there when the power is back.",
					Ask:   "Will receipted messages be lost?", Choices: []string{"no", "yes: those that no disk had yet"},
					Right: func(*Seen) int { return choice(loses) },
					Hint:  "Three copies help against the loss of one machine. Where is each of the three?",
					Verb:  blackout,
					Checks: []Check{{"all three nodes are down", func(s *Seen) bool {
						for _, n := range s.Now.Nodes {
							if n.Up {
								return false
							}
						}
						return s.Acted
					}}},
					Explain: func(*Seen) string {
						return "What was written and not synced has been taken from the files of each node, as a machine finds them when its power is back."
					},
				},
				powerBack(loses),
				settlePower(loses),
			}
		}}
}

// slowDisks makes the time between a write and the disk long enough to matter.
func slowDisks(loses bool) Step {
	return Step{
		Title: "Slow disks",
		Story: "Each sync takes 200 ms longer now, as on a disk that is busy.",
		Ask:   "Will producers notice?", Choices: []string{"no: nobody waits for a disk", "yes: every receipt waits for the disks"},
		Right: func(*Seen) int { return choice(!loses) },
		Verb:  slowAll,
		Checks: []Check{{"producers hear success while every disk is slow", func(s *Seen) bool {
			return s.Acted && s.Now.Messages.Receipted > s.Done.Messages.Receipted+20
		}}},
		Explain: func(s *Seen) string {
			rate := float64(s.Now.Messages.Receipted-s.Done.Messages.Receipted) / max(0.1, s.Elapsed().Seconds())
			if loses {
				return fmt.Sprintf("%.0f receipts a second, as before: they do not wait for a disk. That is what quorum_mem buys.", rate)
			}
			return fmt.Sprintf("%.0f receipts a second: each waits until two disks have synced. That is what quorum_disk costs.", rate)
		},
	}
}

// powerBack starts the nodes. The first two elect one of them; under quorum_mem
// the third may have synced more than both, and keeps out with it.
func powerBack(loses bool) Step {
	back := full()
	if loses {
		back = Check{"all three nodes are in sync again, or one has stopped because it has more than the others", func(s *Seen) bool {
			return s.Acted && (s.Now.Full || keptOut(s) != "")
		}}
	}
	return Step{
		Title:  "The power is back",
		Story:  "The nodes start, with disks as good as ever. Each reads its log up to where it ends, they elect the one whose log is the longest, and the others follow it.",
		Verb:   powerOn,
		Checks: []Check{back, flowing("producers hear success again")},
		Never:  []Check{twice()},
		Explain: func(s *Seen) string {
			if n := keptOut(s); n != "" {
				return fmt.Sprintf("%s leads. %s came after the election, with a log that ends later: it would have to cut off what was committed, and has stopped rather than do that. Take from its log what you need, then wipe it.", s.Now.Leader, n)
			}
			return fmt.Sprintf("%s leads epoch %d.", s.Now.Leader, s.Now.Epoch)
		},
	}
}

// keptOut is the node that has stopped by itself since all were started.
func keptOut(s *Seen) string {
	for _, n := range s.Now.Nodes {
		if !n.Up && s.Now.Leader != "" {
			return n.ID
		}
	}
	return ""
}

func settlePower(loses bool) Step {
	st := settle(loses)
	st.Explain = func(s *Seen) string {
		m := s.Now.Messages
		if loses {
			return fmt.Sprintf("%d messages were receipted and are lost: three machines had them in memory, and no disk. Replicas in one room share its fuse; with quorum_mem they need power supplies of their own, or senders that can send again.", m.Outstanding)
		}
		return fmt.Sprintf("%d receipted, none lost. What no disk had was receipted to nobody: %d sends were in doubt when the power went, and their producers knew it and sent them again.", m.Receipted, m.Resent+m.InDoubt)
	}
	return st
}

// choice is the second answer if it is so, else the first.
func choice(second bool) int {
	if second {
		return 1
	}
	return 0
}
