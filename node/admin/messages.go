package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"baton/node/adminapi"
)

// Operator is what the server does with messages. Queues and messages are
// named as adminapi says.
type Operator interface {
	// Browse returns a page. o has its defaults and is within the bounds.
	Browse(ctx context.Context, queue string, o adminapi.Browse) (adminapi.Page, error)
	// Publish returns the id of the message when it is committed.
	Publish(ctx context.Context, queue string, m adminapi.Publish) (id string, err error)
	// Purge and Move call tell now and then, on the caller's goroutine, and
	// return how far they came.
	Purge(ctx context.Context, queue string, tell func(adminapi.Progress)) (adminapi.Progress, error)
	Move(ctx context.Context, queue string, m adminapi.Move, tell func(adminapi.Progress)) (adminapi.Progress, error)
	// DeleteQueue returns when the queue is gone.
	DeleteQueue(ctx context.Context, queue string) error
	Subscriptions() ([]adminapi.Subscription, error)
	Unsubscribe(ctx context.Context, clientID, name string) error
}

// Refusal is an error of a verb that has a status and a code of its own.
type Refusal struct {
	Status int    // of HTTP
	Code   string // of adminapi.Error
	Err    error
}

func (r *Refusal) Error() string { return r.Err.Error() }
func (r *Refusal) Unwrap() error { return r.Err }

// refusalOf is what an error of an Operator becomes.
func refusalOf(err error) *Refusal {
	var r *Refusal
	if errors.As(err, &r) {
		return r
	}
	return &Refusal{http.StatusInternalServerError, "failed", err}
}

func refuse(w http.ResponseWriter, err error) {
	r := refusalOf(err)
	fail(w, r.Status, r.Code, r.Error())
}

func badRequest(w http.ResponseWriter, format string, args ...any) {
	fail(w, http.StatusBadRequest, "bad_request", fmt.Sprintf(format, args...))
}

// handleMessages adds the verbs on messages.
func (s *Server) handleMessages(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/queues/{queue}/messages", s.control(s.browse))
	mux.HandleFunc("POST /v1/queues/{queue}/messages", s.control(s.publish))
	mux.HandleFunc("POST /v1/queues/{queue}/purge", s.control(s.purge))
	mux.HandleFunc("POST /v1/queues/{queue}/move", s.control(s.move))
	mux.HandleFunc("DELETE /v1/queues/{queue}", s.control(s.deleteQueue))
	mux.HandleFunc("GET /v1/subscriptions", s.subscriptions)
	mux.HandleFunc("DELETE /v1/subscriptions/{client}/{name}", s.control(s.unsubscribe))
}

// number reads a query parameter between 0 and most.
func number(r *http.Request, name string, def, most int) (int, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return def, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > most {
		return 0, fmt.Errorf("%s is %q: it is a number from 0 to %d", name, text, most)
	}
	return n, nil
}

func (s *Server) browse(w http.ResponseWriter, r *http.Request) {
	limit, err := number(r, "limit", adminapi.BrowseLimit, adminapi.BrowseLimitMax)
	if err == nil && limit == 0 {
		err = errors.New("limit is 0: ask for one message at least")
	}
	body, berr := number(r, "body", adminapi.BrowseBody, adminapi.BrowseBodyMax)
	if err = errors.Join(err, berr); err != nil {
		badRequest(w, "%v", err)
		return
	}
	page, err := s.cfg.Operator.Browse(r.Context(), r.PathValue("queue"), adminapi.Browse{After: r.URL.Query().Get("after"), Limit: limit, Body: body})
	if err != nil {
		refuse(w, err)
		return
	}
	answer(w, page)
}

// decode reads a request of at most so many bytes. It has answered if false.
func decode(w http.ResponseWriter, r *http.Request, most int64, into any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, most))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		fail(w, http.StatusRequestEntityTooLarge, "too_large", fmt.Sprintf("the request has more than %d bytes", most))
	case err != nil:
		badRequest(w, "the request is not what is expected: %v", err)
	}
	return err == nil
}

func (s *Server) publish(w http.ResponseWriter, r *http.Request) {
	var m adminapi.Publish
	if !decode(w, r, adminapi.PublishMax, &m) {
		return
	}
	if m.Text != "" && len(m.Body) > 0 {
		badRequest(w, "the message has both text and body: give one of them")
		return
	}
	id, err := s.cfg.Operator.Publish(r.Context(), r.PathValue("queue"), m)
	if err != nil {
		refuse(w, err)
		return
	}
	answer(w, struct {
		ID string `json:"id"`
	}{id})
}

func (s *Server) purge(w http.ResponseWriter, r *http.Request) {
	s.stream(w, func(tell func(adminapi.Progress)) (adminapi.Progress, error) {
		return s.cfg.Operator.Purge(r.Context(), r.PathValue("queue"), tell)
	})
}

func (s *Server) move(w http.ResponseWriter, r *http.Request) {
	var m adminapi.Move
	if !decode(w, r, adminapi.MoveMax, &m) {
		return
	}
	if m.All == (len(m.Refs) > 0) {
		badRequest(w, "say which messages: either refs, or all")
		return
	}
	s.stream(w, func(tell func(adminapi.Progress)) (adminapi.Progress, error) {
		return s.cfg.Operator.Move(r.Context(), r.PathValue("queue"), m, tell)
	})
}

// stream answers with a line of progress now and then, and one at the end. The
// status says how it began.
func (s *Server) stream(w http.ResponseWriter, do func(tell func(adminapi.Progress)) (adminapi.Progress, error)) {
	const interval = 200 * time.Millisecond
	rc := http.NewResponseController(w)
	begun, last := false, time.Now()
	write := func(p adminapi.Progress) {
		if !begun {
			w.Header().Set("Content-Type", "application/x-ndjson")
			begun = true
		}
		_ = rc.SetWriteDeadline(time.Now().Add(10 * time.Second)) // a reader that hangs is cut
		_ = json.NewEncoder(w).Encode(p)                          // one that went away ends the request's context
		_ = rc.Flush()
	}
	p, err := do(func(p adminapi.Progress) {
		if time.Since(last) >= interval {
			last = time.Now()
			write(p)
		}
	})
	switch {
	case err == nil:
		p.Finished = true
		write(p)
	case !begun && p.Done == 0:
		refuse(w, err)
	default:
		p.Error = &adminapi.Error{Code: refusalOf(err).Code, Message: err.Error()}
		write(p)
	}
}

func (s *Server) deleteQueue(w http.ResponseWriter, r *http.Request) {
	s.plain(w, s.cfg.Operator.DeleteQueue(r.Context(), r.PathValue("queue")))
}

func (s *Server) unsubscribe(w http.ResponseWriter, r *http.Request) {
	s.plain(w, s.cfg.Operator.Unsubscribe(r.Context(), r.PathValue("client"), r.PathValue("name")))
}

func (s *Server) plain(w http.ResponseWriter, err error) {
	if err != nil {
		refuse(w, err)
		return
	}
	answer(w, struct{}{})
}

func (s *Server) subscriptions(w http.ResponseWriter, _ *http.Request) {
	list, err := s.cfg.Operator.Subscriptions()
	if err != nil {
		refuse(w, err)
		return
	}
	if list == nil {
		list = []adminapi.Subscription{}
	}
	answer(w, list)
}
