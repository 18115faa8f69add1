package repl

import (
	"errors"
	"fmt"
	"time"

	"baton/store/record"
)

// fullRetry is how often a follower with a full disk tries again.
const fullRetry = 100 * time.Millisecond

// appendRaw appends batches and waits for as long as the disk is full: the
// link stays up, its acks go on saying how far the log got, and the leader does
// without this node meanwhile.
func (l *link) appendRaw(b []byte) (record.Position, error) {
	f := l.f
	for told := false; ; told = true {
		end, err := f.cfg.Log.AppendRaw(b)
		if err == nil {
			if told {
				f.cfg.Logger.Info("the disk has space again", keyPosition, end)
			}
			return end, nil
		}
		if record.Invalid(err) && f.cfg.Log.Err() == nil {
			return 0, l.invalid(l.end, err)
		}
		if !errors.Is(err, ErrFull) {
			return 0, logOver(fmt.Sprintf("append at %d", l.end), err)
		}
		if !told {
			f.cfg.Logger.Warn("disk full: this node falls behind until there is space", keyPosition, l.end, keyError, err)
		}
		t := time.NewTimer(fullRetry)
		select {
		case <-t.C:
		case <-f.ctx.Done():
			t.Stop()
			return 0, ErrStopped
		}
		if sealed := f.cfg.Sealed(); sealed > f.cfg.Epoch {
			return 0, fencedBy(sealed, "this node has sealed epoch %d", sealed)
		}
		if err := l.failure(); err != nil {
			return 0, err
		}
	}
}
