package data

import (
	"context"
	"errors"
	"fmt"
	"time"

	"baton/node/adminapi"
)

// Can says whether an action is possible on this cluster at all, and if not, why.
func (s *Source) Can(action string) (ok bool, why string) {
	if s.cfg.Local == nil {
		if v, known := VerbByName(action); known && v.Remote != nil {
			return true, ""
		}
		return false, "attached: the process is not ours"
	}
	if sup, is := s.cfg.Local.(Supporter); is {
		if action == ActionRestart {
			action = ActionStart
		}
		return sup.Supports(action)
	}
	return true, ""
}

// Do performs an action on a node and enters it in the timeline. It may block
// until ctx ends.
func (s *Source) Do(ctx context.Context, action, node string) error {
	if ok, why := s.Can(action); !ok {
		return fmt.Errorf("%w: %s %s: %s", ErrUnsupported, action, node, why)
	}
	if _, notes := s.cfg.Local.(Noter); !notes {
		s.noteAction(action, node)
	}
	var err error
	switch {
	case s.cfg.Local == nil:
		err = s.ask(ctx, action, node)
	case action == ActionRestart:
		err = s.restart(ctx, node)
	default:
		err = s.cfg.Local.Do(ctx, action, node)
	}
	if err != nil {
		err = fmt.Errorf("%s %s: %w", action, node, err)
		s.Note(KindConsole, node, "failed: "+err.Error())
	}
	return err
}

func (s *Source) noteAction(action, node string) {
	leader := s.Snapshot().Leader
	e := adminapi.Event{At: s.cfg.Now(), Node: Clean(node), Kind: KindConsole, Text: Clean("you: " + action + " " + node)}
	if v, ok := VerbByName(action); ok {
		if twin := v.Command(s.cfg.CLI, node, leader); twin != "" {
			e.Fields = map[string]string{FieldCommand: twin}
		}
	}
	s.addNote(e)
}

func (s *Source) addNote(e adminapi.Event) {
	s.mu.Lock()
	s.mu.events.add(e)
	s.mu.Unlock()
	s.poke()
}

// KindConsole marks events that the console added itself.
const KindConsole = "console.action"

// Fields of events of KindConsole.
const (
	FieldCommand = "cli"   // the command that does the same from another terminal
	FieldPlan    = "fault" // the flag by which a headless run does it again
)

// ask uses the admin listener, the only way into a cluster of somebody else.
func (s *Source) ask(ctx context.Context, action, node string) error {
	snap := s.Snapshot()
	leader := snap.Leader
	s.tracker.Fault(s.cfg.Now(), action+" "+node, leaderIf(action == ActionTransfer, leader, node))
	switch action {
	case ActionTransfer:
		if leader == "" {
			return errors.New("no leader to ask")
		}
		to := node
		if node == leader {
			to = "" // away from the leader: it chooses
		}
		return s.clientOf(leader).Transfer(ctx, to)
	case ActionStop:
		return s.clientOf(node).Shutdown(ctx)
	}
	return ErrUnsupported
}

func leaderIf(is bool, leader, node string) string {
	if is {
		return leader
	}
	return node
}

func (s *Source) clientOf(node string) *adminapi.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	var best *poller
	for _, p := range s.mu.pollers {
		if p.id == node && (best == nil || p.seenAt.After(best.seenAt)) {
			best = p
		}
	}
	if best == nil {
		return &adminapi.Client{HTTP: s.cfg.HTTP}
	}
	c := best.client
	return &c
}

// restart stops a process, waits for its end and starts it again.
func (s *Source) restart(ctx context.Context, name string) error {
	if err := s.cfg.Local.Do(ctx, ActionStop, name); err != nil {
		return err
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		for _, p := range s.cfg.Local.Processes() {
			if p.Name == name && p.State == ProcessExited {
				return s.cfg.Local.Do(ctx, ActionStart, name)
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for its end: %w", ctx.Err())
		case <-tick.C:
		}
	}
}
