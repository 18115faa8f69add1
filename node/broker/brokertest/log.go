// Package brokertest is a replicated log, an index and an applier in memory,
// for tests of the broker and of the server in front of it. A test decides
// when proposals commit, and whether.
package brokertest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"baton/node/broker"
	"baton/node/broker/destination"
	"baton/node/broker/policy"
	"baton/store/index"
	"baton/store/record"
)

// Log is a leader's log with the store's index. It implements the three
// interfaces of the broker. By default a proposal commits at once, on the
// proposer's goroutine.
type Log struct {
	index *index.Index

	mu       sync.Mutex
	apply    sync.Mutex // one applier at a time
	broker   *broker.Broker
	brokers  int // whose tests go on
	held     bool
	fault    error // what proposals are answered while set
	waiting  []proposal
	proposed int
	end      record.Position
	records  map[record.Position]record.Record // that hold a message
	reads    int
	readErr  error
	scanErr  error
	bare     bool // Enqueued gets no message
	lags     bool // see Lag
	told     error
	late     [][]byte // batches that are not applied; guarded by apply
}

type proposal struct {
	batch *record.Batch
	done  func(error)
}

// NewLog returns an empty log, which is closed when the tests of all of its
// brokers have ended.
func NewLog() *Log {
	return &Log{index: openIndex(), records: map[record.Position]record.Record{}}
}

// Policies returns a table in which everything is the default but for what
// change changes, for all queues and topics.
func Policies(change func(*policy.Policy)) policy.Table {
	p := policy.Default()
	change(&p)
	return policy.Table{
		{Match: destination.Destination{Kind: destination.Queue, Pattern: true, Name: ">"}, Policy: p},
		{Match: destination.Destination{Kind: destination.Topic, Pattern: true, Name: ">"}, Policy: p},
	}
}

// Broker returns a broker over the log, closed at the end of the test. Its
// messages are delivered again without delay, if change does not say
// otherwise. A second call makes the broker of the next leadership: what was applied stays.
func (l *Log) Broker(t testing.TB, change ...func(*broker.Config)) *broker.Broker {
	l.apply.Lock()
	defer l.apply.Unlock()
	cfg := broker.Config{Proposer: l, Index: l, Messages: l, IDPrefix: fmt.Sprintf("ID-test-%d-", time.Now().UnixNano())}
	cfg.Policies = Policies(func(p *policy.Policy) { p.Redelivery.Delay = 0 })
	for _, f := range change {
		f(&cfg)
	}
	b, err := broker.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	l.broker = b
	l.brokers++
	l.mu.Unlock()
	t.Cleanup(func() {
		b.Close()
		l.mu.Lock()
		l.brokers--
		last := l.brokers == 0
		l.mu.Unlock()
		if last {
			l.apply.Lock()
			defer l.apply.Unlock()
			l.index.Close()
		}
	})
	return b
}

// Hold makes proposals wait for Commit, Fail or Release.
func (l *Log) Hold() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = true
}

// Bare makes the applier give the broker no messages, only positions.
func (l *Log) Bare() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bare = true
}

// Release commits what waits, in order, and ends Hold.
func (l *Log) Release() {
	l.mu.Lock()
	l.held = false
	l.mu.Unlock()
	for l.Waiting() > 0 {
		l.Commit(1)
	}
}

// Break makes all later proposals end with err; nil ends that.
func (l *Log) Break(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault = err
}

// BreakReads makes reads of messages and scans of the index fail.
func (l *Log) BreakReads(message, scan error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.readErr, l.scanErr = message, scan
}

// Waiting is the number of proposals that wait.
func (l *Log) Waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.waiting)
}

// Proposed is the number of proposals ever made.
func (l *Log) Proposed() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.proposed
}

// Reads is the number of messages that were read from the log.
func (l *Log) Reads() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reads
}

// Propose implements broker.Proposer.
func (l *Log) Propose(b *record.Batch, done func(error)) {
	l.mu.Lock()
	l.proposed++
	fault, held, lags, told := l.fault, l.held, l.lags, l.told
	if held {
		l.waiting = append(l.waiting, proposal{b, done})
	}
	l.mu.Unlock()
	switch {
	case held:
	case lags:
		l.apply.Lock()
		l.late = append(l.late, l.write(b))
		l.apply.Unlock()
		done(told)
	case fault != nil:
		done(fault)
	default:
		l.commit(b)
		done(nil)
	}
}

// Lag makes proposals end with err, nil or broker.ErrNoQuorum, when they are in
// the log: they are applied by CatchUp.
func (l *Log) Lag(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lags, l.told = true, err
}

