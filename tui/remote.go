package tui

import (
	"context"
	"errors"
	"fmt"
	"io"

	tea "github.com/charmbracelet/bubbletea"
)

// Size of a terminal in cells.
type Size struct{ W, H int }

// RunRemote shows the console on a terminal at the other end of a connection
// until its user leaves, ctx ends or the connection does. sizes tells of the
// size, first of all; it may be closed. cfg.In and cfg.Out are not used.
func RunRemote(ctx context.Context, cfg Config, in io.Reader, out io.Writer, sizes <-chan Size) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	cfg.Clipboard = out
	cfg = cfg.withDefaults()
	cfg.Remote, cfg.NoMouse = true, true
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := &console{cfg: cfg, failed: make(chan struct{}, 1)}
	c.program = tea.NewProgram(NewModel(ctx, cfg), tea.WithAltScreen(), tea.WithFPS(10), tea.WithoutSignalHandler(),
		tea.WithInput(in), tea.WithOutput(out), tea.WithContext(ctx))
	c.pump = newPump(c.program.Send)
	c.spawn(func() { c.pump.runSend(ctx) })
	c.spawn(func() {
		if err := cfg.Source.Run(ctx, c.pump.offer); err != nil && ctx.Err() == nil {
			c.fail(fmt.Errorf("collect data: %w", err))
		}
	})
	c.spawn(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case s, ok := <-sizes:
				if !ok {
					return
				}
				c.program.Send(tea.WindowSizeMsg{Width: s.W, Height: s.H})
			}
		}
	})
	ended := make(chan error, 1)
	go func() { // the program; ended is its end
		_, err := c.program.Run()
		ended <- err
	}()
	err := c.wait(ctx, nil, ended)
	cancel()
	c.join()
	if errors.Is(err, tea.ErrProgramKilled) || errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
