package devserver

import (
	"context"
	"fmt"
	"net"
	"time"

	"baton/zkclient/devserver/journal"
	"baton/zkclient/devserver/watch"
	"baton/zkclient/devserver/wire"
)

const (
	tasksWaiting = 1024 // requests of all connections that wait for the processor
	batchMax     = 256  // requests answered by one write of the journal
	// expiryGranularity is how exact the end of a session is.
	expiryGranularity = 5 * time.Millisecond
	// lateAlarm is how late an alarm must be for the server to conclude that it
	// was stopped itself (a frozen process, a machine asleep). The clients are
	// given that time, since their packets could not be read.
	lateAlarm = 100 * time.Millisecond
)

type taskKind int

const (
	taskConnect taskKind = iota // first packet
	taskPacket                  // later packet
	taskWord                    // four-letter word
	taskGone                    // connection has ended
	taskStats                   // Server.Stats
)

// task is something for the processor to do.
type task struct {
	kind   taskKind
	conn   *conn
	packet []byte
	at     time.Time // received
	stats  chan<- Stats
}

// outgoing is an answer or event that waits for the batch to be written.
type outgoing struct {
	conn   *conn
	frame  []byte    // nil for none
	at     time.Time // when the request answered was received; zero for an event
	finish bool      // close the connection afterwards
}

// processor owns the state. Only run and what it calls use it.
type processor struct {
	cfg      Config
	addr     net.Addr
	tasks    chan task
	started  time.Time
	db       *database
	watches  *watch.Table[*conn]
	attached map[int64]*conn // by session id
	conns    map[*conn]struct{}
	counts   counts

	journal *journal.Journal // nil in memory
	sync    bool             // the batch has a change that must survive the machine
	outbox  []outgoing
	now     time.Time // of the task at hand
	alarm   time.Time // when to look for expired sessions
	looked  time.Time // when that was done last
	reap    time.Time // when to look for nodes that have served their purpose
}

func newProcessor(cfg Config, addr net.Addr, now time.Time) (*processor, error) {
	p := &processor{
		cfg: cfg, addr: addr, tasks: make(chan task, tasksWaiting), started: now, now: now,
		db: newDatabase(now), watches: watch.New[*conn](),
		attached: map[int64]*conn{}, conns: map[*conn]struct{}{},
		reap: now.Add(cfg.ReapInterval),
	}
	if cfg.DataDir == "" {
		p.db.beginEpoch(now)
		return p, nil
	}
	var err error
	if p.journal, err = journal.Open(cfg.DataDir, p.db.load, p.db.replay); err != nil {
		return nil, fmt.Errorf("open data directory: %w", err)
	}
	p.db.beginEpoch(now)
	if err := p.journal.Snapshot(p.db.encode()); err != nil { // the new epoch is on disk before it is used
		p.journal.Close()
		return nil, fmt.Errorf("open data directory: %w", err)
	}
	cfg.Logger.Info("state recovered", "data_dir", cfg.DataDir, "nodes", p.db.tree.Len(), "sessions", p.db.sessions.Len())
	return p, nil
}

// run works until ctx ends or the data directory fails.
func (p *processor) run(ctx context.Context) (err error) {
	defer func() {
		if p.journal == nil {
			return
		}
		if closeErr := p.journal.Close(); err == nil {
			err = closeErr
		}
	}()
	p.db.touchAll(time.Now())
	timer := time.NewTimer(0)
	defer timer.Stop()
	p.alarm = time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case t := <-p.tasks:
			p.handle(t)
			p.handleWaiting()
		}
		if now := time.Now(); !now.Before(p.alarm) {
			p.expire(now)
		}
		if err := p.persist(); err != nil {
			return err
		}
		p.deliver()
		p.alarm = p.nextAlarm()
		timer.Reset(time.Until(p.alarm))
	}
}

func (p *processor) handleWaiting() {
	for range batchMax - 1 {
		select {
		case t := <-p.tasks:
			p.handle(t)
		default:
			return
		}
	}
}

