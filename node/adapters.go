package node

import (
	"errors"
	"os"

	"baton/node/broker"
	"baton/repl"
	"baton/store"
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

// brokerIndex gives the broker the store's index. It asks the store each time,
// for a damaged index is replaced by a new one.
type brokerIndex struct{ store *store.Store }

func (b brokerIndex) Queues() []broker.QueueInfo {
	list := b.store.Index().Queues()
	out := make([]broker.QueueInfo, len(list))
	for i, q := range list {
		out[i] = broker.QueueInfo{Name: q.Name, Depth: q.Depth, Bytes: q.Bytes, Enqueued: q.Enqueued, Acked: q.Acked,
			NextSequence: q.Next, FirstSequence: q.Head}
	}
	return out
}

func (b brokerIndex) Queue(name string) (broker.QueueInfo, bool) {
	q, ok := b.store.Index().Queue(name)
	return broker.QueueInfo{Name: q.Name, Depth: q.Depth, Bytes: q.Bytes, Enqueued: q.Enqueued, Acked: q.Acked,
		NextSequence: q.Next, FirstSequence: q.Head}, ok
}

func (b brokerIndex) Scan(queue string, from record.Sequence, limit int) ([]broker.Entry, error) {
	list, err := b.store.Index().Scan(queue, from, limit)
	out := make([]broker.Entry, len(list))
	for i, e := range list {
		out[i] = broker.Entry{Sequence: e.Seq, Position: e.Position, Size: e.Size, Timestamp: e.Timestamp,
			Deadline: e.Deadline, Redeliveries: e.Redeliveries}
	}
	return out, err
}
