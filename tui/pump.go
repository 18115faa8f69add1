package tui

import (
	"context"
	"os"
	"sync"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"baton/tui/data"
)

// pump carries snapshots to the program. Program.Send blocks while a slow
// terminal is drawn on; the pump's mailbox never does: it holds one snapshot
// and the newest wins.
type pump struct {
	send  func(tea.Msg)
	ready chan struct{}
	mu    struct {
		sync.Mutex
		newest *data.Snapshot
		at     time.Time
	}
}

func newPump(send func(tea.Msg)) *pump {
	return &pump{send: send, ready: make(chan struct{}, 1)}
}

// offer replaces what waits in the mailbox. It never blocks.
func (p *pump) offer(s *data.Snapshot) {
	p.mu.Lock()
	p.mu.newest, p.mu.at = s, time.Now()
	p.mu.Unlock()
	select {
	case p.ready <- struct{}{}:
	default:
	}
}

// runSend hands snapshots on until ctx ends.
func (p *pump) runSend(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.ready:
		}
		p.mu.Lock()
		s, at := p.mu.newest, p.mu.at
		p.mu.newest = nil
		p.mu.Unlock()
		if s != nil {
			p.send(snapMsg{s, at})
		}
	}
}

// syncOut wraps each frame in synchronised-update marks, so that terminals that
// know them never show half a frame. It keeps Fd, by which bubbletea tells a
// terminal; the number is asked for once, because bubbletea leaves a goroutine
// behind that may ask for it when the file is closed already.
type syncOut struct {
	*os.File
	fd uintptr
}

// Fd is the file descriptor of the terminal.
func (o syncOut) Fd() uintptr { return o.fd }

// markLeast is the length below which a write is no frame.
const markLeast = 64

// Write implements io.Writer.
func (o syncOut) Write(b []byte) (int, error) {
	if len(b) < markLeast {
		return o.File.Write(b)
	}
	framed := make([]byte, 0, len(b)+16)
	framed = append(framed, "\x1b[?2026h"...)
	framed = append(framed, b...)
	framed = append(framed, "\x1b[?2026l"...)
	if _, err := o.File.Write(framed); err != nil {
		return 0, err
	}
	return len(b), nil
}
