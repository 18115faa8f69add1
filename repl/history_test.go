package repl_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/repl"
	"baton/store/record"
)

// TestNothingCommittedIsLost elects, crashes, cuts off and revives leaders from
// a seed, with proposals under way all the time. What a leader reported as
// committed must be in the log of every later leader, and what one leader
// reported must be there in the order of the reports. BATON_SEED repeats a run as far as goroutines allow.
func TestNothingCommittedIsLost(t *testing.T) {
	checkGoroutines(t)
	h := newHistory(t)
	until := time.Now().Add(3 * time.Second)
	for epoch := record.Epoch(1); time.Now().Before(until) || h.reports() == 0; epoch++ {
		h.elect(epoch)
		h.work()
	}
	h.settle()
	t.Logf("%d epochs, %d proposed, %d committed, %d zombies woken", h.epoch, h.proposed, len(h.committed), h.zombies)
	require.NotEmpty(t, h.committed)
}

type history struct {
	t     *testing.T
	r     *rand.Rand
	nodes []*node
	epoch record.Epoch
	now   *node // the leader of the newest epoch

	zombies   int
	proposed  int
	mu        sync.Mutex
	committed []report
}

// report is one proposal that a leader said was committed.
type report struct {
	id     string
	leader record.Epoch
}

func newHistory(t *testing.T) *history {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("BATON_SEED"); s != "" {
		v, err := strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
		seed = v
	}
	t.Logf("BATON_SEED=%d", seed)
	h := &history{t: t, r: rand.New(rand.NewPCG(seed, 1))}
	for i := range 3 {
		h.nodes = append(h.nodes, newNode(t, fmt.Sprintf("n%d", i+1)))
	}
	return h
}

// elect seals a quorum for the epoch, in the order in which a node does it:
// promise, end every role, then publish the flushed end. The one outside goes
// on with what it does: a follower without a leader, or a leader that knows
// nothing of all this.
func (h *history) elect(epoch record.Epoch) {
	h.epoch = epoch
	order := h.r.Perm(3)
	quorum := order[:2+h.r.IntN(2)]
	best := -1
	var bestEpoch record.Epoch
	var bestEnd record.Position
	for _, i := range quorum {
		n := h.nodes[i]
		require.NoError(h.t, n.Seal(epoch))
		h.demote(n)
		if h.r.IntN(3) == 0 {
			n.log.Crash()
		}
		n.log.HoldWrites(false)
		n.log.HoldFlush(false)
		p := n.log.Positions()
		require.Equal(h.t, p.Append, p.Flush)
		if best < 0 || p.Epoch > bestEpoch || p.Epoch == bestEpoch && p.Flush > bestEnd {
			best, bestEpoch, bestEnd = i, p.Epoch, p.Flush
		}
	}
	h.now = h.nodes[best]
	h.inLog(h.now)
	h.now.lead(epoch, h.nodes, func(c *repl.LeaderConfig) { c.QuorumTimeout = 50 * time.Millisecond })
	for _, i := range order {
		if n := h.nodes[i]; i != best && n.leader == nil && h.r.IntN(5) > 0 {
			n.follow(h.now, epoch)
		}
	}
	for _, n := range h.nodes {
		if n != h.now && n.leader != nil {
			h.zombies++
		}
	}
}

func (h *history) demote(n *node) {
	n.server.SetLeader(nil)
	if n.leader != nil {
		n.leader.Stop(nil)
		n.leader = nil
	}
	if n.follower != nil {
		n.follower.Stop()
		n.follower = nil
	}
}

// work proposes to every leader there is while disks hang and links break.
func (h *history) work() {
	for range 5 + h.r.IntN(20) {
		n := h.nodes[h.r.IntN(3)]
		switch h.r.IntN(12) {
		case 0:
			n.log.HoldFlush(true)
		case 1:
			n.log.HoldWrites(true)
		case 2, 3:
			n.log.HoldWrites(false)
			n.log.HoldFlush(false)
		case 4:
			if n != h.now && n.leader == nil {
				n.follow(h.now, h.epoch)
			}
		case 5:
			if n.follower != nil {
				n.follower.Stop()
				n.follower = nil
			}
		}
		for _, l := range h.nodes {
			if l.leader != nil {
				h.propose(l)
			}
		}
		if h.r.IntN(3) == 0 {
			<-time.After(time.Duration(h.r.IntN(2000)) * time.Microsecond)
		}
	}
}

func (h *history) propose(l *node) {
	h.proposed++
	id := fmt.Sprintf("%s/%d/%d", l.id.Node, h.epoch, h.proposed)
	epoch := l.leader.Status().Epoch
	b := record.NewBatch(100)
	b.Add(record.TypeEnqueue, record.Enqueue{Queue: "q", Message: record.Message{ID: id}}.AppendTo)
	l.leader.Propose(b, func(err error) {
		if err == nil {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.committed = append(h.committed, report{id, epoch})
		}
	})
}

// reports counts what leaders said was committed.
func (h *history) reports() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.committed)
}

// inLog checks that everything committed so far is in the log of n.
func (h *history) inLog(n *node) {
	h.mu.Lock()
	want := append([]report(nil), h.committed...)
	h.mu.Unlock()
	at := map[string]int{}
	raw := n.log.Bytes()
	for len(raw) > 0 {
		hd, err := record.Verify(raw)
		require.NoError(h.t, err)
		for rec := range record.Records(raw) {
			if rec.Type == record.TypeEnqueue {
				e, err := record.ParseEnqueue(rec.Body)
				require.NoError(h.t, err)
				at[e.Message.ID] = len(at) + 1
			}
		}
		raw = raw[hd.Length:]
	}
	last := map[record.Epoch]int{}
	for _, w := range want {
		if at[w.id] == 0 {
			h.t.Fatalf("%s was committed in epoch %d and is not in the log of %s, elected for epoch %d", w.id, w.leader, n.id.Node, h.epoch)
		}
		if at[w.id] <= last[w.leader] {
			h.t.Fatalf("%s was reported out of order by the leader of epoch %d", w.id, w.leader)
		}
		last[w.leader] = at[w.id]
	}
}

// settle ends all trouble, elects once more and compares the logs.
func (h *history) settle() {
	for _, n := range h.nodes {
		n.log.HoldWrites(false)
		n.log.HoldFlush(false)
	}
	h.epoch++
	var best *node
	for _, n := range h.nodes {
		require.NoError(h.t, n.Seal(h.epoch))
		h.demote(n)
		p := n.log.Positions()
		if best == nil || p.Epoch > best.log.Positions().Epoch ||
			p.Epoch == best.log.Positions().Epoch && p.Flush > best.log.Positions().Flush {
			best = n
		}
	}
	h.inLog(best)
	best.lead(h.epoch, h.nodes)
	for _, n := range h.nodes {
		if n != best {
			n.follow(best, h.epoch)
		}
	}
	best.mustCommit("the end")
	sameLogs(h.t, best, h.nodes[0], h.nodes[1], h.nodes[2])
}
