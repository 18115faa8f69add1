package node

import "sync"

// mailbox carries what happened elsewhere into the role loop. Posting never
// blocks, for the posters are goroutines of the replication and ZooKeeper
// clients. What is posted are changes of links and outcomes of writes, a few
// per election, so the list stays short without a bound of its own.
type mailbox struct {
	mu     sync.Mutex
	list   []func(*role)
	signal chan struct{} // capacity 1: there is something to take
}

func newMailbox() *mailbox { return &mailbox{signal: make(chan struct{}, 1)} }

func (m *mailbox) post(f func(*role)) {
	m.mu.Lock()
	m.list = append(m.list, f)
	m.mu.Unlock()
	select {
	case m.signal <- struct{}{}:
	default:
	}
}

func (m *mailbox) take() []func(*role) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.list
	m.list = nil
	return l
}
