package index

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/syndtr/goleveldb/leveldb"
	ldberrors "github.com/syndtr/goleveldb/leveldb/errors"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/storage"
	"github.com/syndtr/goleveldb/leveldb/util"

	"baton/store/record"
	"baton/store/vfs"
)

// Errors. Test with errors.Is.
var (
	// ErrCorrupt means that the index is damaged: wipe it and apply the log
	// again.
	ErrCorrupt = errors.New("index: damaged")
	// ErrGap means that the batches do not continue what was applied.
	ErrGap = errors.New("index: batch does not continue what is applied")
	// ErrRecord means that a record is not understood, so that nothing behind
	// it may be applied.
	ErrRecord = errors.New("index: record cannot be applied")
	// ErrNoQueue means that no message was ever put into the queue.
	ErrNoQueue = errors.New("index: no such queue")
)

// QueueInfo describes a queue as of the applied position.
type QueueInfo struct {
	Name string
	ID   uint64          // names the queue in keys; in order of creation, from 1
	Next record.Sequence // of the next message
	// Head is a hint where to look for the oldest message: none is below it.
	Head     record.Sequence
	Depth    uint64 // messages in the queue
	Bytes    uint64 // of their records
	Enqueued uint64 // messages ever
	Acked    uint64 // messages ever
	// Duplicates counts the messages that the queue did not take, since it was
	// given one with the same DedupID before.
	Duplicates uint64
}

// Entry is a message in a queue.
type Entry struct {
	Seq       record.Sequence
	Position  record.Position // of its record
	Size      int             // of its record, bytes
	Timestamp int64           // of the message, Unix milliseconds
	Deadline  int64           // of the message, Unix milliseconds; 0 = none
	// Redeliveries is how often the message came back from a consumer.
	Redeliveries uint32
}

// Point is the running hash of the log (record.Chain) at a position.
type Point struct {
	Position record.Position
	Chain    uint64
}

// state is what every write of the index carries.
type state struct {
	applied record.Position
	epoch   record.Epoch // of the batch that ends at applied
	chain   uint64
	queues  uint64          // ids given
	deleted uint64          // of these
	floor   record.Sequence // a new queue begins here: no deleted one came this far
	ids     uint64          // that suppress duplicates
	ignored uint64          // acks of messages that were not there
}

type epochStart struct {
	record.EpochStart
	epoch record.Epoch
}

// Index is an open index. Apply, Begin, Divide, ForgetBelow and Close are for
// one goroutine at a time; the other methods may be called from any.
type Index struct {
	storage  *fileStorage
	blocks   *blockCache   // Apply's
	filter   idFilter      // Apply's
	trim     *Trim         // Apply's: see Begin; nil if the index saw the whole log
	oldestID atomic.Uint64 // no record whose id is remembered is below: where to look for the oldest

	// Apply's: how far the key-value store lags behind what is applied.
	written   record.Position // what it reflects
	synced    record.Position // what the disk has for certain
	unwritten int             // blocks
	changed   struct {        // what else is unwritten, apart from mu.pending
		queues map[string]struct{}
		spans  map[record.Position]struct{}
		ids    leveldb.Batch // deletes those that are gone
	}
	failed error // of a write, after which the key-value store is of no use

	mu struct {
		sync.RWMutex
		db *leveldb.DB // replaced by Reopen
		state
		queues map[string]*QueueInfo // replaced, never changed
		names  map[uint64]string     // of queues, by id
		start  *epochStart           // nil: none applied yet
		subs   map[subscriber]Subscription
		spans  []span // ascending
		points points

		unwritten map[uint64][]*block // by queue id, then by rising number
		pending   *pending            // replaced when it is written
		newIDs    unwrittenIDs        // the same
		forgotten record.Position     // ids of records below are gone
	}
}

