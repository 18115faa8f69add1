package cluster

import (
	"sync"
	"time"

	"baton/node/adminapi"
)

// Kinds of entries that no node wrote.
const (
	KindProcess = "demo.process" // a child changed state
	KindFault   = "demo.fault"   // somebody broke or mended something
)

// Entry is one thing that happened in the cluster.
type Entry struct {
	Seq    uint64 // of this log, from 1; the order in which it was heard
	At     time.Time
	Source string // node, zookeeper, or demo
	Kind   string // adminapi's kinds, or one of this package
	Text   string
	Event  *adminapi.Event // nil if no node wrote it
	Fault  Fault           // of KindFault: what a plan would do again; At is 0
}

// entriesMax bounds the log.
const entriesMax = 5000

// eventLog merges what all sources report. Readers that fall behind by more
// than entriesMax miss the oldest.
type eventLog struct {
	mu      sync.Mutex
	entries []Entry // circular once full
	next    int
	seq     uint64
	changed chan struct{} // closed at the next entry
}

func (l *eventLog) add(e Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq++
	e.Seq = l.seq
	if len(l.entries) < entriesMax {
		l.entries = append(l.entries, e)
	} else {
		l.entries[l.next] = e
		l.next = (l.next + 1) % entriesMax
	}
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

func (l *eventLog) since(after uint64) ([]Entry, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []Entry
	oldest := l.seq - uint64(len(l.entries))
	for i := max(after, oldest); i < l.seq; i++ {
		out = append(out, l.entries[(uint64(l.next)+i-oldest)%uint64(len(l.entries))])
	}
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return out, l.changed
}
