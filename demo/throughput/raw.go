package throughput

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	rawReplicas = 3
	rawFile     = 64 << 20 // bytes of a zero-filled file, written again and again
	rawFrame    = 16       // bytes that a log adds to a message, at least
)

// Raw measures what is left of a replicated log when everything but its I/O is
// taken away: one batch at a time, written to three zero-filled files, each
// followed by an fdatasync, two of them behind a loopback connection. A batch
// counts when two of the three are done, as quorum_disk asks. writers is how
// many messages wait at a time, and so how many make up a batch. The result is
// in messages per second.
func Raw(ctx context.Context, dir string, size, writers int, d time.Duration) (float64, error) {
	batch := make([]byte, writers*(size+rawFrame))
	if len(batch) > rawFile {
		return 0, fmt.Errorf("throughput: %d messages of %d bytes are more than the raw limit is measured with", writers, size)
	}
	own, err := newRawLog(dir)
	if err != nil {
		return 0, err
	}
	defer own.close()
	links := make([]*rawLink, 0, rawReplicas-1)
	defer func() {
		for _, l := range links {
			l.close()
		}
	}()
	for range rawReplicas - 1 {
		l, err := newRawLink(dir)
		if err != nil {
			return 0, err
		}
		links = append(links, l)
	}
	done := make(chan error, rawReplicas)
	began, batches := time.Now(), 0
	outstanding := 0
	for ctx.Err() == nil && time.Since(began) < d {
		for _, l := range links {
			go func() { done <- l.append(batch) }()
		}
		go func() { done <- own.append(batch) }()
		outstanding += rawReplicas
		// The slowest of a round is waited for in the next one: its connection
		// and its file take one batch at a time.
		for outstanding > 1 {
			if err := <-done; err != nil {
				return 0, err
			}
			outstanding--
		}
		batches++
	}
	took := time.Since(began)
	for ; outstanding > 0; outstanding-- {
		if err := <-done; err != nil {
			return 0, err
		}
	}
	return float64(batches*writers) / took.Seconds(), ctx.Err()
}

// rawLog is a zero-filled file. One append at a time.
type rawLog struct {
	turn chan struct{}
	f    *os.File
	at   int64
}

func newRawLog(dir string) (*rawLog, error) {
	f, err := os.CreateTemp(dir, "raw-*.log")
	if err != nil {
		return nil, fmt.Errorf("make a file for the raw limit: %w", err)
	}
	l := &rawLog{turn: make(chan struct{}, 1), f: f}
	zeros := make([]byte, 1<<20)
	for at := int64(0); at < rawFile && err == nil; at += int64(len(zeros)) {
		_, err = f.WriteAt(zeros, at)
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("fill %s: %w", filepath.Base(f.Name()), err), l.close())
	}
	return l, nil
}

func (l *rawLog) append(b []byte) error {
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
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

func (l *rawLog) close() error { return errors.Join(l.f.Close(), os.Remove(l.f.Name())) }

// rawLink is a file behind a connection.
type rawLink struct {
	turn chan struct{}
	log  *rawLog
	near net.Conn
	far  net.Conn
	end  chan struct{}
}

func newRawLink(dir string) (*rawLink, error) {
	log, err := newRawLog(dir)
	if err != nil {
		return nil, err
	}
	near, far, err := loopbackPair()
	if err != nil {
		return nil, errors.Join(err, log.close())
	}
	l := &rawLink{turn: make(chan struct{}, 1), log: log, near: near, far: far, end: make(chan struct{})}
	go l.runFollow()
	return l, nil
}

// runFollow appends each frame (length, bytes) and answers with a byte, until
// the connection is closed.
func (l *rawLink) runFollow() {
	defer close(l.end)
	var length [4]byte
	var buf []byte
	for {
		if _, err := io.ReadFull(l.far, length[:]); err != nil {
			return
		}
		n := int(binary.LittleEndian.Uint32(length[:]))
		if cap(buf) < n {
			buf = make([]byte, n)
		}
		if _, err := io.ReadFull(l.far, buf[:n]); err != nil {
			return
		}
		if err := l.log.append(buf[:n]); err != nil {
			l.far.Close() // the other side sees it
			return
		}
		if _, err := l.far.Write(length[:1]); err != nil {
			return
		}
	}
}

func (l *rawLink) append(b []byte) error {
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	var length [4]byte
	binary.LittleEndian.PutUint32(length[:], uint32(len(b)))
	buffers := net.Buffers{length[:], b}
	if _, err := buffers.WriteTo(l.near); err != nil {
		return fmt.Errorf("send for the raw limit: %w", err)
	}
	if _, err := io.ReadFull(l.near, length[:1]); err != nil {
		return fmt.Errorf("answer for the raw limit: %w", err)
	}
	return nil
}

func (l *rawLink) close() error {
	err := errors.Join(l.near.Close(), l.far.Close())
	<-l.end
	return errors.Join(err, l.log.close())
}

func loopbackPair() (near, far net.Conn, err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, fmt.Errorf("listen for the raw limit: %w", err)
	}
	defer ln.Close()
	if near, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		return nil, nil, fmt.Errorf("connect for the raw limit: %w", err)
	}
	if far, err = ln.Accept(); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("connect for the raw limit: %w", err), near.Close())
	}
	return near, far, nil
}
