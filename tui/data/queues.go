package data

import (
	"context"
	"errors"
	"fmt"

	"baton/demo/trace"
	"baton/node/adminapi"
)

// errNoLeader says that nobody can be asked about messages.
var errNoLeader = errors.New("no node leads: nobody can be asked about messages")

// leaderClient is the way to the leader, who alone knows messages.
func (s *Source) leaderClient() (*adminapi.Client, error) {
	leader := s.Snapshot().Leader
	if leader == "" {
		return nil, errNoLeader
	}
	return s.clientOf(leader), nil
}

// Browse reads a part of a queue; nothing is consumed.
func (s *Source) Browse(ctx context.Context, queue string, b adminapi.Browse) (adminapi.Page, error) {
	c, err := s.leaderClient()
	if err != nil {
		return adminapi.Page{}, err
	}
	p, err := c.Browse(ctx, queue, b)
	for i := range p.Messages {
		m := &p.Messages[i]
		clean(&m.Ref, &m.ID)
		for j := range m.Headers {
			clean(&m.Headers[j].Name, &m.Headers[j].Value)
		}
	}
	return p, err
}

// Publish puts a text into a queue and returns its id when it is committed.
func (s *Source) Publish(ctx context.Context, queue, text string) (string, error) {
	c, err := s.leaderClient()
	if err != nil {
		return "", err
	}
	id, err := c.Publish(ctx, queue, adminapi.Publish{Text: text})
	s.noteMessages(err, fmt.Sprintf("publish %d bytes to %s", len(text), queue))
	return Clean(id), err
}

// Purge removes what is in a queue and with no consumer.
func (s *Source) Purge(ctx context.Context, queue string) (adminapi.Progress, error) {
	c, err := s.leaderClient()
	if err != nil {
		return adminapi.Progress{}, err
	}
	p, err := c.Purge(ctx, queue, nil)
	s.noteMessages(err, fmt.Sprintf("purge %s: %d messages", queue, p.Done))
	return p, err
}

// MoveMessages moves messages of a queue.
func (s *Source) MoveMessages(ctx context.Context, queue string, m adminapi.Move) (adminapi.Progress, error) {
	c, err := s.leaderClient()
	if err != nil {
		return adminapi.Progress{}, err
	}
	p, err := c.MoveMessages(ctx, queue, m, nil)
	to := m.To
	if to == "" {
		to = "where they came from"
	}
	s.noteMessages(err, fmt.Sprintf("move %d messages of %s to %s", p.Done, queue, to))
	return p, err
}

// noteMessages enters in the timeline what was done to messages.
func (s *Source) noteMessages(err error, text string) {
	if err != nil {
		text = "failed: " + text + ": " + err.Error()
	}
	s.Note(KindConsole, "", "you: "+text)
}

// Trace sends a message through a queue of its own and follows it.
func (s *Source) Trace(ctx context.Context) (trace.Trace, error) {
	snap := s.Snapshot()
	cfg := trace.Config{Nodes: map[string]*adminapi.Client{}}
	for i := range snap.Nodes {
		n := &snap.Nodes[i]
		if n.Fresh == Fresh {
			cfg.Nodes[n.ID] = s.clientOf(n.ID)
			cfg.Stomp = append(cfg.Stomp, n.Status.Addresses.Stomp)
		}
	}
	if snap.Leader == "" || len(cfg.Stomp) == 0 {
		return trace.Trace{}, errNoLeader
	}
	s.Note(KindConsole, "", "you: trace a message")
	t, err := trace.Run(ctx, cfg)
	t.ID = Clean(t.ID)
	return t, err
}
