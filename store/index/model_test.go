package index_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/store/index"
	"baton/store/record"
	"baton/store/vfs"
)

// model is what an index should say, kept in the plainest way.
type model struct {
	queues  map[string]*modelQueue
	ids     map[[2]string]record.Position // queue and id
	subs    map[[2]string]index.Subscription
	floor   record.Sequence
	created uint64
	events  story
}

type modelQueue struct {
	id                       uint64
	next                     record.Sequence
	enqueued, acked, doubles uint64
	messages                 map[record.Sequence]*modelMessage
}

type modelMessage struct {
	at    record.Position
	size  int
	count uint32
	e     record.Enqueue
}

func newModel() *model {
	return &model{queues: map[string]*modelQueue{}, ids: map[[2]string]record.Position{}, subs: map[[2]string]index.Subscription{}, floor: 1}
}

func (m *model) enqueue(at record.Position, e record.Enqueue) {
	q := m.queues[e.Queue]
	if id := [2]string{e.Queue, e.Message.DedupID}; id[1] != "" {
		if m.ids[id] != 0 {
			if q != nil {
				q.doubles++
			}
			m.events.Duplicate(e.Queue, &e)
			return
		}
		m.ids[id] = at
	}
	if q == nil {
		m.created++
		q = &modelQueue{id: m.created, next: m.floor, messages: map[record.Sequence]*modelMessage{}}
		m.queues[e.Queue] = q
	}
	size := record.RecordHeaderSize + len(e.AppendTo(nil))
	q.messages[q.next] = &modelMessage{at, size, e.Message.Redeliveries, e}
	m.events.Enqueued(e.Queue, q.next, at, size, &e)
	q.next++
	q.enqueued++
}

func (m *model) ack(queue string, seqs []record.Sequence) {
	var gone []record.Sequence
	for _, seq := range seqs {
		if q := m.queues[queue]; q != nil && q.messages[seq] != nil {
			delete(q.messages, seq)
			q.acked++
			gone = append(gone, seq)
		}
	}
	if len(gone) > 0 {
		m.events.Acked(queue, gone)
	}
}

func (m *model) redeliver(r record.Redeliver) {
	var there []record.Redelivered
	for _, d := range r.Messages {
		if q := m.queues[r.Queue]; q != nil && q.messages[d.Sequence] != nil {
			q.messages[d.Sequence].count = d.Count
			there = append(there, d)
		}
	}
	if len(there) > 0 {
		m.events.Redelivered(r.Queue, there)
	}
}

func (m *model) move(at record.Position, mv record.Move) {
	q := m.queues[mv.Enqueue.Queue]
	if q == nil || q.messages[mv.Sequence] == nil || q.messages[mv.Sequence].at != mv.From {
		return
	}
	size := record.RecordHeaderSize + len(mv.AppendTo(nil))
	q.messages[mv.Sequence] = &modelMessage{at, size, mv.Enqueue.Message.Redeliveries, mv.Enqueue}
	m.events.Moved(mv.Enqueue.Queue, mv.Sequence, at, size)
}

func (m *model) deleteQueue(name string) {
	q := m.queues[name]
	if q == nil || len(q.messages) > 0 {
		return
	}
	m.floor = max(m.floor, q.next)
	delete(m.queues, name)
	m.events.QueueDeleted(name)
}

func (m *model) subscribe(at record.Position, s record.Subscribe) {
	m.subs[[2]string{s.ClientID, s.Name}] = index.Subscription{Subscribe: s, Position: at}
	m.events.Subscribed(at, &s)
}

func (m *model) unsubscribe(u record.Unsubscribe) {
	if _, ok := m.subs[[2]string{u.ClientID, u.Name}]; ok {
		delete(m.subs, [2]string{u.ClientID, u.Name})
		m.events.Unsubscribed(u.ClientID, u.Name)
	}
}

func (m *model) forget(below record.Position) {
	maps.DeleteFunc(m.ids, func(_ [2]string, at record.Position) bool { return at < below })
}

// oldest is the lowest position that must stay.
func (m *model) oldest(end record.Position) record.Position {
	for _, at := range m.ids {
		end = min(end, at)
	}
	for _, q := range m.queues {
		for _, msg := range q.messages {
			end = min(end, msg.at)
		}
	}
	return end
}

