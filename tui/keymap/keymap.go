// Package keymap is the one table of what a user can do. Keys, key line, help,
// menus, the read-only rule and the questions before dangerous steps are all
// read from it, so none of them can disagree with another.
package keymap

import (
	"slices"
	"strings"

	"baton/tui/data"
)

// Scopes besides the names of pages.
const (
	Global = ""      // on every page, not in dialogs
	Chaos  = "chaos" // in the menu of faults
)

// View is what decides whether an action is possible now.
type View struct {
	Snap     *data.Snapshot // nil before the first
	Page     string         // name of the page shown
	Target   string         // node or process that the chaos menu points at
	ReadOnly bool
	Launched bool
	Replay   bool                                      // a recording is shown
	Queues   bool                                      // messages can be looked at
	Queue    string                                    // the queue that is open, "" if none
	Taught   bool                                      // a lesson is led from here
	Undo     string                                    // what the last action can be taken back by, "" if it cannot
	Why      string                                    // why it is read-only, "" for the usual reason
	Can      func(action string) (ok bool, why string) // what the cluster supports
}

// Action is one thing that a user can do; H is what it is done with.
type Action[H any] struct {
	ID      string
	Keys    []string // as bubbletea names them; the first is shown
	Label   string   // one or two words, for the key line and menus
	Help    string   // one line for the help
	Scope   string   // Global, Chaos or the name of a page
	Short   bool     // belongs in the key line
	Mutates bool     // changes the cluster: refused when read-only
	Whole   bool     // of the menu of faults: acts on all nodes, whatever the target
	// Danger returns the sentences that are asked about first; none if harmless
	// now. nil: never asks.
	Danger func(View) []string
	// Enabled says whether the action is possible, and if not why. nil: always.
	Enabled func(View) (ok bool, why string)
	Run     func(H)
}

// ReadOnlyWhy is the reason why a changing action is refused.
const ReadOnlyWhy = "read only: start with --allow-actions to act on this cluster"

// Refusal is why a changing action is refused.
func (v View) Refusal() string {
	if v.Why != "" {
		return v.Why
	}
	return ReadOnlyWhy
}

// Allowed applies the read-only rule and then the action's own.
func (a Action[H]) Allowed(v View) (ok bool, why string) {
	if a.Mutates && v.ReadOnly {
		return false, v.Refusal()
	}
	if a.Enabled == nil {
		return true, ""
	}
	return a.Enabled(v)
}

// Key is the first key as people write it.
func (a Action[H]) Key() string { return KeyName(a.Keys[0]) }

// KeyName writes a key for people.
func KeyName(k string) string {
	switch k {
	case " ":
		return "space"
	case "up":
		return "↑"
	case "down":
		return "↓"
	case "left":
		return "←"
	case "right":
		return "→"
	case "shift+tab":
		return "S-tab"
	}
	return k
}

// Table is all actions, in the order in which help lists them.
type Table[H any] []Action[H]

// Find returns the action of a key in the first of the scopes that has one.
func (t Table[H]) Find(key string, scopes ...string) *Action[H] {
	for _, scope := range scopes {
		for i := range t {
			if t[i].Scope == scope && slices.Contains(t[i].Keys, key) {
				return &t[i]
			}
		}
	}
	return nil
}

// ByID returns an action by its name.
func (t Table[H]) ByID(id string) *Action[H] {
	for i := range t {
		if t[i].ID == id {
			return &t[i]
		}
	}
	return nil
}

// In returns the actions of the scopes, in table order.
func (t Table[H]) In(scopes ...string) []Action[H] {
	var out []Action[H]
	for _, a := range t {
		if slices.Contains(scopes, a.Scope) {
			out = append(out, a)
		}
	}
	return out
}

// HelpLine is one line of the help.
type HelpLine struct{ Scope, Keys, Help string }

// HelpLines lists the help of the scopes.
func (t Table[H]) HelpLines(scopes ...string) []HelpLine {
	var out []HelpLine
	for _, a := range t.In(scopes...) {
		names := make([]string, len(a.Keys))
		for i, k := range a.Keys {
			names[i] = KeyName(k)
		}
		out = append(out, HelpLine{a.Scope, strings.Join(names, " "), a.Help})
	}
	return out
}
