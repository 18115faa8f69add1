// Package clienttest is a small STOMP broker for tests: queues with prefetch,
// individual acks and redelivery, duplicate suppression, receipts for everything, heart-beats, and a
// journal from which another server goes on. It can hold its tongue on
// request, which real brokers do not.
package clienttest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-stomp/stomp/v3/frame"
)

// Config of a server.
type Config struct {
	Listener net.Listener // required; Close closes it
	Passcode string       // "" accepts any
	Journal  io.Writer    // gets a line per change before its receipt; may be nil
}

// entry is one line of the journal.
type entry struct {
	Seq     uint64            `json:"seq"`
	Queue   string            `json:"queue,omitempty"` // of a message; "" is an ack of Seq
	Headers map[string]string `json:"headers,omitempty"`
	Body    []byte            `json:"body,omitempty"`
	tries   int
	holder  *subscription // pending there, nil if ready
}

// name is by what a queue knows the message again, "" if the producer gave none.
func (e *entry) name() string {
	if id := e.Headers["baton-dedup-id"]; id != "" {
		return e.Queue + "\x00" + id
	}
	return ""
}

type subscription struct {
	c        *conn
	id, dest string
	auto     bool
	prefetch int
	pending  int
}

type conn struct {
	s    *Server
	net  net.Conn
	subs map[string]*subscription // guarded by s.mu

	out    chan *frame.Frame
	closed chan struct{}
	once   sync.Once
}

// Server is a broker with one lock.
type Server struct {
	cfg Config
	wg  sync.WaitGroup

	mu     sync.Mutex
	seq    uint64
	queues map[string][]*entry // oldest first
	bySeq  map[uint64]*entry
	known  map[string]bool // queue and duplicate-suppression id
	conns  map[*conn]bool
	closed bool
	mute   bool // takes everything, answers nothing
	hold   bool // delivers nothing
	refuse string
	doubt  bool // it stores what it refuses, and says that it is in doubt
	stats  Stats
}

// Stats count what happened.
type Stats struct{ Enqueued, Duplicates, Delivered, Acked, Connects int }

// New serves until Close. journal, if not nil, is read first.
func New(cfg Config, journal io.Reader) (*Server, error) {
	s := &Server{cfg: cfg, queues: map[string][]*entry{}, bySeq: map[uint64]*entry{}, known: map[string]bool{}, conns: map[*conn]bool{}}
	if journal != nil {
		sc := bufio.NewScanner(journal)
		sc.Buffer(nil, 16<<20)
		for sc.Scan() {
			var e entry
			if err := json.Unmarshal(sc.Bytes(), &e); err != nil {
				return nil, fmt.Errorf("read journal: %w", err)
			}
			s.apply(&e)
		}
	}
	s.wg.Add(1)
	go s.runAccept()
	return s, nil
}

// Addr returns where it listens.
func (s *Server) Addr() string { return s.cfg.Listener.Addr().String() }

// Mute makes it take everything and answer nothing, CONNECT included.
func (s *Server) Mute(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mute = on
}

// Refuse makes it answer every SEND with ERROR; "" ends that.
func (s *Server) Refuse(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse, s.doubt = text, false
}

// Doubt is Refuse of a server that stores what it refuses, as one may that lost
// its quorum, and says so.
func (s *Server) Doubt(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse, s.doubt = text, text != ""
}

// Hold makes it keep its messages to itself.
func (s *Server) Hold(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold = on
}

// Stats returns the counts so far.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// Depth returns how many messages a queue holds.
func (s *Server) Depth(queue string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queues[queue])
}

// Drop resets all connections and goes on listening.
func (s *Server) Drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.close()
	}
}

// Close stops listening and ends all connections.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cfg.Listener.Close()
	s.Drop()
	s.wg.Wait()
}

func (s *Server) runAccept() {
	defer s.wg.Done()
	for {
		nc, err := s.cfg.Listener.Accept()
		if err != nil {
			return
		}
		c := &conn{s: s, net: nc, subs: map[string]*subscription{}, out: make(chan *frame.Frame, 4096), closed: make(chan struct{})}
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			nc.Close()
			continue
		}
		s.conns[c] = true
		s.wg.Add(2)
		s.mu.Unlock()
		go c.runRead()
		go c.runWrite()
	}
}

func (c *conn) close() {
	c.once.Do(func() {
		close(c.closed)
		if t, ok := c.net.(*net.TCPConn); ok {
			t.SetLinger(0)
		}
		c.net.Close()
	})
}

func (c *conn) send(f *frame.Frame) {
	if c.s.mute {
		return
	}
	select {
	case c.out <- f:
	case <-c.closed:
	default: // a test that lets 4096 frames pile up
		c.close()
	}
}

func (c *conn) runWrite() {
	defer c.s.wg.Done()
	w := frame.NewWriter(c.net)
	beat := time.NewTicker(50 * time.Millisecond)
	defer beat.Stop()
	for {
		var f *frame.Frame
		select {
		case <-c.closed:
			return
		case f = <-c.out:
		case <-beat.C:
			c.s.mu.Lock()
			mute := c.s.mute
			c.s.mu.Unlock()
			if mute {
				continue
			}
		}
		if w.Write(f) != nil {
			c.close()
			return
		}
		if f != nil && f.Command == frame.ERROR && f.Header.Get(frame.ReceiptId) == "" {
			c.net.Close()
			return
		}
	}
}