// compare compares an index with the model, through the calls of its readers.
func (m *model) compare(t *testing.T, ix *index.Index, where string) {
	t.Helper()
	var due []index.Due
	var live []record.Position
	require.Len(t, ix.Queues(), len(m.queues), where)
	for name, q := range m.queues {
		info, ok := ix.Queue(name)
		require.True(t, ok, "%s: %s", where, name)
		bytes := 0
		want := []index.Entry{}
		for _, seq := range slices.Sorted(maps.Keys(q.messages)) {
			msg := q.messages[seq]
			bytes += msg.size
			e := index.Entry{Seq: seq, Position: msg.at, Size: msg.size, Timestamp: msg.e.Message.Timestamp,
				Deadline: msg.e.Message.Deadline, Redeliveries: msg.count}
			want = append(want, e)
			live = append(live, msg.at)
			if e.Deadline != 0 {
				due = append(due, index.Due{Queue: name, QueueID: q.id, Entry: e})
			}
		}
		info.Head = 0 // a hint
		require.Equal(t, index.QueueInfo{Name: name, ID: q.id, Next: q.next, Depth: uint64(len(want)), Bytes: uint64(bytes),
			Enqueued: q.enqueued, Acked: q.acked, Duplicates: q.doubles}, info, where)
		got, err := ix.Scan(name, 0, 1<<20)
		require.NoError(t, err)
		require.Equal(t, want, append([]index.Entry{}, got...), "%s: %s", where, name)
	}
	m.compareDue(t, ix, due, where)
	slices.Sort(live)
	oldest, any := ix.OldestLive()
	require.Equal(t, len(live) > 0, any, where)
	if any {
		require.LessOrEqual(t, oldest, live[0], where)
	}
	require.EqualValues(t, len(m.ids), ix.IDs(), where)
	at, any, err := ix.OldestID()
	require.NoError(t, err)
	require.Equal(t, len(m.ids) > 0, any, where)
	if any {
		require.Equal(t, slices.Min(slices.Collect(maps.Values(m.ids))), at, where)
	}
	subs := slices.SortedFunc(maps.Values(m.subs), func(a, b index.Subscription) int {
		return cmp.Or(cmp.Compare(a.ClientID, b.ClientID), cmp.Compare(a.Name, b.Name))
	})
	require.Equal(t, append([]index.Subscription{}, subs...), ix.Subscriptions(), where)
}

func (m *model) compareDue(t *testing.T, ix *index.Index, due []index.Due, where string) {
	t.Helper()
	slices.SortFunc(due, func(a, b index.Due) int {
		return cmp.Or(cmp.Compare(a.Deadline, b.Deadline), cmp.Compare(a.QueueID, b.QueueID), cmp.Compare(a.Seq, b.Seq))
	})
	var got []index.Due
	for after := (index.Due{}); ; after = got[len(got)-1] {
		page, err := ix.DueBefore(1<<62, after, 3)
		require.NoError(t, err)
		got = append(got, page...)
		if len(page) < 3 {
			break
		}
	}
	require.Equal(t, due, got, where)
	if n := len(due); n > 1 {
		got, err := ix.DueBefore(due[n/2].Deadline, index.Due{}, n)
		require.NoError(t, err)
		last := n / 2
		for last+1 < n && due[last+1].Deadline == due[n/2].Deadline {
			last++
		}
		require.Equal(t, due[:last+1], got, where)
	}
}

// compareFound looks for live records in the log from a base on.
func (w *writer) compareFound(t *testing.T, ix *index.Index, base index.Base, where string) {
	t.Helper()
	var want, got []index.Live
	for name, q := range w.queues {
		for seq, msg := range q.messages {
			if msg.at >= base.Position {
				want = append(want, index.Live{Position: msg.at, Queue: name, Seq: seq, Size: msg.size})
			}
		}
	}
	slices.SortFunc(want, func(a, b index.Live) int { return cmp.Compare(a.Position, b.Position) })
	f := ix.NewFinder(base)
	for _, b := range record.Batches(w.raw[base.Position:]) {
		for r := range record.Records(b) {
			l, e, live, err := f.Find(r)
			require.NoError(t, err)
			if live {
				require.Equal(t, l.Queue, e.Queue)
				require.Equal(t, w.queues[l.Queue].messages[l.Seq].count, e.Message.Redeliveries, "a move carries it on")
				got = append(got, l)
			}
		}
	}
	require.Equal(t, want, got, "%s: from %d", where, base.Position)
}