// Open opens or creates the index in a directory. The caller closes it.
// ErrCorrupt means that Wipe helps.
func Open(fsys vfs.FS, dir string) (*Index, error) {
	if err := vfs.MkdirAll(fsys, dir); err != nil {
		return nil, fmt.Errorf("make index directory: %w", err)
	}
	storage := newFileStorage(fsys, dir)
	db, err := openDB(storage)
	if err != nil {
		return nil, fmt.Errorf("open index: %w", err)
	}
	ix := &Index{storage: storage, blocks: newBlockCache()}
	ix.mu.db = db
	ix.forgetChanges()
	err = ix.load()
	if err == nil {
		err = ix.loadFilter()
	}
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("load index: %w", err)
	}
	return ix, nil
}

func openDB(storage *fileStorage) (*leveldb.DB, error) {
	db, err := leveldb.Open(storage, &opt.Options{
		Strict:                 opt.StrictAll,
		WriteBuffer:            8 << 20,
		BlockCacheCapacity:     16 << 20,
		OpenFilesCacheCapacity: 128,
		DisableSeeksCompaction: true,
		// Every level is one more merge for every deletion on its way to its block:
		// the second one, of 300 MiB, holds some 60 million messages. All of the
		// first one is merged with what comes from level 0, since each of those
		// tables reaches from the oldest block to the newest counters: so it is small.
		CompactionTotalSize:           3 << 20,
		CompactionTotalSizeMultiplier: 100,
	})
	return db, classify(err)
}

// Reopen goes on with an index that failed to write, a full disk for one, when
// the cause is gone. It is as it was, for readers too: what was not written is
// still in memory. ErrCorrupt as with Open; after any error readers fail until
// a later call succeeds.
func (ix *Index) Reopen() error {
	ix.mu.Lock() // readers wait, rather than fail
	defer ix.mu.Unlock()
	ix.mu.db.Close() // it has failed already
	db, err := openDB(ix.storage)
	if err != nil {
		return fmt.Errorf("open index again: %w", err)
	}
	ix.mu.db = db
	if err := ix.checkWritten(); err != nil {
		return fmt.Errorf("open index again: %w", err)
	}
	ix.failed = nil
	return nil
}

// checkWritten makes sure that the key-value store has what was written, with or
// without the write that failed.
func (ix *Index) checkWritten() error {
	var has state
	value, err := ix.mu.db.Get(stateKey, nil)
	if err == nil {
		has, err = decodeState(value)
	} else if errors.Is(err, leveldb.ErrNotFound) {
		err = nil
	}
	if err == nil && has.applied != ix.written && has.applied != ix.mu.applied {
		err = fmt.Errorf("%w: it is at position %d, and was written up to %d of %d", ErrCorrupt, has.applied, ix.written, ix.mu.applied)
	}
	return classify(err)
}

// Wipe removes an index, durably: no part of it comes back after a crash.
func Wipe(fsys vfs.FS, dir string) error {
	infos, err := fsys.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list index: %w", err)
	}
	// Without its entry point the rest is never taken for an index.
	slices.SortStableFunc(infos, func(a, b vfs.Info) int {
		return cmp.Compare(entryPointLast(a.Name), entryPointLast(b.Name))
	})
	for _, info := range infos {
		if err := fsys.Remove(filepath.Join(dir, info.Name)); err != nil {
			return fmt.Errorf("wipe index: %w", err)
		}
		if info.Name == currentFile {
			if err := fsys.SyncDir(dir); err != nil {
				return fmt.Errorf("wipe index: %w", err)
			}
		}
	}
	if err := fsys.SyncDir(dir); err != nil {
		return fmt.Errorf("wipe index: %w", err)
	}
	return nil
}

func entryPointLast(name string) int {
	if name == currentFile {
		return 0
	}
	return 1
}

