package supervisor

import (
	"errors"
	"fmt"
	"syscall"
	"time"
)

// Kill ends the process at once with SIGKILL and waits until it is reaped, so
// that its sockets are closed on return. A paused process dies, too.
func (p *Process) Kill() error {
	p.op <- struct{}{}
	defer func() { <-p.op }()
	return p.kill()
}

func (p *Process) kill() error {
	exited, err := p.signal("kill", syscall.SIGKILL, true)
	if err != nil {
		return err
	}
	if !waitFor(exited, killWait) {
		return fmt.Errorf("kill %s: it is still there after %v", p.cfg.Name, killWait)
	}
	return nil
}

// Expect calls cause, which makes the process end by itself, and waits for at
// most so long until it is reaped. The end counts as asked for.
func (p *Process) Expect(within time.Duration, cause func() error) error {
	p.op <- struct{}{}
	defer func() { <-p.op }()
	p.mu.Lock()
	alive, exited := p.status.State.Alive(), p.exited
	p.asked = p.asked || alive
	p.mu.Unlock()
	if !alive {
		return fmt.Errorf("wait for the end of %s: %w", p.cfg.Name, ErrNotRunning)
	}
	err := cause()
	if err == nil && !waitFor(exited, within) {
		err = fmt.Errorf("wait for the end of %s: it is still there after %v", p.cfg.Name, within)
	}
	if err != nil {
		p.mu.Lock()
		p.asked = false
		p.mu.Unlock()
	}
	return err
}

// Stop asks the process to end with SIGTERM, waits for StopTimeout and then
// kills it. A paused process is continued so that it can obey.
func (p *Process) Stop() error {
	p.op <- struct{}{}
	defer func() { <-p.op }()
	return p.stop()
}

func (p *Process) stop() error {
	exited, err := p.signal("stop", syscall.SIGTERM, true)
	if err != nil {
		return err
	}
	if p.Status().State == StatePaused {
		_, _ = p.signal("continue", syscall.SIGCONT, true) // gone already is as good
	}
	if waitFor(exited, p.cfg.StopTimeout) {
		return nil
	}
	p.cfg.Logger.Warn("process did not stop in time and is killed", "process", p.cfg.Name, "timeout", p.cfg.StopTimeout)
	if err := p.kill(); !errors.Is(err, ErrNotRunning) {
		return err
	}
	waitFor(exited, killWait) // it has just ended, and that is still to be noted
	return nil
}

// Pause freezes the process with SIGSTOP: it keeps memory, sockets and locks
// and answers nothing.
func (p *Process) Pause() error {
	p.op <- struct{}{}
	defer func() { <-p.op }()
	if _, err := p.signal("pause", syscall.SIGSTOP, false); err != nil {
		return err
	}
	p.changeAlive("", StatePaused)
	return nil
}

// Resume continues a paused process.
func (p *Process) Resume() error {
	p.op <- struct{}{}
	defer func() { <-p.op }()
	if p.Status().State != StatePaused {
		return fmt.Errorf("resume %s: %w", p.cfg.Name, ErrNotPaused)
	}
	if _, err := p.signal("resume", syscall.SIGCONT, false); err != nil {
		return err
	}
	p.changeAlive(StatePaused, StateRunning)
	return nil
}

// Restart stops the process if it is there and starts it again.
func (p *Process) Restart() error {
	p.op <- struct{}{}
	defer func() { <-p.op }()
	if p.Status().State.Alive() {
		if err := p.stop(); err != nil {
			return err
		}
	}
	return p.start()
}

// Close ends the process for good: SIGTERM, then SIGKILL after StopTimeout.
// It is bounded, and a second Close is a no-op.
func (p *Process) Close() error {
	p.op <- struct{}{}
	defer func() { <-p.op }()
	p.mu.Lock()
	was := p.closed
	p.closed = true
	alive, exited := p.status.State.Alive(), p.exited
	p.mu.Unlock()
	if was {
		return nil
	}
	var err error
	if alive {
		if err = p.stop(); errors.Is(err, ErrNotRunning) { // it ended by itself meanwhile
			err = nil
			waitFor(exited, killWait)
		}
	}
	if cerr := p.log.close(); err == nil {
		err = cerr
	}
	return err
}

// signal sends sig to the process group of the child and returns what closes
// when it is reaped. A group that is gone already is ErrNotRunning.
func (p *Process) signal(verb string, sig syscall.Signal, ends bool) (exited <-chan struct{}, err error) {
	p.mu.Lock()
	if !p.status.State.Alive() {
		p.mu.Unlock()
		return nil, fmt.Errorf("%s %s: %w", verb, p.cfg.Name, ErrNotRunning)
	}
	pid, ch := p.status.PID, p.exited
	p.asked = p.asked || ends
	p.mu.Unlock()
	if err := syscall.Kill(-pid, sig); err != nil {
		if err == syscall.ESRCH {
			return nil, fmt.Errorf("%s %s: %w", verb, p.cfg.Name, ErrNotRunning)
		}
		return nil, fmt.Errorf("%s %s: %w", verb, p.cfg.Name, err)
	}
	return ch, nil
}

func waitFor(ch <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ch:
		return true
	case <-t.C:
		return false
	}
}
