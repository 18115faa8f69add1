package node

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"syscall"
)

// The open files of a process are limited, and a client is one of them. Those
// that the log, the index, the links of followers and ZooKeeper need next must
// not fail because clients have taken all: so clients are turned away while the
// last ones are free, and administrators while the very last ones are.
const (
	filesForNode  = 256 // kept free of clients: the index alone has up to 128 tables open
	filesForLinks = 128 // kept free of administrators, too
	filesMin      = filesForNode + 64
)

// files knows how many files the process may have open.
type files struct {
	limit int // 0: not known
	log   *slog.Logger
}

// check refuses a limit that leaves clients nothing, and says if it leaves them
// less than the configuration.
func (f files) check(connections int) error {
	if f.limit == 0 {
		return nil
	}
	if f.limit < filesMin {
		return fmt.Errorf("this process may have %d files open at a time, and a node needs at least %d: raise the limit (ulimit -n)", f.limit, filesMin)
	}
	if most := f.limit - filesForNode; most < connections {
		f.log.Warn("the limit of open files allows fewer clients than --max-connections: raise it (ulimit -n)", "clients", most, "files", f.limit)
	}
	return nil
}

// admit is for STOMP clients.
func (f files) admit(nc net.Conn) error {
	if f.leaves(nc, filesForNode) {
		return nil
	}
	return errors.New("too many connections: the server can open only a few more files, which it needs itself; try again later")
}

// leaves says whether, with a new connection, at least so many files can still
// be opened. The operating system gives out the lowest free number, so that of
// the newest tells how many there are at most.
func (f files) leaves(nc net.Conn, reserve int) bool {
	sc, ok := nc.(syscall.Conn)
	if f.limit == 0 || !ok {
		return true
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return true
	}
	newest := 0
	if err := raw.Control(func(fd uintptr) { newest = int(fd) }); err != nil {
		return true
	}
	return newest < f.limit-reserve
}

// guarded is the listener of administrators.
type guarded struct {
	net.Listener
	files files
}

// Accept closes connections for which there are too few files left.
func (g guarded) Accept() (net.Conn, error) {
	for {
		nc, err := g.Listener.Accept()
		if err != nil || g.files.leaves(nc, filesForLinks) {
			return nc, err
		}
		nc.Close()
	}
}