func (c *conn) runRead() {
	defer c.s.wg.Done()
	defer c.s.gone(c)
	r := frame.NewReader(c.net)
	for {
		f, err := r.Read()
		if err != nil {
			return
		}
		if f != nil {
			c.s.handle(c, f)
		}
	}
}

// gone gives back what the connection held.
func (s *Server) gone(c *conn) {
	c.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	for _, e := range s.bySeq {
		if e.holder != nil && e.holder.c == c {
			e.holder = nil
		}
	}
	for q := range s.queues {
		s.dispatch(q)
	}
}

func (s *Server) handle(c *conn, f *frame.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := f.Header
	fail := func(text string) {
		e := frame.New(frame.ERROR, frame.Message, text)
		if id := h.Get(frame.Receipt); id != "" {
			e.Header.Set(frame.ReceiptId, id)
		}
		if f.Command == frame.SEND && s.doubt {
			e.Header.Set("baton-outcome", "in-doubt")
		}
		c.send(e)
	}
	switch f.Command {
	case frame.CONNECT, frame.STOMP:
		if s.cfg.Passcode != "" && h.Get(frame.Passcode) != s.cfg.Passcode {
			fail("wrong passcode")
			return
		}
		s.stats.Connects++
		c.send(frame.New(frame.CONNECTED, frame.Version, "1.2", frame.HeartBeat, "50,0"))
	case frame.SEND:
		if s.doubt {
			s.store(f)
		}
		if s.refuse != "" {
			fail(s.refuse)
			return
		}
		s.store(f)
	case frame.SUBSCRIBE:
		dest := h.Get(frame.Destination)
		if !strings.HasPrefix(dest, "/queue/") {
			fail("unknown destination " + dest)
			return
		}
		n, _ := strconv.Atoi(h.Get("activemq.prefetchSize"))
		c.subs[h.Get(frame.Id)] = &subscription{c: c, id: h.Get(frame.Id), dest: dest, auto: h.Get(frame.Ack) == "auto", prefetch: max(1, n)}
	case frame.UNSUBSCRIBE:
		delete(c.subs, h.Get(frame.Id))
	case frame.ACK:
		if !s.ack(c, h.Get(frame.Id)) {
			fail("unknown ack id " + h.Get(frame.Id))
			return
		}
	}
	if id, ok := h.Contains(frame.Receipt); ok && !s.mute {
		c.send(frame.New(frame.RECEIPT, frame.ReceiptId, id))
	}
	for q := range s.queues {
		s.dispatch(q)
	}
}

func (s *Server) store(f *frame.Frame) {
	e := &entry{Seq: s.seq + 1, Queue: f.Header.Get(frame.Destination), Body: f.Body, Headers: map[string]string{}}
	for i := range f.Header.Len() {
		k, v := f.Header.GetAt(i)
		if k != frame.Receipt && k != frame.Destination && k != frame.ContentLength {
			e.Headers[k] = v
		}
	}
	if s.known[e.name()] {
		s.stats.Duplicates++
		return
	}
	s.stats.Enqueued++
	s.write(e)
	s.apply(e)
}

func (s *Server) ack(c *conn, id string) bool {
	n, _ := strconv.ParseUint(strings.TrimPrefix(id, "m-"), 10, 64)
	e := s.bySeq[n]
	if e == nil || e.holder == nil || e.holder.c != c {
		return false
	}
	e.holder.pending--
	s.stats.Acked++
	s.write(&entry{Seq: n})
	s.apply(&entry{Seq: n})
	return true
}

func (s *Server) write(e *entry) {
	if s.cfg.Journal != nil {
		b, _ := json.Marshal(e) // strings and bytes always marshal
		_, _ = s.cfg.Journal.Write(append(b, '\n'))
	}
}

func (s *Server) apply(e *entry) {
	if e.Queue != "" {
		s.seq = e.Seq
		s.queues[e.Queue] = append(s.queues[e.Queue], e)
		s.bySeq[e.Seq] = e
		if n := e.name(); n != "" {
			s.known[n] = true
		}
		return
	}
	old := s.bySeq[e.Seq]
	if old == nil {
		return
	}
	delete(s.bySeq, e.Seq)
	q := s.queues[old.Queue]
	for i := range q {
		if q[i] == old {
			s.queues[old.Queue] = append(q[:i:i], q[i+1:]...)
			break
		}
	}
}

// dispatch hands ready messages to subscriptions with room, in order.
func (s *Server) dispatch(queue string) {
	for _, e := range append([]*entry(nil), s.queues[queue]...) {
		if e.holder != nil {
			continue
		}
		sub := s.room(queue)
		if sub == nil || s.hold {
			return
		}
		id := "m-" + strconv.FormatUint(e.Seq, 10)
		f := frame.New(frame.MESSAGE, frame.Destination, queue, frame.MessageId, id, frame.Subscription, sub.id,
			frame.Ack, id, frame.ContentLength, strconv.Itoa(len(e.Body)))
		if e.tries++; e.tries > 1 {
			f.Header.Set("redelivered", "true")
		}
		for k, v := range e.Headers {
			f.Header.Set(k, v)
		}
		f.Body = e.Body
		s.stats.Delivered++
		if sub.auto {
			s.write(&entry{Seq: e.Seq})
			s.apply(&entry{Seq: e.Seq})
		} else {
			e.holder = sub
			sub.pending++
		}
		sub.c.send(f)
	}
}

func (s *Server) room(queue string) *subscription {
	for c := range s.conns {
		for _, sub := range c.subs {
			if sub.dest == queue && sub.pending < sub.prefetch {
				return sub
			}
		}
	}
	return nil
}