// classify marks what the key-value store calls corruption as ErrCorrupt.
func classify(err error) error {
	var a *ldberrors.ErrCorrupted
	var b *storage.ErrCorrupted
	if err != nil && (errors.As(err, &a) || errors.As(err, &b) || errors.Is(err, fs.ErrNotExist)) {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return err
}

func (ix *Index) load() error {
	m := &ix.mu
	m.queues, m.names, m.subs = map[string]*QueueInfo{}, map[uint64]string{}, map[subscriber]Subscription{}
	value, err := ix.mu.db.Get(stateKey, nil)
	if errors.Is(err, leveldb.ErrNotFound) {
		return nil
	}
	if err != nil {
		return classify(err)
	}
	if m.state, err = decodeState(value); err != nil {
		return err
	}
	ix.written, ix.synced = m.applied, m.applied
	m.points.add(m.applied, m.chain)
	if value, err = ix.mu.db.Get(epochStartKey, nil); err == nil {
		m.start, err = decodeEpochStart(value)
	}
	if err != nil && !errors.Is(err, leveldb.ErrNotFound) {
		return classify(err)
	}
	if err := ix.loadTrim(); err != nil {
		return err
	}
	if err := ix.loadSubscriptions(); err != nil {
		return err
	}
	if err := ix.loadSpans(); err != nil {
		return err
	}
	return ix.loadQueues()
}

func (ix *Index) loadQueues() error {
	m := &ix.mu
	it := ix.mu.db.NewIterator(util.BytesPrefix([]byte{'q'}), &opt.ReadOptions{DontFillCache: true})
	defer it.Release()
	for it.Next() {
		q, err := decodeQueue(string(it.Key()[1:]), it.Value())
		if err != nil {
			return err
		}
		if q.ID == 0 || q.ID > m.state.queues {
			return fmt.Errorf("%w: queue %q has id %d of %d", ErrCorrupt, q.Name, q.ID, m.state.queues)
		}
		ix.setQueue(q.Name, q)
	}
	if err := it.Error(); err != nil {
		return classify(err)
	}
	if n := uint64(len(m.queues)); n != m.state.queues-m.state.deleted || len(m.names) != len(m.queues) {
		return fmt.Errorf("%w: %d queues with %d ids, %d expected", ErrCorrupt, n, len(m.names), m.state.queues-m.state.deleted)
	}
	return nil
}

// Close writes what is not written and closes the files. It syncs nothing.
func (ix *Index) Close() error { return errors.Join(ix.write(), ix.mu.db.Close()) }

// Applied returns the position up to which the log is applied, and the running
// hash of the log there.
func (ix *Index) Applied() (record.Position, uint64) {
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	return ix.mu.applied, ix.mu.chain
}

// AppliedEpoch returns the epoch of the last applied batch, 0 if none.
func (ix *Index) AppliedEpoch() record.Epoch {
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	return ix.mu.epoch
}

// Points returns some 256 recent points of the running hash, ascending: the
// newest batch ends, and before them one each MiB or so, at the same positions
// on every node that applied live.
func (ix *Index) Points() []Point {
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	return ix.mu.points.all()
}

// LastEpochStart returns the newest epoch-start record and its epoch; false if
// none was applied yet.
func (ix *Index) LastEpochStart() (record.EpochStart, record.Epoch, bool) {
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	s := ix.mu.start
	if s == nil {
		return record.EpochStart{}, 0, false
	}
	e := s.EpochStart
	e.Members = maps.Clone(e.Members)
	return e, s.epoch, true
}

// IgnoredAcks counts acks of messages that were not in their queue.
func (ix *Index) IgnoredAcks() uint64 {
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	return ix.mu.ignored
}

// Queues returns all queues, sorted by name.
func (ix *Index) Queues() []QueueInfo {
	ix.mu.RLock()
	out := make([]QueueInfo, 0, len(ix.mu.queues))
	for _, q := range ix.mu.queues {
		out = append(out, *q)
	}
	ix.mu.RUnlock()
	slices.SortFunc(out, func(a, b QueueInfo) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// Queue returns one queue; false if it does not exist.
func (ix *Index) Queue(name string) (QueueInfo, bool) {
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	q := ix.mu.queues[name]
	if q == nil {
		return QueueInfo{}, false
	}
	return *q, true
}
