package load

// Hold makes the consumers stop taking messages, or go on: what is sent in the
// meantime stays in the queues, but for a prefetch window per consumer.
func (l *Load) Hold(held bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if held == (l.gate != nil) {
		return
	}
	if held {
		l.gate = make(chan struct{})
		return
	}
	close(l.gate)
	l.gate = nil
}

// passGate waits while consumers are held; it is false when the load ended first.
func (l *Load) passGate() bool {
	l.mu.Lock()
	gate := l.gate
	l.mu.Unlock()
	if gate == nil {
		return true
	}
	select {
	case <-gate:
		return true
	case <-l.ctx.Done():
		return false
	}
}
