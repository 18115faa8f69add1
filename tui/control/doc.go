// Package control lets another terminal do to a cluster what a console that
// launched it can do: the same verbs, by the same table, with the same forecast
// before and the same entries in the log. It speaks JSON over HTTP on a Unix
// socket that only its owner can open.
//
//	POST /v1/do     {"verb":"kill","target":"n2","dry_run":false}  →  Answer
//	GET  /v1/state                                                 →  State
//
// An error is answered with status 4xx and {"error":"..."}.
//
// Threads: a Server has one, runServe, and one for each request; Close ends and
// waits for all of them.
package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"baton/tui/data"
)

// Errors of this package.
var (
	// ErrVerb says that there is no such verb, or that it has no such target.
	ErrVerb = errors.New("control: not understood")
	// ErrNotNow says that the verb does not fit the cluster as it is.
	ErrNotNow = errors.New("control: not possible now")
	// ErrNoCluster says that nobody listens at the socket.
	ErrNoCluster = errors.New("control: no demo runs there")
)

// Source is the cluster: data.Source.
type Source interface {
	Snapshot() *data.Snapshot
	// Do performs an action on a target, within ctx.
	Do(ctx context.Context, action, target string) error
	// Can says whether the cluster supports an action, and if not why.
	Can(action string) (ok bool, why string)
}

// Request asks for a verb.
type Request struct {
	Verb   string `json:"verb"`
	Target string `json:"target,omitempty"` // a node, a process, "leader" or "follower"; none for what is done to all
	DryRun bool   `json:"dry_run,omitempty"`
}

// Answer says what was expected, and what was done.
type Answer struct {
	Verb     string   `json:"verb"`
	Target   string   `json:"target"`
	Forecast []string `json:"forecast"` // empty: nothing is put at risk
	Done     bool     `json:"done"`     // false after a dry run
	TookMS   int64    `json:"took_ms"`
	Undo     string   `json:"undo,omitempty"` // verb that takes it back
}

// State is what can be acted on.
type State struct {
	Cluster string   `json:"cluster"`
	Health  string   `json:"health"`
	Leader  string   `json:"leader,omitempty"`
	Targets []string `json:"targets"`
}

// plan finds verb and target, and whether they fit the cluster now.
func plan(src Source, r Request) (data.Verb, string, *data.Snapshot, error) {
	v, ok := data.VerbByName(r.Verb)
	if !ok {
		return v, "", nil, fmt.Errorf("%w: %q is no verb; there are %s", ErrVerb, r.Verb, strings.Join(Verbs(), ", "))
	}
	if ok, why := src.Can(v.Name); !ok {
		return v, "", nil, fmt.Errorf("%w: %s: %s", ErrNotNow, v.Name, why)
	}
	s := src.Snapshot()
	target, err := aim(s, v, r.Target)
	if err != nil {
		return v, "", nil, err
	}
	if ok, why := v.Fits(s, target); !ok {
		return v, "", nil, fmt.Errorf("%w: %s %s: %s", ErrNotNow, v.Name, target, why)
	}
	return v, target, s, nil
}

// aim finds the target that was named.
func aim(s *data.Snapshot, v data.Verb, name string) (string, error) {
	if v.Reach == data.ReachCluster {
		if name != "" && name != data.Everything {
			return "", fmt.Errorf("%w: %s is done to all nodes and takes no target", ErrVerb, v.Name)
		}
		return data.Everything, nil
	}
	switch name {
	case "leader":
		if s.Leader == "" {
			return "", fmt.Errorf("%w: no leader", ErrNotNow)
		}
		return s.Leader, nil
	case "follower":
		for i := range s.Nodes {
			if s.Nodes[i].State.Follows() {
				return s.Nodes[i].ID, nil
			}
		}
		return "", fmt.Errorf("%w: no follower", ErrNotNow)
	}
	if targets := s.Targets(); !slices.Contains(targets, name) {
		return "", fmt.Errorf("%w: %q is no target; there are leader, follower, %s", ErrVerb, name, strings.Join(targets, ", "))
	}
	return name, nil
}

// Verbs are the names of all verbs.
func Verbs() []string {
	var out []string
	for _, v := range data.Verbs() {
		out = append(out, v.Name)
	}
	return out
}
