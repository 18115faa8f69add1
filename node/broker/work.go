package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"baton/node/adminapi"
	"baton/node/broker/destination"
	"baton/store/record"
)

// work is a batch of what an operator wants done with messages of a queue.
// Those that leave the queue are taken out of delivery until the batch is
// committed, so that no consumer gets them meanwhile.
type work struct {
	b     *Broker
	name  string
	batch *record.Batch
	acks  map[uint8][]record.Sequence
	taken []*entry
	count int
	// demands are what the batch puts into queues with limits.
	demands []demand
	adminapi.Progress
}

func (w *work) laneName(priority uint8) string {
	if w.name == destination.Schedule {
		return w.name
	}
	return destination.Lane(w.name, priority)
}

// take makes a message leave the queue, if no consumer has it.
func (w *work) take(r ref, e Entry) bool {
	if q := w.b.find(w.name); q != nil {
		en, pending := q.takeForRemoval(r.priority, e)
		if pending {
			w.keep("consumers have some of the messages")
		}
		if en == nil {
			return false
		}
		w.taken = append(w.taken, en)
	}
	w.acks[r.priority] = append(w.acks[r.priority], e.Sequence)
	w.count++
	return true
}

func (w *work) keep(why string) {
	w.Kept++
	w.Why = why
}

func (w *work) enqueue(to string, m record.Message) {
	w.demands = w.b.letIn(w.demands, to, &m)
	e := record.Enqueue{Queue: destination.Lane(to, m.Priority), Message: m}
	if w.batch == nil {
		w.batch = record.NewBatch(len(e.Message.Body) + 1024)
	}
	w.batch.Add(record.TypeEnqueue, e.AppendTo)
}

func (w *work) full() bool {
	return w.count >= operateRecords || w.batch != nil && w.batch.Len() >= operateBytes
}

// commit proposes the batch and waits for it.
func (w *work) commit(ctx context.Context) error {
	if w.count == 0 {
		return nil
	}
	if w.batch == nil {
		w.batch = record.NewBatch(64 + 6*w.count)
	}
	for p, seqs := range w.acks {
		w.batch.Add(record.TypeAck, record.Ack{Queue: w.laneName(p), Sequences: seqs}.AppendTo)
	}
	err := w.b.proposeWait(ctx, w.batch, w.demands)
	if errors.Is(err, ErrDiskFull) || errors.Is(err, ErrBusy) {
		for _, en := range w.taken { // the others are on their way out, or this leadership ends
			en.lane.q.putBack(en)
		}
	}
	if err == nil {
		w.Done += uint64(w.count)
	}
	w.batch, w.taken, w.count, w.demands = nil, nil, 0, nil
	clear(w.acks)
	return err
}

// each lets add put messages into batches, and commits these one after the
// other: those of refs, or all that are in the queue at the moment.
func (b *Broker) each(ctx context.Context, name string, refs []ref, tell func(adminapi.Progress),
	add func(*work, ref, Entry) error) (adminapi.Progress, error) {
	b.cfg.CatchUp()
	lanes, err := b.indexLanes(name)
	if err != nil {
		return adminapi.Progress{}, err
	}
	w := &work{b: b, name: name, acks: map[uint8][]record.Sequence{}}
	visit := func(r ref, e Entry) error {
		if err := add(w, r, e); err != nil || !w.full() {
			return err
		}
		err := w.commit(ctx)
		if err == nil && tell != nil {
			tell(w.Progress)
		}
		return err
	}
	for _, l := range lanes {
		w.Total += l.Depth
	}
	if refs != nil {
		w.Total = uint64(len(refs))
		err = b.visitRefs(w, refs, visit)
	} else {
		err = b.visitAll(ctx, lanes, visit)
	}
	if cerr := w.commit(ctx); err == nil {
		err = cerr
	}
	w.Finished = err == nil
	return w.Progress, err
}

// visitAll visits what is in lanes.
func (b *Broker) visitAll(ctx context.Context, lanes []indexLane, visit func(ref, Entry) error) error {
	for _, l := range lanes {
		for from := l.FirstSequence; from < l.NextSequence && ctx.Err() == nil; {
			list, err := b.cfg.Index.Scan(l.Name, from, operateRecords)
			if err != nil {
				return fmt.Errorf("read queue %q: %w", l.Name, err)
			}
			if len(list) == 0 {
				break
			}
			for _, e := range list {
				if from = e.Sequence + 1; e.Sequence >= l.NextSequence {
					break
				}
				if err := visit(ref{l.priority, e.Sequence}, e); err != nil {
					return err
				}
			}
		}
	}
	return ctx.Err()
}

// visitRefs visits those messages that are there; the others are kept.
func (b *Broker) visitRefs(w *work, refs []ref, visit func(ref, Entry) error) error {
	slices.SortFunc(refs, func(x, y ref) int {
		if x.priority != y.priority {
			return int(y.priority) - int(x.priority)
		}
		return int(min(max(int64(x.seq)-int64(y.seq), -1), 1))
	})
	for _, r := range slices.Compact(refs) {
		if _, ok := b.cfg.Index.Queue(w.laneName(r.priority)); !ok {
			w.keep("some of the messages are not there any more")
			continue
		}
		found, err := b.cfg.Index.Scan(w.laneName(r.priority), r.seq, 1)
		if err != nil {
			return fmt.Errorf("read queue %q: %w", w.name, err)
		}
		if len(found) == 0 || found[0].Sequence != r.seq {
			w.keep("some of the messages are not there any more")
			continue
		}
		if err := visit(r, found[0]); err != nil {
			return err
		}
	}
	return nil
}

// takeForRemoval takes a message out of delivery for good. It is nil if the
// message is gone, on its way out, or pending.
func (q *queue) takeForRemoval(priority uint8, e Entry) (en *entry, pending bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.find(priority)
	if l == nil {
		return nil, false
	}
	if en = l.takeOut(e); en == nil {
		out := l.delivered[e.Sequence]
		return nil, out != nil && out.owner != nil && out.state != stateAcking
	}
	q.release(en)
	en.state = stateDead
	l.delivered[en.seq] = en
	return en, false
}

// putBack makes a message that was taken out of delivery one to be delivered
// again, if it is still there.
func (q *queue) putBack(en *entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !en.is(stateDead) {
		return
	}
	delete(en.lane.delivered, en.seq)
	en.state = stateReady
	if en.seq < en.lane.tail { // else it is found in the index
		en.lane.insert(en)
	}
	q.kick()
}
