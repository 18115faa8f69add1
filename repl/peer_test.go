package repl_test

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/repl"
	"baton/repl/transport"
	"baton/repl/wire"
	"baton/store/record"
)

// TestBadPeers drives both sides with hand-made frames.
func TestBadPeers(t *testing.T) {
	checkGoroutines(t)
	batch := func(epoch record.Epoch, at record.Position) []byte {
		b := message("x")
		return b.Seal(epoch, at, 0, time.Unix(0, 0), b.Prepare())
	}
	damaged := batch(1, 0)
	damaged[len(damaged)-1] ^= 1
	for name, c := range map[string]struct {
		epoch   record.Epoch
		body    wire.Body
		refused string
	}{
		"a gap":                     {1, wire.Append{Batches: batch(1, 100)}, "refused protocol error: the batch for position 100 came, the log ends at 0"},
		"a batch from the future":   {1, wire.Append{Batches: batch(2, 0)}, "refused protocol error: a batch of epoch 2"},
		"a damaged batch":           {1, wire.Append{Batches: damaged}, "refused protocol error: the batch for position 0 is not valid"},
		"half a batch":              {1, wire.Append{Batches: batch(1, 0)[:60]}, "refused protocol error: the batch for position 0 is not valid"},
		"nothing":                   {1, wire.Append{}, "refused protocol error: the batch for position 0 is not valid"},
		"a frame of another role":   {1, wire.Ack{}, "refused protocol error: unexpected ack frame"},
		"a frame of an older epoch": {0, wire.Heartbeat{}, "refused protocol error: a heartbeat frame of epoch 0"},
		"a frame of a newer epoch":  {2, wire.Heartbeat{}, "fenced 2"},
	} {
		t.Run("leader sends "+name, func(t *testing.T) {
			b := newNode(t, "n2")
			fake := newFakeLeader(t, b, 1)
			b.follow(&node{id: fake.id, server: fake.server}, 1, fake.at)
			conn := fake.accept(wire.Position{})
			defer conn.Close()
			b.journal.wait(t, "link up")
			require.NoError(t, conn.Send(c.epoch, c.body))
			b.journal.wait(t, c.refused)
			require.Zero(t, b.log.Positions().Append)
		})
	}
	for name, answer := range map[string]wire.Position{
		"past the end": {At: 1}, "a cut past the end": {Truncate: true, At: 5000},
	} {
		t.Run("leader answers "+name, func(t *testing.T) {
			b := newNode(t, "n2")
			fake := newFakeLeader(t, b, 1)
			b.follow(&node{id: fake.id, server: fake.server}, 1, fake.at)
			defer fake.accept(answer).Close()
			b.journal.wait(t, "refused protocol error: the leader answered")
		})
	}
	for name, c := range map[string]struct {
		epoch record.Epoch
		body  wire.Body
		lost  string
	}{
		"an ack past what was sent":     {1, wire.Ack{Received: 1 << 40}, "impossible ack"},
		"flushed past received":         {1, wire.Ack{Flushed: 1}, "impossible ack"},
		"an ack of another epoch":       {0, wire.Ack{}, "ack frame of epoch 0"},
		"a frame of another role":       {1, wire.Heartbeat{}, "unexpected heartbeat"},
		"nothing at all":                {0, nil, "nothing heard"},
		"a refusal":                     {1, wire.Refuse{Code: wire.CodeProtocol, Text: "no thanks"}, "no thanks"},
		"a claim that it sealed higher": {3, wire.Ack{}, "fenced"},
	} {
		t.Run("follower sends "+name, func(t *testing.T) {
			a := newNode(t, "n1")
			if c.body == nil {
				a = newNodeThat(t, "n1", shortSilence)
			}
			a.lead(1, []*node{newNode(t, "n2")})
			nc, err := net.Dial("tcp", a.server.Addr().String())
			require.NoError(t, err)
			id := a.id
			id.Node, id.Incarnation = "n2", "n2-a"
			conn, _, err := transport.Connect(nc, transport.Options{Identity: id, Epoch: 1, Handshake: deadline}, "n1")
			require.NoError(t, err)
			defer conn.Close()
			require.NoError(t, conn.Send(1, wire.Attach{}))
			a.journal.wait(t, "attached n2")
			if c.body != nil {
				require.NoError(t, conn.Send(c.epoch, c.body))
			}
			a.journal.wait(t, "lost n2: ")
			require.Contains(t, a.journal.all(), c.lost)
			require.Less(t, a.leader.Commit(), a.log.Positions().Append)
		})
	}
}

// fakeLeader answers the handshake and then does what a test says.
type fakeLeader struct {
	t      *testing.T
	id     repl.Identity
	ln     net.Listener
	epoch  record.Epoch
	server *repl.Server
	at     func(*repl.FollowerConfig)
}

func newFakeLeader(t *testing.T, follower *node, epoch record.Epoch) *fakeLeader {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() {
		follower.follower.Stop()
		ln.Close()
	})
	id := follower.id
	id.Node = "n1"
	return &fakeLeader{t: t, id: id, ln: ln, epoch: epoch, server: follower.server,
		at: func(c *repl.FollowerConfig) { c.Address = ln.Addr().String() }}
}

// accept serves one session up to the answer, and reads on until it ends.
func (f *fakeLeader) accept(answer wire.Position) *transport.Conn {
	f.t.Helper()
	nc, err := f.ln.Accept()
	require.NoError(f.t, err)
	conn, _, err := transport.Accept(nc, transport.Options{Identity: f.id, Epoch: f.epoch, Handshake: deadline})
	require.NoError(f.t, err)
	_, _, err = conn.Next()
	require.NoError(f.t, err)
	require.NoError(f.t, conn.Send(f.epoch, answer))
	go func() {
		for {
			if _, _, err := conn.Next(); err != nil {
				conn.Close()
				return
			}
		}
	}()
	return conn
}
