package stompserver

import (
	"errors"
	"fmt"
)

// Errors of this package. Test with errors.Is.
var (
	// ErrClosed is what Serve returns after Close.
	ErrClosed = errors.New("stompserver: closed")
	// errDisconnect ends a connection that the client has ended politely.
	errDisconnect = errors.New("stompserver: client disconnected")
)

// OutcomeHeader of an ERROR, with the value OutcomeInDoubt, says that what was
// refused may still come true: sent again under the same DedupHeader, it is
// stored once.
const (
	OutcomeHeader  = "baton-outcome"
	OutcomeInDoubt = "in-doubt"
)

// refusal is an answer to a frame that cannot be granted: one sentence for the
// client. A fatal one also ends the connection.
type refusal struct {
	text     string
	fatal    bool
	versions string // that the server speaks, if the client speaks none of them
	inDoubt  bool   // it may still come true
}

func (r *refusal) Error() string { return r.text }

func refuse(format string, args ...any) error {
	return &refusal{text: fmt.Sprintf(format, args...)}
}

func refuseFatally(format string, args ...any) error {
	return &refusal{text: fmt.Sprintf(format, args...), fatal: true}
}
