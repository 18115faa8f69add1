package index

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/util"

	"baton/store/record"
)

// run is what a block that is unwritten holds, as far as a scan wants it.
type run struct {
	number  uint64 // of the block
	entries []Entry
}

// view returns what is needed to read a queue from a sequence on: the blocks
// that are unwritten, up to the one that makes limit entries full, and the rest.
// Both are of the same moment: a reader must not see a message and miss one in
// front of it. The caller releases the snapshot.
func (ix *Index) view(queue string, from record.Sequence, limit int) (QueueInfo, []run, *leveldb.Snapshot, error) {
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	q := ix.mu.queues[queue]
	if q == nil {
		return QueueInfo{}, nil, nil, fmt.Errorf("%w: %q", ErrNoQueue, queue)
	}
	from = max(from, q.Head)
	var runs []run
	i, _ := ix.findUnwritten(message{q.ID, from}.block())
	for n := 0; n < limit && i < len(ix.mu.unwritten[q.ID]); i++ {
		b := ix.mu.unwritten[q.ID][i]
		r := run{number: b.number, entries: b.appendEntries(nil, b.number, from)}
		runs = append(runs, r)
		n += len(r.entries)
	}
	snap, err := ix.mu.db.GetSnapshot()
	return *q, runs, snap, err
}

// Scan returns the messages of a queue with sequences from on, ascending, at
// most limit. ErrNoQueue if the queue does not exist.
func (ix *Index) Scan(queue string, from record.Sequence, limit int) ([]Entry, error) {
	q, runs, snap, err := ix.view(queue, from, limit)
	if err != nil {
		return nil, err
	}
	defer snap.Release()
	from = max(from, q.Head)
	keys := &util.Range{Start: blockKey(message{q.ID, from}.block()), Limit: blockKey(blockID{q.ID + 1, 0})}
	it := snap.NewIterator(keys, nil)
	defer it.Release()
	out := make([]Entry, 0, min(uint64(max(limit, 0)), q.Depth, 1000)+blockSize)
	var s places
	for len(out) < limit && it.Next() {
		id, err := decodeBlockKey(it.Key())
		if err == nil {
			err = s.decode(it.Value())
		}
		if err != nil {
			return nil, fmt.Errorf("scan queue %q: %w", queue, err)
		}
		for len(runs) > 0 && runs[0].number < id.number {
			out, runs = append(out, runs[0].entries...), runs[1:]
		}
		// What is unwritten counts instead of what is written.
		if len(runs) == 0 || runs[0].number != id.number {
			out = s.appendEntries(out, id.number, from)
		}
	}
	if err := it.Error(); err != nil {
		return nil, fmt.Errorf("scan queue %q: %w", queue, classify(err))
	}
	for _, r := range runs {
		out = append(out, r.entries...)
	}
	return out[:min(len(out), max(limit, 0))], nil
}

