package node

import "time"

// chore calls round every RetentionInterval, from when everything committed is
// in the index until the leadership ends. What keeps it from its work is said
// once, with complaint, and again when it is something else.
func (l *leadership) chore(complaint string, round func() error) {
	select {
	case <-l.leader.Ready():
	case <-l.ctx.Done():
		return
	}
	tick := time.NewTicker(l.n.cfg.RetentionInterval)
	defer tick.Stop()
	said := ""
	for {
		select {
		case <-tick.C:
		case <-l.ctx.Done():
			return
		}
		err := round()
		if err == nil {
			said = ""
		} else if l.ctx.Err() == nil && err.Error() != said {
			said = err.Error()
			l.n.cfg.Logger.Warn(complaint, "err", err)
		}
	}
}
