package page

import (
	"baton/tui/data"
	"baton/tui/style"
)

// StateLook returns the glyph and the role of a node's state.
func StateLook(t style.Theme, s data.State) (glyph string, role style.Role) {
	g := t.Glyphs
	switch s {
	case data.StateLeader:
		return g.Leader, style.Good
	case data.StatePromoting, data.StateElected:
		return g.Elected, style.Accent
	case data.StateNoQuorum:
		return g.Leader, style.Bad
	case data.StateInSync:
		return g.Follower, style.Follow
	case data.StateCatchingUp, data.StateProbing, data.StateLagging, data.StateLearner:
		return g.CatchUp, style.Warn
	case data.StateSealed, data.StateElecting, data.StateWaiting, data.StateStarting, data.StateStopping:
		return g.Starting, style.Warn
	case data.StatePaused:
		return g.Paused, style.Warn
	case data.StateDown, data.StateFailed, data.StateRefused:
		return g.Down, style.Bad
	}
	return g.Unknown, style.Warn
}

// HealthLook returns the glyph and the role of the cluster's condition.
func HealthLook(t style.Theme, h data.Health) (glyph string, role style.Role) {
	g := t.Glyphs
	switch h {
	case data.HealthHealthy:
		return g.Leader, style.Good
	case data.HealthDegraded, data.HealthZKDown:
		return g.CatchUp, style.Warn
	case data.HealthElecting, data.HealthStarting:
		return g.Starting, style.Warn
	case data.HealthFailover:
		return g.Elected, style.Accent
	case data.HealthNoQuorum, data.HealthNoLeader:
		return g.Down, style.Bad
	}
	return g.Unknown, style.Warn
}
