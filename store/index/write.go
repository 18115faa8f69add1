package index

import (
	"fmt"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/opt"

	"baton/store/record"
)

// When the key-value store is brought up to what is applied. The more waits,
// the more messages come and go without it, and the more of the log has to be
// applied again after the death of the process.
const (
	writeLogBytes record.Position = 8 << 20  // of the log
	writeBlocks                   = 1024     // with 64 messages each at the most
	writeQueues                   = 4096     // that changed
	writePending                  = 1 << 20  // keys and values, bytes
	writeIDs                      = 1 << 14  // new ones
	syncLogBytes  record.Position = 64 << 20 // of the log: so much is applied again after a power loss
)

func (ix *Index) writeIfDue() error {
	if ix.mu.applied-ix.written < writeLogBytes && ix.unwritten < writeBlocks &&
		len(ix.changed.queues) < writeQueues && ix.mu.pending.Size() < writePending &&
		len(ix.mu.newIDs.at) < writeIDs {
		return nil
	}
	return ix.write()
}

// write puts all that is unwritten into the key-value store, atomically. After
// an error the index can be read, and has to be opened anew.
func (ix *Index) write() error {
	if ix.failed != nil {
		return ix.failed
	}
	// Apply alone changes all of this, so it reads it without the lock.
	if ix.mu.applied == ix.written && ix.mu.pending.Len() == 0 && len(ix.changed.spans) == 0 {
		return nil
	}
	var kv leveldb.Batch
	ix.mu.pending.addTo(&kv)
	ix.putIDs(&kv)
	ix.putBlocks(&kv)
	for name := range ix.changed.queues {
		if q := ix.mu.queues[name]; q != nil {
			kv.Put(queueKey(name), q.encode())
		} else {
			kv.Delete(queueKey(name))
		}
	}
	ix.putSpans(&kv)
	kv.Put(stateKey, ix.mu.state.encode())
	sync := ix.mu.applied-ix.synced >= syncLogBytes
	err := ix.mu.db.Write(&kv, &opt.WriteOptions{Sync: sync})
	if err == nil {
		err = ix.storage.flush()
	}
	if err != nil {
		ix.failed = fmt.Errorf("write index: %w", classify(err))
		return ix.failed
	}
	ix.written = ix.mu.applied
	if sync {
		ix.synced = ix.written
	}
	ix.forgetChanges()
	return nil
}

// putBlocks adds the blocks that are unwritten to a batch.
func (ix *Index) putBlocks(kv *leveldb.Batch) {
	var key, value []byte
	for _, list := range ix.mu.unwritten {
		for _, b := range list {
			key = appendBlockKey(key[:0], b.blockID)
			if b.present == 0 {
				kv.Delete(key)
				continue
			}
			value = b.appendTo(value[:0])
			kv.Put(key, value) // copied
		}
	}
}

// forgetChanges notes that nothing is unwritten.
func (ix *Index) forgetChanges() {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	for _, list := range ix.mu.unwritten {
		for _, b := range list {
			b.unwritten, b.stored = false, b.present != 0
		}
	}
	ix.unwritten = 0
	ix.mu.unwritten = map[uint64][]*block{}
	ix.mu.pending = newPending()
	ix.mu.newIDs = unwrittenIDs{at: map[string]record.Position{}}
	ix.changed.queues, ix.changed.spans = map[string]struct{}{}, map[record.Position]struct{}{}
	ix.changed.ids.Reset()
}
