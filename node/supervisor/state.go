package supervisor

import (
	"errors"
	"fmt"
	"syscall"
	"time"
)

var (
	// ErrClosed says that the process or proxy was closed for good.
	ErrClosed = errors.New("supervisor: closed")
	// ErrRunning says that the process is already there.
	ErrRunning = errors.New("supervisor: process is already running")
	// ErrNotRunning says that there is no process to signal.
	ErrNotRunning = errors.New("supervisor: process is not running")
	// ErrNotPaused says that there is nothing to resume.
	ErrNotPaused = errors.New("supervisor: process is not paused")
)

// State of a process.
type State string

// States of a process.
const (
	StateIdle     State = "idle"     // never started
	StateStarting State = "starting" // started, its owner has not called Ready
	StateRunning  State = "running"
	StatePaused   State = "paused" // stopped by SIGSTOP, keeps memory and sockets
	StateExited   State = "exited"
)

// Alive says that the operating system still has the process.
func (s State) Alive() bool {
	return s == StateStarting || s == StateRunning || s == StatePaused
}

// Exit says how a process ended.
type Exit struct {
	Code      int            // -1 if a signal ended it or it never started
	Signal    syscall.Signal // 0 if none
	At        time.Time
	Requested bool   // Kill, Stop or Close asked for it
	Err       string // why it could not be started or waited for
}

// String says it in words: "exit 1", "signal killed".
func (e Exit) String() string {
	switch {
	case e.Err != "":
		return e.Err
	case e.Signal != 0:
		return "signal " + e.Signal.String()
	default:
		return fmt.Sprintf("exit %d", e.Code)
	}
}

// Status is a process as of now.
type Status struct {
	Name       string
	State      State
	PID        int       // 0 if not alive
	Since      time.Time // of the state
	Generation int       // starts so far
	Exit       *Exit     // of the last run, nil before the first exit
}

// Event is one change of state.
type Event struct {
	At time.Time
	Status
}
