package devserver

import "time"

// Stats is what a server has done and holds.
type Stats struct {
	Zxid             int64
	Nodes            int // ZooKeeper's own included
	Ephemerals       int
	Sessions         int
	Connections      int
	Watches          int
	Received, Sent   int64 // packets
	SessionsExpired  int64
	LatencyMax       time.Duration // since the start
	LatencyMean      time.Duration
	Syncs            int64 // of the journal
	SyncMax          time.Duration
	StoredBytes      int64 // paths and data
	Uptime           time.Duration
	ConnectionsEnded int64
}

// Stats returns the present figures; zeros once the server has stopped.
func (s *Server) Stats() Stats {
	answer := make(chan Stats, 1)
	select {
	case s.processor.tasks <- task{kind: taskStats, stats: answer}:
	case <-s.ctx.Done():
		return Stats{}
	}
	select {
	case stats := <-answer:
		return stats
	case <-s.ctx.Done():
		return Stats{}
	}
}

// counts is what the processor counts since its start.
type counts struct {
	received, sent   int64
	expired, dropped int64
	latency          latency
}

// latency sums up times from request to answer.
type latency struct {
	count              int64
	total, least, most time.Duration
	last               time.Duration
}

func (l *latency) add(d time.Duration) {
	if l.count == 0 || d < l.least {
		l.least = d
	}
	l.count++
	l.total += d
	l.most = max(l.most, d)
	l.last = d
}

func (l *latency) mean() time.Duration {
	if l.count == 0 {
		return 0
	}
	return l.total / time.Duration(l.count)
}

func (p *processor) stats() Stats {
	s := Stats{
		Zxid: p.db.zxid, Nodes: p.db.tree.Len(), Ephemerals: p.db.tree.NumEphemerals(), Sessions: p.db.sessions.Len(),
		Connections: len(p.conns), Watches: p.watches.Len(), Received: p.counts.received, Sent: p.counts.sent,
		SessionsExpired: p.counts.expired, LatencyMax: p.counts.latency.most, LatencyMean: p.counts.latency.mean(),
		StoredBytes: p.db.tree.DataBytes(), Uptime: time.Since(p.started), ConnectionsEnded: p.counts.dropped,
	}
	if p.journal != nil {
		s.Syncs, _, s.SyncMax = p.journal.Syncs()
	}
	return s
}
