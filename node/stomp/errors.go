package stomp

import (
	"errors"
	"fmt"
)

// Errors of this package. Test with errors.Is. Their text is meant for the
// client that sent the frame: one sentence, without quotes of its content.
var (
	// ErrMalformed means that the bytes are not a STOMP frame. The stream has
	// lost its framing: nothing after it can be understood.
	ErrMalformed = errors.New("malformed STOMP frame")
	// ErrTooLarge means that a frame exceeds a limit of the server.
	ErrTooLarge = errors.New("frame exceeds a limit")
	// ErrVersion means that client and server have no version in common.
	ErrVersion = errors.New("no common protocol version")
)

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w (%s)", ErrMalformed, fmt.Sprintf(format, args...))
}

func tooLarge(what string, limit int) error {
	return fmt.Errorf("%w (%s, at most %d)", ErrTooLarge, what, limit)
}
