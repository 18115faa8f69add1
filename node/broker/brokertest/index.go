package brokertest

import (
	"errors"
	"fmt"

	"baton/node/broker"
	"baton/store/index"
	"baton/store/record"
	"baton/store/vfs"
)

// The goroutines of an index must not be in the bubble of a test that uses
// testing/synctest, for some outlive its Close by a second. So indexes are
// opened by a goroutine that is in none.
var opened = func() <-chan *index.Index {
	c := make(chan *index.Index)
	go func() {
		for {
			ix, err := index.Open(vfs.NewMem(), "/index")
			if err != nil {
				panic(err)
			}
			c <- ix
		}
	}()
	return c
}()

func openIndex() *index.Index { return <-opened }

// Queues implements broker.Index.
func (l *Log) Queues() []broker.QueueInfo {
	var all []broker.QueueInfo
	for _, q := range l.index.Queues() {
		all = append(all, queueInfo(q))
	}
	return all
}

// Queue implements broker.Index.
func (l *Log) Queue(name string) (broker.QueueInfo, bool) {
	q, ok := l.index.Queue(name)
	return queueInfo(q), ok
}

func queueInfo(q index.QueueInfo) broker.QueueInfo {
	return broker.QueueInfo{Name: q.Name, Depth: q.Depth, Bytes: q.Bytes, Enqueued: q.Enqueued, Acked: q.Acked,
		Duplicates: q.Duplicates, NextSequence: q.Next, FirstSequence: q.Head}
}

// Depth is the number of live messages of a queue.
func (l *Log) Depth(name string) int {
	q, _ := l.Queue(name)
	return int(q.Depth)
}

// Scan implements broker.Index.
func (l *Log) Scan(name string, from record.Sequence, limit int) ([]broker.Entry, error) {
	l.mu.Lock()
	err := l.scanErr
	l.mu.Unlock()
	if err != nil {
		return nil, err
	}
	list, err := l.index.Scan(name, from, limit)
	if errors.Is(err, index.ErrNoQueue) {
		return nil, nil
	}
	var found []broker.Entry
	for _, e := range list {
		found = append(found, entry(e))
	}
	return found, err
}

func entry(e index.Entry) broker.Entry {
	return broker.Entry{Sequence: e.Seq, Position: e.Position, Size: e.Size, Timestamp: e.Timestamp,
		Deadline: e.Deadline, Redeliveries: e.Redeliveries}
}

// DueBefore implements broker.Index.
func (l *Log) DueBefore(t int64, after broker.Due, limit int) ([]broker.Due, error) {
	l.mu.Lock()
	err := l.scanErr
	l.mu.Unlock()
	if err != nil {
		return nil, err
	}
	list, err := l.index.DueBefore(t, index.Due{QueueID: after.QueueID,
		Entry: index.Entry{Seq: after.Sequence, Deadline: after.Deadline}}, limit)
	var due []broker.Due
	for _, d := range list {
		due = append(due, broker.Due{Queue: d.Queue, QueueID: d.QueueID, Entry: entry(d.Entry)})
	}
	return due, err
}

// Subscriptions implements broker.Index.
func (l *Log) Subscriptions() []broker.Durable {
	var all []broker.Durable
	for _, s := range l.index.Subscriptions() {
		all = append(all, broker.Durable{Subscribe: s.Subscribe, Position: s.Position})
	}
	return all
}

// Enqueued implements broker.Messages.
func (l *Log) Enqueued(at record.Position) (record.Enqueue, error) {
	l.mu.Lock()
	l.reads++
	err := l.readErr
	l.mu.Unlock()
	if err != nil {
		return record.Enqueue{}, err
	}
	return l.read(at)
}

func (l *Log) read(at record.Position) (record.Enqueue, error) {
	l.mu.Lock()
	r, ok := l.records[at]
	l.mu.Unlock()
	if !ok {
		return record.Enqueue{}, fmt.Errorf("%w: no record at %d", record.ErrCorrupt, at)
	}
	return record.ParseMessage(r)
}
