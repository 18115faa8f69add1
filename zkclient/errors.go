package zkclient

import (
	"errors"
	"fmt"
	"strings"

	"github.com/go-zookeeper/zk"
)

// Errors of this package. The library's error, where there is one, is wrapped
// beside them.
var (
	// ErrDisconnected: ZooKeeper did not answer. A read may be repeated; a write
	// may or may not have been executed.
	ErrDisconnected = errors.New("zkclient: no answer from ZooKeeper")
	// ErrSessionExpired: the session that the call belongs to is gone, with its
	// ephemeral nodes. A write may have been executed before that, but never after.
	ErrSessionExpired = errors.New("zkclient: session expired")
	// ErrVersion: the node has another version than the write was made for.
	ErrVersion = errors.New("zkclient: node has another version")
	// ErrNoNode: the node, or the parent of the node to create, does not exist.
	ErrNoNode = errors.New("zkclient: node does not exist")
	// ErrNodeExists: the node to create exists.
	ErrNodeExists = errors.New("zkclient: node exists")
	// ErrNotEmpty: the node to delete has children.
	ErrNotEmpty = errors.New("zkclient: node has children")
	// ErrAuth: the access list of the node, or the server, refuses this client.
	// Check the ZooKeeper password.
	ErrAuth = errors.New("zkclient: ZooKeeper denied access")
	// ErrTooLarge: the data exceeds DataMax. Nothing was sent.
	ErrTooLarge = errors.New("zkclient: data too large for a node")
	// ErrClosed: the client was closed.
	ErrClosed = errors.New("zkclient: client closed")
	// ErrRefused: a server closed the connection during the handshake. It has no
	// quorum, is full, or has lost data that this client has seen.
	ErrRefused = errors.New("zkclient: server refuses the session")
	// ErrProtocol: what answers is no ZooKeeper server.
	ErrProtocol = errors.New("zkclient: not a ZooKeeper answer")
)

// answers maps what a server may answer, or the library say for it, to the
// errors of this package.
var answers = []struct{ theirs, ours error }{
	{zk.ErrNoNode, ErrNoNode},
	{zk.ErrBadVersion, ErrVersion},
	{zk.ErrNodeExists, ErrNodeExists},
	{zk.ErrNotEmpty, ErrNotEmpty},
	{zk.ErrNoAuth, ErrAuth},
	{zk.ErrAuthFailed, ErrAuth},
	{zk.ErrInvalidACL, ErrAuth},
	{zk.ErrSessionExpired, ErrSessionExpired},
	{zk.ErrSessionMoved, ErrDisconnected},
	{zk.ErrConnectionClosed, ErrDisconnected},
	{zk.ErrNoServer, ErrDisconnected},
	{zk.ErrClosing, ErrDisconnected},
}

// final are answers of a server, or refusals of the library, that have no
// sentinel here and yet are answers: repeating the call gives the same.
var final = []error{
	zk.ErrInvalidPath, zk.ErrNoChildrenForEphemerals, zk.ErrAPIError, zk.ErrInvalidFlags,
	zk.ErrBadArguments, zk.ErrShortBuffer, zk.ErrUnhandledFieldType,
}

// explain says what was being done to which node and puts the sentinel of this
// package beside the library's error.
func explain(verb, path string, err error) error {
	if err == nil {
		return nil
	}
	for _, a := range answers {
		if errors.Is(err, a.theirs) {
			return fmt.Errorf("%s %s: %w (%w)", verb, path, a.ours, err)
		}
	}
	for _, f := range final {
		if errors.Is(err, f) {
			return fmt.Errorf("%s %s: %w", verb, path, err)
		}
	}
	// The library gives codes that it does not know as text only. -124 is the
	// answer of a server that wants authentication first.
	if code, ok := strings.CutPrefix(err.Error(), "unknown error: "); ok {
		if code == "-124" {
			return fmt.Errorf("%s %s: %w (the server demands authentication)", verb, path, ErrAuth)
		}
		if code != "-4" && code != "-7" { // connection loss and time-out, said by the server
			return fmt.Errorf("%s %s: ZooKeeper answered error %s", verb, path, code)
		}
	}
	return fmt.Errorf("%s %s: %w (%w)", verb, path, ErrDisconnected, err)
}
