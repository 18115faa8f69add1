// Package admin is the HTTP face of a node: status, queues, the event stream,
// metrics, health and the control verbs. Paths and types stand in package
// adminapi. Reading is open to whoever can reach the listener, which is the
// loopback interface unless configured otherwise; control verbs need the
// bearer token if the node has one, and are never accepted from a web page of
// another origin.
package admin

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"baton/node/adminapi"
	"baton/node/events"
)

// Node is what the server shows and controls.
type Node interface {
	// Status and Queues are snapshots; they must not block on other nodes.
	Status() adminapi.Status
	Queues() []adminapi.Queue
	// Transfer hands leadership to a follower, "" = any. It blocks until it
	// is done or failed.
	Transfer(ctx context.Context, to string) error
	// Shutdown begins to stop the node and returns at once.
	Shutdown()
}

// Config of a Server.
type Config struct {
	Listener net.Listener // closed by Close
	Node     Node
	Operator Operator
	Events   *events.Ring
	Metrics  http.Handler // of GET /metrics
	Token    string       // bearer token of the control verbs, "" = none needed
	// Claimed hears that a process at another admin address would join with this
	// node's id. It must not block; may be nil.
	Claimed func(by string)
	Logger  *slog.Logger
}

// Server serves until Close.
type Server struct {
	cfg    Config
	http   *http.Server
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// Start begins to serve.
func Start(cfg Config) *Server {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{cfg: cfg, cancel: cancel}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", s.status)
	mux.HandleFunc("GET /v1/identity", s.identity)
	mux.HandleFunc("GET /v1/queues", s.queues)
	mux.HandleFunc("GET /v1/events", s.events)
	mux.HandleFunc("POST /v1/transfer", s.control(s.transfer))
	mux.HandleFunc("POST /v1/shutdown", s.control(s.shutdown))
	s.handleMessages(mux)
	mux.Handle("GET /metrics", cfg.Metrics)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", s.ready)
	s.http = &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug),
	}
	s.wg.Go(s.runServe)
	return s
}

func (s *Server) runServe() {
	if err := s.http.Serve(s.cfg.Listener); !errors.Is(err, http.ErrServerClosed) {
		s.cfg.Logger.Error("admin listener ended", "err", err)
	}
}

// Close ends event streams and waits shortly for answers under way.
func (s *Server) Close() error {
	s.cancel()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = s.http.Close()
	}
	s.wg.Wait()
	return err
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) { answer(w, s.cfg.Node.Status()) }

// identity answers a process that has the same id as this node.
func (s *Server) identity(w http.ResponseWriter, r *http.Request) {
	by := r.URL.Query().Get("claimed-by")
	if _, _, err := net.SplitHostPort(by); err == nil && len(by) <= addressMax && s.cfg.Claimed != nil {
		s.cfg.Claimed(by)
	}
	st := s.cfg.Node.Status()
	answer(w, adminapi.Identity{Node: st.Node, Incarnation: st.Incarnation, PID: st.PID})
}

// addressMax bounds a host:port in bytes.
const addressMax = 300

func (s *Server) queues(w http.ResponseWriter, _ *http.Request) {
	q := s.cfg.Node.Queues()
	if q == nil {
		q = []adminapi.Queue{}
	}
	answer(w, q)
}

// ready answers 200 while clients or followers can rely on this node.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	st := s.cfg.Node.Status()
	ok := st.Role == adminapi.RoleLeader && st.State == adminapi.StateServing ||
		st.Role == adminapi.RoleFollower && st.Link != nil && st.Link.Connected
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	fmt.Fprintf(w, "%s, %s %s\n", st.Role, st.State, st.Reason)
}

// events streams server-sent events. A comment every few seconds lets both
// sides notice a dead connection.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	after, err := strconv.ParseUint(r.URL.Query().Get("after"), 10, 64)
	if err != nil && r.URL.Query().Has("after") {
		fail(w, http.StatusBadRequest, "bad_request", "after is not a number: use the seq of the last event seen")
		return
	}
	rc := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	for {
		ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
		list, err := s.cfg.Events.After(ctx, after)
		cancel()
		if r.Context().Err() != nil {
			return
		}
		_ = rc.SetWriteDeadline(time.Now().Add(10 * time.Second)) // a reader that hangs is cut
		if err != nil {
			fmt.Fprintf(w, ": %v\n\n", err)
		}
		for _, e := range list {
			b, err := json.Marshal(e)
			if err != nil {
				return
			}
			fmt.Fprintf(w, "id: %d\ndata: %s\n\n", e.Seq, b)
			after = e.Seq
		}
		if rc.Flush() != nil {
			return
		}
	}
}

func (s *Server) transfer(w http.ResponseWriter, r *http.Request) {
	if err := s.cfg.Node.Transfer(r.Context(), r.URL.Query().Get("to")); err != nil {
		fail(w, http.StatusConflict, "transfer_failed", err.Error())
		return
	}
	answer(w, struct{}{})
}

func (s *Server) shutdown(w http.ResponseWriter, _ *http.Request) {
	answer(w, struct{}{})
	s.cfg.Node.Shutdown()
}

// control guards a verb that changes something.
func (s *Server) control(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Origin") != "" {
			fail(w, http.StatusForbidden, "cross_origin", "control verbs are not for web pages")
			return
		}
		if s.cfg.Token != "" {
			got, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
			if !ok || subtle.ConstantTimeCompare([]byte(got), []byte(s.cfg.Token)) != 1 {
				fail(w, http.StatusUnauthorized, "wrong_token", "the token is missing or wrong: give it with --token-file")
				return
			}
		}
		s.cfg.Logger.Info("control verb", "path", r.URL.EscapedPath(), "query", r.URL.RawQuery, "remote", r.RemoteAddr)
		next(w, r)
	}
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client went away: nothing to tell it
}

func fail(w http.ResponseWriter, status int, code, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(adminapi.Error{Code: code, Message: text})
}
