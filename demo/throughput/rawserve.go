package throughput

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

const rawFile = 64 << 20 // bytes of a zero-filled file, written again and again

// ServeRaw is one process of Raw, with the arguments that Raw adds to its
// command. It ends when the connection to who started it does.
func ServeRaw(ctx context.Context, command, args []string) error {
	if len(args) != 3 {
		return errors.New("throughput: want a directory, an address and a number of followers")
	}
	dir, address := args[0], args[1]
	followers, err := strconv.Atoi(args[2])
	if err != nil || followers < 0 || followers > rawReplicas {
		return fmt.Errorf("throughput: %q is no number of followers", args[2])
	}
	own, err := newRawLog(dir)
	if err != nil {
		return err
	}
	defer own.f.Close()
	n := &rawNode{own: own, done: make(chan error, followers+1)}
	for range followers {
		l, err := startRaw(ctx, command, dir, 0)
		if err != nil {
			return err
		}
		defer l.close()
		n.links = append(n.links, l)
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return fmt.Errorf("connect for the raw limit: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	return n.serve(conn)
}

// rawNode appends to its own file and those of its followers.
type rawNode struct {
	own   *rawLog
	links []*rawLink

	done    chan error
	pending int
}

func (n *rawNode) serve(conn net.Conn) error {
	var length [4]byte
	var bufs [2][]byte // the slowest may still read the one before
	for turn := 0; ; turn++ {
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return nil // the end of the measurement
		}
		size := int(binary.LittleEndian.Uint32(length[:]))
		if size > rawFile {
			return fmt.Errorf("throughput: a batch of %d bytes", size)
		}
		buf := bufs[turn%2]
		if cap(buf) < size {
			buf = make([]byte, size)
			bufs[turn%2] = buf
		}
		if _, err := io.ReadFull(conn, buf[:size]); err != nil {
			return nil
		}
		if err := n.append(buf[:size]); err != nil {
			return err
		}
		if _, err := conn.Write(length[:1]); err != nil {
			return nil
		}
	}
}

// append returns when all but one have b, and had what was appended before.
func (n *rawNode) append(b []byte) error {
	if len(n.links) == 0 {
		return n.own.append(b)
	}
	for _, l := range n.links {
		go func() { n.done <- l.append(b) }()
	}
	go func() { n.done <- n.own.append(b) }()
	n.pending += len(n.links) + 1
	for ; n.pending > 1; n.pending-- {
		if err := <-n.done; err != nil {
			return err
		}
	}
	return nil
}

// rawLog is a zero-filled file without a name. One append at a time.
type rawLog struct {
	mu sync.Mutex // held over an append
	f  *os.File
	at int64
}

func newRawLog(dir string) (*rawLog, error) {
	f, err := os.CreateTemp(dir, "raw-*.log")
	if err != nil {
		return nil, fmt.Errorf("make a file for the raw limit: %w", err)
	}
	err = os.Remove(f.Name()) // so that it goes with the process
	zeros := make([]byte, 1<<20)
	for at := int64(0); at < rawFile && err == nil; at += int64(len(zeros)) {
		_, err = f.WriteAt(zeros, at)
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("fill a file in %s for the raw limit: %w", dir, err), f.Close())
	}
	return &rawLog{f: f}, nil
}

func (l *rawLog) append(b []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at+int64(len(b)) > rawFile {
		l.at = 0
	}
	if _, err := l.f.WriteAt(b, l.at); err != nil {
		return fmt.Errorf("write for the raw limit: %w", err)
	}
	l.at += int64(len(b))
	if err := unix.Fdatasync(int(l.f.Fd())); err != nil {
		return fmt.Errorf("sync for the raw limit: %w", err)
	}
	return nil
}
