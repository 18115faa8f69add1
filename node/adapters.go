package node

import (
	"errors"
	"os"

	"baton/node/broker"
	"baton/repl"
	"baton/store"
	"baton/store/index"
	"baton/store/record"
)

var processID = os.Getpid()

// Propose gives the broker the leader, with the broker's word for its errors.
func (l *leadership) Propose(b *record.Batch, done func(error)) {
	l.leader.Propose(b, func(err error) {
		if err == nil {
			l.commits.Add(1)
		}
		if errors.Is(err, repl.ErrNoQuorum) {
			err = broker.ErrNoQuorum
		}
		if errors.Is(err, repl.ErrFull) {
			err = broker.ErrDiskFull
		}
		if errors.Is(err, repl.ErrOverloaded) || errors.Is(err, repl.ErrTransferring) {
			err = broker.ErrBusy
		}
		done(err)
	})
}

// proposeAndWait returns when a batch of this node's own is committed, or its
// outcome is in doubt.
func (l *leadership) proposeAndWait(b *record.Batch) error {
	done := make(chan error, 1)
	l.leader.Propose(b, func(err error) { done <- err })
	select {
	case err := <-done:
		if errors.Is(err, repl.ErrStopped) {
			return l.ctx.Err()
		}
		return err
	case <-l.ctx.Done():
		return l.ctx.Err()
	}
}

// brokerIndex gives the broker the store's index. It asks the store each time,
// for a damaged index is replaced by a new one.
type brokerIndex struct{ store *store.Store }

func (b brokerIndex) Queues() []broker.QueueInfo {
	list := b.store.Index().Queues()
	out := make([]broker.QueueInfo, len(list))
	for i, q := range list {
		out[i] = queueInfo(q)
	}
	return out
}

func (b brokerIndex) Queue(name string) (broker.QueueInfo, bool) {
	q, ok := b.store.Index().Queue(name)
	return queueInfo(q), ok
}

func queueInfo(q index.QueueInfo) broker.QueueInfo {
	return broker.QueueInfo{Name: q.Name, Depth: q.Depth, Bytes: q.Bytes, Enqueued: q.Enqueued, Acked: q.Acked,
		Duplicates: q.Duplicates, NextSequence: q.Next, FirstSequence: q.Head}
}

func (b brokerIndex) Scan(queue string, from record.Sequence, limit int) ([]broker.Entry, error) {
	list, err := b.store.Index().Scan(queue, from, limit)
	if errors.Is(err, index.ErrNoQueue) {
		return nil, nil // nothing is in it: it was deleted, or never made
	}
	out := make([]broker.Entry, len(list))
	for i, e := range list {
		out[i] = brokerEntry(e)
	}
	return out, err
}

func brokerEntry(e index.Entry) broker.Entry {
	return broker.Entry{Sequence: e.Seq, Position: e.Position, Size: e.Size, Timestamp: e.Timestamp,
		Deadline: e.Deadline, Redeliveries: e.Redeliveries}
}

func (b brokerIndex) DueBefore(t int64, after broker.Due, limit int) ([]broker.Due, error) {
	from := index.Due{QueueID: after.QueueID, Entry: index.Entry{Seq: after.Sequence, Deadline: after.Deadline}}
	list, err := b.store.Index().DueBefore(t, from, limit)
	out := make([]broker.Due, len(list))
	for i, d := range list {
		out[i] = broker.Due{Queue: d.Queue, QueueID: d.QueueID, Entry: brokerEntry(d.Entry)}
	}
	return out, err
}

func (b brokerIndex) Subscriptions() []broker.Durable {
	list := b.store.Index().Subscriptions()
	out := make([]broker.Durable, len(list))
	for i, s := range list {
		out[i] = broker.Durable{Subscribe: s.Subscribe, Position: s.Position}
	}
	return out
}
