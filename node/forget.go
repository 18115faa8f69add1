package node

import (
	"time"

	"baton/store/index"
	"baton/store/record"
)

// forgetBatch is how many ids one record makes every index forget.
const forgetBatch = 4096

// runForget ends the time in which ids suppress duplicates: a leader decides
// it by its clock, and says so in the log. It begins when everything committed
// is in the index.
func (l *leadership) runForget() {
	l.chore("could not forget the ids of old messages; trying again", l.forget)
}

// forget writes records until what is remembered keeps to the window.
func (l *leadership) forget() error {
	cfg := &l.n.cfg
	for l.ctx.Err() == nil {
		if err := l.settle(); err != nil {
			return err
		}
		below, err := l.n.store.Index().Outside(index.IDWindow{
			Count: uint64(cfg.DedupCount), Bytes: record.Position(cfg.DedupBytes), Since: time.Now().Add(-cfg.DedupWindow),
		}, forgetBatch)
		if err != nil || below == 0 {
			return err
		}
		b := record.NewBatch(16)
		b.Add(record.TypeForget, record.Forget{Below: below}.AppendTo)
		if err := l.proposeAndWait(b); err != nil {
			return err
		}
	}
	return nil
}
