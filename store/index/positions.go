package index

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/syndtr/goleveldb/leveldb/iterator"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/util"

	"baton/store/record"
)

// Live is a record of the log that holds a message of a queue.
type Live struct {
	Position record.Position
	Queue    uint64 // id
	Seq      record.Sequence
	Size     int // bytes
}

func positionKey(at record.Position) []byte {
	return appendPositionKey(make([]byte, 0, 9), at)
}

func appendPositionKey(b []byte, at record.Position) []byte {
	return binary.BigEndian.AppendUint64(append(b, 'p'), uint64(at))
}

func (l Live) appendTo(b []byte) []byte {
	b = binary.AppendUvarint(b, l.Queue)
	b = binary.AppendUvarint(b, uint64(l.Seq))
	return binary.AppendUvarint(b, uint64(l.Size))
}

func decodeLive(key, value []byte) (Live, error) {
	if len(key) != 9 {
		return Live{}, fmt.Errorf("%w: position key of %d bytes", ErrCorrupt, len(key))
	}
	d := fields{b: value}
	l := Live{
		Position: record.Position(binary.BigEndian.Uint64(key[1:])),
		Queue:    d.next(), Seq: record.Sequence(d.next()), Size: int(d.next()),
	}
	return l, d.close("live record")
}

func (ix *Index) liveFrom(from record.Position) iterator.Iterator {
	return ix.db.NewIterator(&util.Range{Start: positionKey(from), Limit: []byte{'p' + 1}}, &opt.ReadOptions{DontFillCache: true})
}

// OldestLive returns the lowest position of a record whose message is in a
// queue; false if all queues are empty. It never goes down while an index is
// open, so a call costs one look from where the last one ended.
func (ix *Index) OldestLive() (record.Position, bool, error) {
	applied, _ := ix.Applied()
	it := ix.liveFrom(record.Position(ix.oldest.Load()))
	defer it.Release()
	if it.Next() {
		l, err := decodeLive(it.Key(), it.Value())
		if err == nil {
			ix.oldest.Store(uint64(l.Position))
		}
		return l.Position, err == nil, err
	}
	if err := it.Error(); err != nil {
		return 0, false, fmt.Errorf("find oldest message: %w", classify(err))
	}
	ix.oldest.Store(uint64(applied)) // what comes later is above it
	return 0, false, nil
}

// LiveIn calls yield for each live record with from <= position < to, in the
// order of the log, until yield returns false.
func (ix *Index) LiveIn(from, to record.Position, yield func(Live) bool) error {
	it := ix.liveFrom(from)
	defer it.Release()
	for it.Next() {
		l, err := decodeLive(it.Key(), it.Value())
		if err != nil {
			return err
		}
		if l.Position >= to || !yield(l) {
			return nil
		}
	}
	if err := it.Error(); err != nil {
		return fmt.Errorf("scan live records: %w", classify(err))
	}
	return nil
}

// LiveBytes is the size of the records of all messages in queues.
func (ix *Index) LiveBytes() uint64 {
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	var n uint64
	for _, q := range ix.mu.queues {
		n += q.Bytes
	}
	return n
}

// checkLive makes sure that an entry is under its position as well.
func (ix *Index) checkLive(queue uint64, e Entry) error {
	key := positionKey(e.Position)
	value, err := ix.db.Get(key, nil)
	var l Live
	if err == nil {
		l, err = decodeLive(key, value)
	}
	if err == nil && (l.Queue != queue || l.Seq != e.Seq || l.Size != e.Size) {
		err = errors.New("it says something else")
	}
	if err != nil {
		return fmt.Errorf("%w: message %d of queue id %d is not under its position %d: %w", ErrCorrupt, e.Seq, queue, e.Position, err)
	}
	return nil
}

func (ix *Index) countLive() (n uint64, err error) {
	err = ix.LiveIn(0, ^record.Position(0), func(Live) bool { n++; return true })
	return n, err
}
