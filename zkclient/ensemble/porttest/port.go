// Package porttest gives tests ports that nobody else has: neither another test
// of the process, nor another test binary that runs at the same time, nor the
// kernel for a connection that somebody dials. Many servers are opened at an
// address that has to be known before, closed, and opened there again.
//
// Ports come in blocks. A block belongs to whoever holds the lock on its file,
// which the kernel releases when the process ends, however it does.
package porttest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// The blocks lie below the ports that kernels give to dialled connections.
const (
	first  = 12000
	size   = 10 // ports of a block
	blocks = 2000
)

// Base returns the first of n ports in a row at which nobody listens. They
// are the test's until it ends.
func Base(t testing.TB, n int) int {
	t.Helper()
	want := (n + size - 1) / size
	begin := rand.IntN(blocks)
	for i := range blocks {
		b := (begin + i) % blocks
		if b+want > blocks {
			continue
		}
		release, err := take(b, want)
		if err != nil {
			t.Fatalf("reserve ports: %v", err)
		}
		if release != nil {
			t.Cleanup(release)
			return first + size*b
		}
	}
	t.Fatalf("found no %d free ports from %d to %d", n, first, first+size*blocks)
	return 0
}

// Address returns a loopback address at which nobody listens, and nobody will
// but the test, until it ends.
func Address(t testing.TB) string {
	t.Helper()
	return Loopback(Base(t, 1))
}

// Loopback is the address of a port.
func Loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// take locks blocks in a row. It returns nil if one of them is not free.
func take(from, n int) (release func(), err error) {
	var locks []*os.File
	release = func() {
		for _, f := range locks {
			f.Close()
		}
	}
	for b := from; b < from+n; b++ {
		f, err := lock(b)
		if err != nil {
			release()
			return nil, err
		}
		if f != nil {
			locks = append(locks, f)
		}
		if f == nil || !free(b) {
			release()
			return nil, nil
		}
	}
	return release, nil
}

// lock returns nil if somebody else holds the block.
func lock(block int) (*os.File, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("baton-test-ports-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(first+size*block)), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, nil
		}
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return f, nil
}

// free says whether a listener can be opened at each port of a block: a program
// that is no test may have one.
func free(block int) bool {
	for p := first + size*block; p < first+size*(block+1); p++ {
		ln, err := net.Listen("tcp", Loopback(p))
		if err != nil {
			return false
		}
		ln.Close()
	}
	return true
}
