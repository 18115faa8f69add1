package throughput

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// rawStart bounds how long a process may take to fill its file and connect.
const rawStart = 30 * time.Second

// rawLink is a process that appends what it is sent. One append at a time: a
// frame is a length of four bytes and the bytes, the answer one byte.
type rawLink struct {
	mu   sync.Mutex // held over an append
	conn net.Conn
	cmd  *exec.Cmd
	said *bytes.Buffer // standard error, to be read after the end
	end  chan struct{}
}

// startRaw starts a process and waits until it has connected.
func startRaw(ctx context.Context, command []string, dir string, followers int) (*rawLink, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the raw limit: %w", err)
	}
	defer ln.Close()
	args := append(command[1:len(command):len(command)], dir, ln.Addr().String(), strconv.Itoa(followers))
	l := &rawLink{cmd: exec.Command(command[0], args...), said: new(bytes.Buffer), end: make(chan struct{})}
	l.cmd.Stderr = l.said
	if err := l.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a process for the raw limit: %w", err)
	}
	accepting, done := context.WithTimeout(ctx, rawStart)
	go func() {
		_ = l.cmd.Wait() // what it said counts
		done()
		close(l.end)
	}()
	stop := context.AfterFunc(accepting, func() { ln.Close() })
	defer stop()
	if l.conn, err = ln.Accept(); err != nil {
		_ = l.cmd.Process.Kill()
		<-l.end
		return nil, errors.Join(fmt.Errorf("a process for the raw limit did not connect within %v", rawStart), l.complaint())
	}
	return l, nil
}

func (l *rawLink) complaint() error {
	if s := strings.TrimSpace(l.said.String()); s != "" {
		return errors.New(s)
	}
	return nil
}

func (l *rawLink) append(b []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var length [4]byte
	binary.LittleEndian.PutUint32(length[:], uint32(len(b)))
	buffers := net.Buffers{length[:], b}
	_, err := buffers.WriteTo(l.conn)
	if err == nil {
		_, err = io.ReadFull(l.conn, length[:1])
	}
	if err != nil {
		l.close()
		return errors.Join(fmt.Errorf("ask a process for the raw limit: %w", err), l.complaint())
	}
	return nil
}

// close ends the process, which ends when its connection does.
func (l *rawLink) close() {
	l.conn.Close()
	<-l.end
}