// Dump writes out all that the index says, the same text for the same log
// whatever way it was applied, and whether or not its beginning was still
// there. For tests and checkers.
func (ix *Index) Dump() (string, error) {
	var b strings.Builder
	ix.mu.RLock()
	s := ix.mu.state
	ix.mu.RUnlock()
	fmt.Fprintf(&b, "applied %d epoch %d chain %016x queue ids %d deleted %d floor %d ids %d\n",
		s.applied, s.epoch, s.chain, s.queues, s.deleted, s.floor, s.ids)
	counted, timed := ix.recount(), uint64(0)
	if e, epoch, ok := ix.LastEpochStart(); ok {
		fmt.Fprintf(&b, "epoch-start %d %x\n", epoch, e.AppendTo(nil))
	}
	for _, q := range ix.Queues() {
		fmt.Fprintf(&b, "queue %q id %d next %d depth %d bytes %d enqueued %d acked %d duplicates %d\n",
			q.Name, q.ID, q.Next, q.Depth, q.Bytes, q.Enqueued, q.Acked, q.Duplicates)
		from, n, bytes := record.Sequence(0), uint64(0), uint64(0)
		for {
			entries, err := ix.Scan(q.Name, from, 1000)
			if err != nil {
				return "", err
			}
			if len(entries) == 0 {
				break
			}
			for _, e := range entries {
				fmt.Fprintf(&b, "  %d at %d size %d time %d deadline %d redeliveries %d\n",
					e.Seq, e.Position, e.Size, e.Timestamp, e.Deadline, e.Redeliveries)
				if e.Deadline != 0 {
					timed++
				}
				if err := ix.checkDeadline(q.ID, e); err != nil {
					return "", err
				}
				n, bytes, from = n+1, bytes+uint64(e.Size), e.Seq+1
				counted.add(e)
			}
		}
		if n != q.Depth || bytes != q.Bytes {
			return "", fmt.Errorf("%w: queue %q holds %d messages, %d bytes, and says %d, %d", ErrCorrupt, q.Name, n, bytes, q.Depth, q.Bytes)
		}
	}
	if err := counted.compare(ix); err != nil {
		return "", err
	}
	if n, err := ix.countDeadlines(); err != nil || n != timed {
		return "", fmt.Errorf("%w: %d messages with deadlines in queues, %d by deadline: %w", ErrCorrupt, timed, n, err)
	}
	for _, sub := range ix.Subscriptions() {
		fmt.Fprintf(&b, "subscription at %d %+v\n", sub.Position, sub.Subscribe)
	}
	if err := ix.dumpIDs(&b, s.ids); err != nil {
		return "", err
	}
	return b.String(), nil
}

// dumpIDs writes out the ids that suppress duplicates, by position, and makes
// sure that each is found by its name as well.
func (ix *Index) dumpIDs(b *strings.Builder, want uint64) error {
	n, bad := uint64(0), error(nil)
	err := ix.idsFrom(0, func(r rememberedID) bool {
		fmt.Fprintf(b, "id %q of %q at %d time %d\n", r.id, r.queue, r.at, r.time)
		n++
		ix.mu.RLock()
		at, db, err := ix.mu.newIDs.at[string(r.key())], ix.mu.db, error(nil)
		ix.mu.RUnlock()
		if at != r.at {
			at, err = writtenID(db, r.key())
		}
		if err != nil || at != r.at {
			bad = fmt.Errorf("%w: id %q of queue %q at position %d, by name at %d: %w", ErrCorrupt, r.id, r.queue, r.at, at, err)
		}
		return bad == nil
	})
	if err != nil || bad != nil {
		return cmp.Or(bad, err)
	}
	named, err := ix.countNamedIDs()
	if err == nil && (n != want || named != want) {
		err = fmt.Errorf("%w: %d ids by position, %d by name, %d expected", ErrCorrupt, n, named, want)
	}
	return err
}

// countNamedIDs counts the ids that are found by their names.
func (ix *Index) countNamedIDs() (n uint64, err error) {
	ix.mu.RLock()
	forgotten := ix.mu.forgotten
	n = uint64(len(ix.mu.newIDs.list))
	snap, err := ix.mu.db.GetSnapshot()
	ix.mu.RUnlock()
	if err != nil {
		return 0, err
	}
	defer snap.Release()
	it := snap.NewIterator(util.BytesPrefix([]byte{'u'}), &opt.ReadOptions{DontFillCache: true})
	defer it.Release()
	for it.Next() {
		d := fields{b: it.Value()}
		if at := record.Position(d.next()); at >= forgotten {
			n++
		}
	}
	return n, classify(it.Error())
}

// recount counts again what spans say.
type recount []span

func (ix *Index) recount() recount {
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	again := slices.Clone(ix.mu.spans)
	for i := range again {
		again[i].records, again[i].bytes = 0, 0
	}
	return again
}

func (r recount) add(e Entry) {
	if i := spanOf(r, e.Position); i >= 0 {
		r[i].records++
		r[i].bytes += uint64(e.Size)
	}
}

func (r recount) compare(ix *Index) error {
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	for i, s := range ix.mu.spans {
		if r[i] != s {
			return fmt.Errorf("%w: from position %d on %d records, %d bytes are live, and it says %d, %d",
				ErrCorrupt, s.start, r[i].records, r[i].bytes, s.records, s.bytes)
		}
	}
	return nil
}