// writer makes a random log, and tells the model.
type writer struct {
	log
	*model
	rng   *rand.Rand
	moves []record.Move // some that were made before
}

func (w *writer) queueName() string { return fmt.Sprint("q", w.rng.IntN(4)) }

// sequences picks some of a queue, some of which are not there.
func (w *writer) sequences(queue string, n int) (seqs []record.Sequence) {
	q := w.queues[queue]
	if q == nil {
		return []record.Sequence{1, 5}
	}
	there := slices.Sorted(maps.Keys(q.messages))
	for range 1 + w.rng.IntN(n) {
		if len(there) > 0 && w.rng.IntN(8) > 0 {
			seqs = append(seqs, there[w.rng.IntN(len(there))])
		} else {
			seqs = append(seqs, record.Sequence(w.rng.IntN(int(q.next)+2)))
		}
	}
	return seqs
}

func (w *writer) record(b *record.Batch) {
	at := w.end + record.Position(b.Len())
	queue := w.queueName()
	switch n := w.rng.IntN(100); {
	case n < 45:
		e := record.Enqueue{Queue: queue, Message: record.Message{ID: "i", Timestamp: int64(n), Body: make([]byte, w.rng.IntN(30))}}
		if w.rng.IntN(2) == 0 {
			e.Message.Deadline = 1 + w.rng.Int64N(40)
		}
		if w.rng.IntN(2) == 0 {
			e.Message.DedupID = fmt.Sprint("id", w.rng.IntN(12))
		}
		if w.rng.IntN(4) == 0 {
			e.Message.Redeliveries = w.rng.Uint32N(3)
		}
		b.Add(record.TypeEnqueue, e.AppendTo)
		w.enqueue(at, e)
	case n < 65:
		a := record.Ack{Queue: queue, Sequences: w.sequences(queue, 6)}
		b.Add(record.TypeAck, a.AppendTo)
		w.ack(queue, a.Sequences)
	case n < 72:
		r := record.Redeliver{Queue: queue}
		for _, seq := range w.sequences(queue, 3) {
			r.Messages = append(r.Messages, record.Redelivered{Sequence: seq, Count: w.rng.Uint32N(4)})
		}
		b.Add(record.TypeRedeliver, r.AppendTo)
		w.redeliver(r)
	case n < 82:
		w.someMoves(b, queue, 3)
	case n < 86:
		b.Add(record.TypeDeleteQueue, record.DeleteQueue{Queue: queue}.AppendTo)
		w.deleteQueue(queue)
	case n < 91:
		s := record.Subscribe{ClientID: fmt.Sprint("c", w.rng.IntN(3)), Name: fmt.Sprint("s", w.rng.IntN(2)), Destination: queue, NoLocal: n%2 == 0}
		b.Add(record.TypeSubscribe, s.AppendTo)
		w.subscribe(at, s)
	case n < 94:
		u := record.Unsubscribe{ClientID: fmt.Sprint("c", w.rng.IntN(3)), Name: fmt.Sprint("s", w.rng.IntN(2))}
		b.Add(record.TypeUnsubscribe, u.AppendTo)
		w.unsubscribe(u)
	default:
		f := record.Forget{Below: at - min(at, record.Position(w.rng.IntN(4000)))}
		b.Add(record.TypeForget, f.AppendTo)
		w.forget(f.Below)
	}
}

// someMoves moves messages, and tries some moves of earlier once more.
func (w *writer) someMoves(b *record.Batch, queue string, n int) {
	q := w.queues[queue]
	if q == nil {
		return
	}
	var made []record.Move
	for _, seq := range w.sequences(queue, n) {
		if msg := q.messages[seq]; msg != nil {
			e := msg.e
			e.Message.Redeliveries = msg.count
			if w.rng.IntN(8) == 0 {
				e.Message.Deadline = w.rng.Int64N(40)
			}
			made = append(made, record.Move{Sequence: seq, From: msg.at, Enqueue: e})
		}
	}
	w.moves = append(w.moves, made...)
	if len(w.moves) > 0 && w.rng.IntN(2) == 0 {
		made = append(made, w.moves[len(w.moves)-1-w.rng.IntN(min(len(w.moves), 20))])
	}
	for _, m := range made {
		at := w.end + record.Position(b.Len())
		b.Add(record.TypeMove, m.AppendTo)
		w.move(at, m)
	}
}

