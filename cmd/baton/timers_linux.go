package main

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// timerSlack is how late the operating system may wake a thread of a node.
	// The Go runtime's monitor is a thread that sleeps for 20 us at a time while
	// there is anything to do, in each process. With the usual slack the monitors
	// of three nodes take a quarter of a processor, and it is theirs just when a
	// producer waits for its receipt. Nothing of a node is timed closer than
	// some milliseconds.
	timerSlack = time.Millisecond
	// usualSlack is the kernel's. Another one is somebody's choice.
	usualSlack = 50 * time.Microsecond
)

// relaxTimers gives this process timerSlack, unless it was started with another
// slack than the usual one. The monitor runs before main does and keeps what it
// began with, so the program is executed once more, in the same process. It must
// be called before anything is opened. If something fails the node is slower.
func relaxTimers() {
	// The signal for the death of the parent is kept for the first thread alone.
	if unix.Gettid() != os.Getpid() || ownSlack() != usualSlack {
		return
	}
	path, err := os.Executable()
	if err != nil {
		return
	}
	if unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(timerSlack), 0, 0, 0) == nil && ownSlack() == timerSlack {
		_ = syscall.Exec(path, os.Args, os.Environ())
	}
}

// ownSlack is that of the calling thread, 0 if it is not known.
func ownSlack() time.Duration {
	ns, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil {
		return 0
	}
	return time.Duration(ns)
}
