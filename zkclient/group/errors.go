package group

import "errors"

// Errors of this package; those of zkclient come through as they are.
var (
	// ErrMalformed: a node of the tree holds something that is not what it should be.
	ErrMalformed = errors.New("group: malformed node data")
	// ErrClosed: the group was closed.
	ErrClosed = errors.New("group: closed")

	// errGone ends the following of a node that does not exist any more.
	errGone = errors.New("group: node is gone")
)