// settle acknowledges or moves everything old and forgets old ids, so that the
// log can begin higher up.
func (w *writer) settle(b *record.Batch) {
	b.Add(record.TypeForget, record.Forget{Below: w.end}.AppendTo)
	w.forget(w.end)
	for _, name := range slices.Sorted(maps.Keys(w.queues)) {
		for _, seq := range slices.Sorted(maps.Keys(w.queues[name].messages)) {
			msg := w.queues[name].messages[seq]
			if w.rng.IntN(2) == 0 {
				b.Add(record.TypeAck, record.Ack{Queue: name, Sequences: []record.Sequence{seq}}.AppendTo)
				w.ack(name, []record.Sequence{seq})
				continue
			}
			e := msg.e
			e.Message.Redeliveries = msg.count
			m := record.Move{Sequence: seq, From: msg.at, Enqueue: e}
			at := w.end + record.Position(b.Len())
			b.Add(record.TypeMove, m.AppendTo)
			w.move(at, m)
		}
	}
}

// TestModel applies random logs of all types of records and compares the index
// with the model; it makes indexes anew from logs whose beginning is gone, and
// goes on with these.
func TestModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for run := range uint64(4) {
		rng := rand.New(rand.NewPCG(seed, run))
		w := &writer{model: newModel(), rng: rng}
		mem := vfs.NewMem()
		ix := open(t, mem)
		bases := []index.Base{}
		start, written, rebuilt := record.Position(0), record.Position(0), 0
		for step := range 1500 {
			where := fmt.Sprintf("seed %d run %d step %d", seed, run, step)
			var told story
			w.events = story{}
			raw := w.add(1, func(b *record.Batch) {
				if step%50 == 49 {
					w.settle(b)
				}
				for range 1 + rng.IntN(5) {
					w.record(b)
				}
				if b.Count() == 0 {
					b.Add(record.TypeAck, record.Ack{}.AppendTo)
				}
			})
			require.NoError(t, ix.Apply(raw, &told), where)
			require.Equal(t, w.events.lines, told.lines, where)
			if rng.IntN(5) == 0 {
				bases = append(bases, ix.Base())
				if rng.IntN(2) == 0 {
					ix.Divide()
				}
			}
			switch rng.IntN(50) {
			case 0:
				require.NoError(t, ix.Close())
				ix = open(t, mem)
			case 1: // the process dies, and with it what was not written
				dead := ix
				mem = mem.Kill()
				dead.Close()
				ix = open(t, mem)
				at, _ := ix.Applied()
				require.GreaterOrEqual(t, at, written, where)
				require.NoError(t, ix.Apply(w.raw[at:], nil), where)
			case 2, 3, 4:
				require.NoError(t, ix.Write())
				written = w.end
			}
			if step%10 == 0 {
				w.compare(t, ix, where)
				if n := len(bases); n > 0 {
					w.compareFound(t, ix, bases[n-1-rng.IntN(min(n, 5))], where)
				}
			}
			if rng.IntN(10) > 0 {
				continue
			}
			free := w.oldest(w.end)
			var fit []index.Base
			for _, b := range bases {
				if b.Position > start && b.Position <= free {
					fit = append(fit, b)
				}
			}
			if len(fit) == 0 {
				continue
			}
			base := fit[rng.IntN(len(fit))]
			trim, known, err := ix.TrimAt(base.Position)
			require.NoError(t, err)
			require.True(t, known)
			base, err = index.DecodeBase(base.Encode())
			require.NoError(t, err)
			other := vfs.NewMem()
			again := open(t, other)
			require.NoError(t, again.Begin(base, trim), where)
			require.NoError(t, again.Apply(w.raw[base.Position:], nil), where)
			require.Equal(t, dump(t, ix), dump(t, again), "%s: made anew from %d", where, base.Position)
			w.compare(t, again, where)
			rebuilt++
			if rng.IntN(2) == 0 {
				require.NoError(t, ix.Close())
				ix, mem, start, written = again, other, base.Position, base.Position
				bases = slices.DeleteFunc(bases, func(b index.Base) bool { return b.Position < start })
				require.NoError(t, ix.ForgetBelow(start))
			}
		}
		require.Greater(t, rebuilt, 5, "seed %d run %d: the test shows little", seed, run)
		require.Greater(t, w.floor, record.Sequence(1), "no queue was deleted")
		t.Logf("run %d: %d bytes of log, made anew %d times, now from %d", run, w.end, rebuilt, start)
	}
}
