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
	"baton/store/record"
)

// Log is a leader's log with the store's index. It implements the three
// interfaces of the broker. By default a proposal commits at once, on the
// proposer's goroutine.
type Log struct {
	mu       sync.Mutex
	apply    sync.Mutex // one applier at a time
	broker   *broker.Broker
	held     bool
	fault    error // what proposals are answered while set
	waiting  []proposal
	proposed int
	end      record.Position
	queues   map[string]*queue
	bodies   map[record.Position][]byte
	reads    int
	readErr  error
	scanErr  error
	bare     bool // Enqueued gets no message
}

type proposal struct {
	batch *record.Batch
	done  func(error)
}

type queue struct {
	info  broker.QueueInfo
	first record.Sequence // of live[0]
	live  []broker.Entry  // Position 0 and Size 0: gone
}

// NewLog returns an empty log.
func NewLog() *Log {
	l := &Log{queues: map[string]*queue{}, bodies: map[record.Position][]byte{}}
	return l
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
	t.Cleanup(b.Close)
	l.mu.Lock()
	l.broker = b
	l.mu.Unlock()
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
	fault, held := l.fault, l.held
	if held {
		l.waiting = append(l.waiting, proposal{b, done})
	}
	l.mu.Unlock()
	switch {
	case held:
	case fault != nil:
		done(fault)
	default:
		l.commit(b)
		done(nil)
	}
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
	l.mu.Lock()
	b := batch.Seal(1, l.end, l.end, time.Now(), batch.Prepare())
	l.end += record.Position(len(b))
	l.mu.Unlock()
	for r := range record.Records(b) {
		switch r.Type {
		case record.TypeEnqueue:
			l.applyEnqueue(r)
		case record.TypeAck:
			l.applyAck(r)
		case record.TypeRedeliver:
			l.applyRedeliver(r)
		default:
			panic(fmt.Sprintf("brokertest: record of %s", r.Type))
		}
	}
}

// Move gives a live message another position, as retention does: the old one
// is gone from then on. The broker is told if tell is set.
func (l *Log) Move(name string, seq record.Sequence, tell bool) {
	l.apply.Lock()
	defer l.apply.Unlock()
	l.mu.Lock()
	q := l.queues[name]
	en := &q.live[seq-q.first]
	l.bodies[l.end] = l.bodies[en.Position]
	delete(l.bodies, en.Position)
	en.Position = l.end
	l.end += record.Position(en.Size)
	at, size, b := en.Position, en.Size, l.broker
	l.mu.Unlock()
	if tell && b != nil {
		b.Moved(name, seq, at, size)
	}
}

func (l *Log) applyEnqueue(r record.Record) {
	e, err := record.ParseEnqueue(r.Body)
	if err != nil {
		panic(err)
	}
	size := record.RecordHeaderSize + len(r.Body)
	l.mu.Lock()
	q := l.queues[e.Queue]
	if q == nil {
		q = &queue{info: broker.QueueInfo{Name: e.Queue, NextSequence: 1}, first: 1}
		l.queues[e.Queue] = q
	}
	seq := q.info.NextSequence
	q.info.NextSequence++
	q.info.Depth++
	q.info.Enqueued++
	q.info.Bytes += uint64(size)
	q.live = append(q.live, broker.Entry{Sequence: seq, Position: r.Position, Size: size, Timestamp: e.Message.Timestamp,
		Deadline: e.Message.Deadline, Redeliveries: e.Message.Redeliveries})
	l.bodies[r.Position] = r.Body
	b, bare := l.broker, l.bare
	l.mu.Unlock()
	if b == nil {
		return
	}
	if bare {
		b.Enqueued(e.Queue, seq, r.Position, size, nil)
		return
	}
	b.Enqueued(e.Queue, seq, r.Position, size, &e)
}

func (l *Log) applyAck(r record.Record) {
	a, err := record.ParseAck(r.Body)
	if err != nil {
		panic(err)
	}
	l.mu.Lock()
	q := l.queues[a.Queue]
	for _, seq := range a.Sequences {
		i := int(seq - q.first)
		if seq < q.first || i >= len(q.live) || q.live[i].Size == 0 {
			continue // acked twice: the first ack's outcome was in doubt
		}
		q.info.Depth--
		q.info.Acked++
		q.info.Bytes -= uint64(q.live[i].Size)
		delete(l.bodies, q.live[i].Position)
		q.live[i].Size = 0
	}
	for len(q.live) > 0 && q.live[0].Size == 0 {
		q.live, q.first = q.live[1:], q.first+1
	}
	b := l.broker
	l.mu.Unlock()
	if b != nil {
		b.Acked(a.Queue, a.Sequences)
	}
}

func (l *Log) applyRedeliver(r record.Record) {
	d, err := record.ParseRedeliver(r.Body)
	if err != nil {
		panic(err)
	}
	l.mu.Lock()
	q, b := l.queues[d.Queue], l.broker
	for _, m := range d.Messages {
		if i := int(m.Sequence - q.first); m.Sequence >= q.first && i < len(q.live) && q.live[i].Size > 0 {
			q.live[i].Redeliveries = m.Count
		}
	}
	l.mu.Unlock()
	if b != nil {
		b.Redelivered(d.Queue, d.Messages)
	}
}

// Queues implements broker.Index.
func (l *Log) Queues() []broker.QueueInfo {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []broker.QueueInfo
	for _, q := range l.queues {
		all = append(all, q.info)
	}
	return all
}

// Queue implements broker.Index.
func (l *Log) Queue(name string) (broker.QueueInfo, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if q := l.queues[name]; q != nil {
		return q.info, true
	}
	return broker.QueueInfo{}, false
}

// Depth is the number of live messages of a queue.
func (l *Log) Depth(name string) int {
	q, _ := l.Queue(name)
	return int(q.Depth)
}

// Scan implements broker.Index.
func (l *Log) Scan(name string, from record.Sequence, limit int) ([]broker.Entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.scanErr != nil {
		return nil, l.scanErr
	}
	var found []broker.Entry
	if q := l.queues[name]; q != nil {
		for i := int(max(from, q.first) - q.first); i < len(q.live) && len(found) < limit; i++ {
			if q.live[i].Size > 0 {
				found = append(found, q.live[i])
			}
		}
	}
	return found, nil
}

// Enqueued implements broker.Messages.
func (l *Log) Enqueued(at record.Position) (record.Enqueue, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads++
	if l.readErr != nil {
		return record.Enqueue{}, l.readErr
	}
	body, ok := l.bodies[at]
	if !ok {
		return record.Enqueue{}, fmt.Errorf("%w: no record at %d", record.ErrCorrupt, at)
	}
	return record.ParseEnqueue(body)
}
