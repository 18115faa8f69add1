package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Bounds of a request.
const (
	requestMax = 4 << 10 // bytes
	doTimeout  = 20 * time.Second
)

// pathMax is what a socket's name may have on every system.
const pathMax = 103

// Server answers on one socket. The caller closes it.
type Server struct {
	src    Source
	path   string
	http   http.Server
	ctx    context.Context // its lifecycle
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// Listen opens the socket for its owner alone, in a directory that it makes. A
// socket that nobody listens at any more is replaced.
func Listen(path string, src Source, logger *slog.Logger) (*Server, error) {
	if len(path) > pathMax {
		return nil, fmt.Errorf("listen for other terminals: the name %s is longer than a socket's may be (%d)", path, pathMax)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("listen for other terminals: %w", err)
	}
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		c.Close()
		return nil, fmt.Errorf("listen for other terminals: somebody listens at %s already", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("listen for other terminals: %w", err)
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen for other terminals: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("listen for other terminals: %w", err), ln.Close())
	}
	s := &Server{src: src, path: path}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/do", s.do)
	mux.HandleFunc("GET /v1/state", s.state)
	s.http = http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return s.ctx }}
	s.wg.Go(func() { s.runServe(ln, logger) })
	return s, nil
}

func (s *Server) runServe(ln net.Listener, logger *slog.Logger) {
	if err := s.http.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		logger.Warn("no more commands from other terminals", "err", err)
	}
}

// Path of the socket.
func (s *Server) Path() string { return s.path }

// Close ends what is under way and removes the socket.
func (s *Server) Close() error {
	s.cancel()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	err := s.http.Shutdown(ctx) // removes the socket, too
	if err != nil {
		err = errors.Join(fmt.Errorf("close %s: %w", s.path, err), s.http.Close())
	}
	s.wg.Wait()
	return err
}

func (s *Server) state(w http.ResponseWriter, _ *http.Request) {
	snap := s.src.Snapshot()
	answer(w, http.StatusOK, State{Cluster: snap.Cluster, Health: snap.Health.Word(), Leader: snap.Leader, Targets: snap.Targets()})
}

func (s *Server) do(w http.ResponseWriter, r *http.Request) {
	var req Request
	d := json.NewDecoder(io.LimitReader(r.Body, requestMax))
	d.DisallowUnknownFields()
	if err := d.Decode(&req); err != nil {
		fail(w, http.StatusBadRequest, fmt.Errorf("%w: %w", ErrVerb, err))
		return
	}
	v, target, snap, err := plan(s.src, req)
	switch {
	case errors.Is(err, ErrVerb):
		fail(w, http.StatusBadRequest, err)
		return
	case err != nil:
		fail(w, http.StatusConflict, err)
		return
	}
	a := Answer{Verb: v.Name, Target: target, Forecast: v.Warning(snap, target), Undo: v.Undo}
	if !req.DryRun {
		ctx, cancel := context.WithTimeout(r.Context(), doTimeout)
		defer cancel()
		begun := time.Now()
		if err := s.src.Do(ctx, v.Name, target); err != nil {
			fail(w, http.StatusConflict, err)
			return
		}
		a.Done, a.TookMS = true, time.Since(begun).Milliseconds()
	}
	answer(w, http.StatusOK, a)
}

type failure struct {
	Error string `json:"error"`
}

func fail(w http.ResponseWriter, code int, err error) { answer(w, code, failure{err.Error()}) }

func answer(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // who asked may be gone
}