func (p *processor) handle(t task) {
	p.now = time.Now()
	c := t.conn
	switch t.kind {
	case taskStats:
		t.stats <- p.stats()
		return
	case taskGone:
		p.detach(c)
		delete(p.conns, c)
		p.outbox = append(p.outbox, outgoing{conn: c, finish: true})
		return
	}
	if !c.owned.known {
		c.owned.known = true
		p.conns[c] = struct{}{}
	}
	c.owned.received++
	p.counts.received++
	switch t.kind {
	case taskConnect:
		p.connect(c, t)
	case taskPacket:
		p.request(c, t)
	case taskWord:
		p.word(c, t)
	}
}

// detach parts a connection from its session, which lives on.
func (p *processor) detach(c *conn) {
	p.watches.DropWatcher(c)
	s := c.session.Load()
	if s != nil && p.attached[s.ID] == c {
		delete(p.attached, s.ID)
		p.counts.dropped++
	}
	c.session.Store(nil)
}

// answer queues the answer to a task.
func (p *processor) answer(c *conn, t task, packet []byte) {
	p.outbox = append(p.outbox, outgoing{conn: c, frame: wire.Frame(packet), at: t.at})
}

// finish closes a connection after what is queued for it.
func (p *processor) finish(c *conn) {
	p.outbox = append(p.outbox, outgoing{conn: c, finish: true})
}

// tell queues a watch event.
func (p *processor) tell(c *conn, e watch.Event) {
	p.outbox = append(p.outbox, outgoing{conn: c, frame: wire.Frame(wire.Notification(e.Type, e.Path))})
}

// persist writes what the batch has changed.
func (p *processor) persist() error {
	if p.journal == nil {
		return nil
	}
	if err := p.journal.Flush(p.sync); err != nil {
		return err
	}
	p.sync = false
	if p.journal.LogBytes() < p.cfg.SnapshotBytes {
		return nil
	}
	return p.journal.Snapshot(p.db.encode())
}

// deliver releases the answers and events of the batch.
func (p *processor) deliver() {
	now := time.Now()
	for i, o := range p.outbox {
		if o.frame != nil {
			p.counts.sent++
			o.conn.owned.sent++
			if !o.at.IsZero() {
				p.counts.latency.add(now.Sub(o.at))
				o.conn.owned.latency.add(now.Sub(o.at))
				o.conn.owned.lastReply = now
			}
			o.conn.send(o.frame, !o.at.IsZero())
		}
		if o.finish {
			o.conn.finish()
		}
		p.outbox[i] = outgoing{}
	}
	p.outbox = p.outbox[:0]
}

// nextAlarm returns when to look for expired sessions and outlived nodes.
func (p *processor) nextAlarm() time.Time {
	next := p.reap
	if at, ok := p.db.sessions.Next(); ok && at.Before(next) {
		next = at
	}
	// Counted from the last look, not from now: a busy server comes here all the
	// time and must not put its alarm off each time.
	if earliest := p.looked.Add(expiryGranularity); next.Before(earliest) {
		return earliest
	}
	return next
}

// expire ends the sessions that were silent for too long and removes nodes
// that have served their purpose.
func (p *processor) expire(now time.Time) {
	p.now, p.looked = now, now
	if late := now.Sub(p.alarm); late > lateAlarm {
		p.cfg.Logger.Warn("the server was stopped for a while; sessions are given that time", "late", late)
		p.db.sessions.Prolong(late, now)
	}
	for _, s := range p.db.sessions.Expire(now) {
		p.counts.expired++
		p.cfg.Logger.Info("session expired", "session", sessionName(s.ID), "timeout", s.Timeout)
		c := p.attached[s.ID]
		p.endSession(s)
		if c != nil {
			p.finish(c)
		}
	}
	if !now.Before(p.reap) {
		p.reap = now.Add(p.cfg.ReapInterval)
		p.removeOutlived()
	}
}

func sessionName(id int64) string { return fmt.Sprintf("0x%x", uint64(id)) }