// CatchUp applies what was held back by Lag, and ends that.
func (l *Log) CatchUp() {
	l.apply.Lock()
	defer l.apply.Unlock()
	l.mu.Lock()
	l.lags = false
	l.mu.Unlock()
	for _, b := range l.late {
		l.applyBatch(b, sink{l, true})
	}
	l.late = nil
}

func (l *Log) pop() (proposal, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 {
		return proposal{}, false
	}
	p := l.waiting[0]
	l.waiting = l.waiting[1:]
	return p, true
}

// Commit commits the n oldest proposals that wait; false if there were fewer.
func (l *Log) Commit(n int) bool {
	for range n {
		p, ok := l.pop()
		if !ok {
			return false
		}
		l.commit(p.batch)
		p.done(nil)
	}
	return true
}

// CommitLate applies the oldest proposal that waits after telling the proposer
// that its outcome is in doubt.
func (l *Log) CommitLate(err error) {
	if p, ok := l.pop(); ok {
		p.done(err)
		l.commit(p.batch)
	}
}

// Fail ends the n oldest proposals that wait with err.
func (l *Log) Fail(n int, err error) bool {
	for range n {
		p, ok := l.pop()
		if !ok {
			return false
		}
		p.done(err)
	}
	return true
}

// commit appends a batch and applies it: index first, then the broker.
func (l *Log) commit(batch *record.Batch) {
	l.apply.Lock()
	defer l.apply.Unlock()
	l.append(batch, sink{l, true})
}

func (l *Log) append(batch *record.Batch, to index.Sink) { l.applyBatch(l.write(batch), to) }

func (l *Log) write(batch *record.Batch) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := batch.Seal(1, l.end, l.end, time.Now(), batch.Prepare())
	l.end += record.Position(len(b))
	for r := range record.Records(b) {
		if r.Type == record.TypeEnqueue || r.Type == record.TypeMove {
			l.records[r.Position] = r
		}
	}
	return b
}

func (l *Log) applyBatch(b []byte, to index.Sink) {
	if err := l.index.Apply(b, to); err != nil {
		panic(err)
	}
}

// Move gives a live message another position, as retention does: the old one
// is gone from then on. The broker is told if tell is set.
func (l *Log) Move(name string, seq record.Sequence, tell bool) {
	l.apply.Lock()
	defer l.apply.Unlock()
	found, err := l.index.Scan(name, seq, 1)
	if err != nil || len(found) == 0 || found[0].Seq != seq {
		panic(fmt.Sprintf("brokertest: move of message %d of %q, which is not there: %v", seq, name, err))
	}
	from := found[0].Position
	e, err := l.read(from)
	if err != nil {
		panic(err)
	}
	e.Message.Redeliveries = found[0].Redeliveries
	b := record.NewBatch(found[0].Size)
	b.Add(record.TypeMove, record.Move{Sequence: seq, From: from, Enqueue: e}.AppendTo)
	l.append(b, sink{l, tell})
	l.mu.Lock()
	delete(l.records, from)
	l.mu.Unlock()
}

// sink passes on to the broker what is applied.
type sink struct {
	l     *Log
	moves bool // tell of those too
}

// tell calls f with the broker, if there is one.
func (s sink) tell(f func(b *broker.Broker)) {
	s.l.mu.Lock()
	b := s.l.broker
	s.l.mu.Unlock()
	if b != nil {
		f(b)
	}
}

func (s sink) Enqueued(queue string, seq record.Sequence, at record.Position, size int, e *record.Enqueue) {
	s.l.mu.Lock()
	if s.l.bare {
		e = nil
	}
	s.l.mu.Unlock()
	s.tell(func(b *broker.Broker) { b.Enqueued(queue, seq, at, size, e) })
}

func (s sink) Acked(queue string, seqs []record.Sequence) {
	s.tell(func(b *broker.Broker) { b.Acked(queue, seqs) })
}

func (s sink) Duplicate(queue string, e *record.Enqueue) {
	s.tell(func(b *broker.Broker) { b.Duplicate(queue, e) })
}

func (s sink) Moved(queue string, seq record.Sequence, at record.Position, size int) {
	if s.moves {
		s.tell(func(b *broker.Broker) { b.Moved(queue, seq, at, size) })
	}
}

func (s sink) Redelivered(queue string, messages []record.Redelivered) {
	s.tell(func(b *broker.Broker) { b.Redelivered(queue, messages) })
}

func (s sink) QueueDeleted(queue string) {
	s.tell(func(b *broker.Broker) { b.QueueDeleted(queue) })
}

func (s sink) Subscribed(at record.Position, sub *record.Subscribe) {
	s.tell(func(b *broker.Broker) { b.Subscribed(at, sub) })
}

func (s sink) Unsubscribed(clientID, name string) {
	s.tell(func(b *broker.Broker) { b.Unsubscribed(clientID, name) })
}
