package inspect

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"baton/store/index"
	"baton/store/record"
	"baton/store/vfs"
	"baton/store/wal"
)

// readStart reads what a directory says about where its log begins, and the base
// of that segment; both are zero for a whole log. What is wrong is a finding.
func readStart(dir string) (index.Trim, index.Base, *Finding) {
	path := wal.StartPath(dir)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return index.Trim{}, index.Base{}, nil
	}
	var t index.Trim
	if err == nil {
		t, err = index.DecodeTrim(data)
	}
	if err != nil {
		return t, index.Base{}, &Finding{path, 0, "why the log begins where it does", err.Error(), hintRepair}
	}
	path = wal.BasePath(dir, t.Base)
	var b index.Base
	if data, err = os.ReadFile(path); err == nil {
		b, err = index.DecodeBase(data)
	}
	if err == nil && b.Position != t.Base {
		err = fmt.Errorf("the base of position %d", b.Position)
	}
	if err != nil {
		return t, b, &Finding{path, t.Base, "the queues as of the start of the log", err.Error(), hintRepair}
	}
	return t, b, nil
}

// checkStart compares the log with what the directory says about its start. It
// comes after the walk: a start only ever moves up.
func (w *Walker) checkStart() {
	t, _, bad := readStart(w.Dir)
	switch {
	case bad != nil:
		w.find(*bad)
	case w.Segments > 0 && w.Start > t.Base:
		w.find(Finding{wal.StartPath(w.Dir), t.Base, "a segment that holds this position",
			fmt.Sprintf("a log that begins at %d", w.Start), hintRepair})
	case w.Segments > 0 && w.End < t.Applied:
		w.find(Finding{wal.StartPath(w.Dir), w.End, fmt.Sprintf("a log that reaches position %d, on which its start stands", t.Applied),
			"its end", hintRepair})
	}
}

// replay counts the messages of queues as a node does: it makes an index of
// the log, in a directory of its own.
type replay struct {
	dir string
	ix  *index.Index
	buf []byte
	err error // why the depths are not known
}

func newReplay(dir string) (*replay, error) {
	r := &replay{}
	var err error
	if r.dir, err = os.MkdirTemp("", "baton-stats-"); err != nil {
		return nil, err
	}
	if r.ix, err = index.Open(vfs.OS{}, r.dir); err != nil {
		return nil, errors.Join(err, os.RemoveAll(r.dir))
	}
	t, b, bad := readStart(dir)
	if bad != nil {
		r.err = errors.New(bad.String())
	} else if t.Base > 0 {
		r.err = r.ix.Begin(b, t)
	}
	return r, nil
}

// add takes the next batch.
func (r *replay) add(h record.Header, batch []byte) {
	if at, _ := r.ix.Applied(); h.End() <= at {
		return // below the start: a trim had not removed it yet
	}
	r.buf = append(r.buf, batch...)
	if len(r.buf) >= readSize {
		r.flush()
	}
}

func (r *replay) flush() {
	if r.err == nil {
		r.err = r.ix.Apply(r.buf, nil)
	}
	r.buf = r.buf[:0]
}

// fill tells what the index says, if it could be made.
func (r *replay) fill(s *Stats) {
	if r.flush(); r.err != nil {
		return
	}
	for _, q := range r.ix.Queues() {
		s.Queues = append(s.Queues, QueueStats{q.Name, q.Enqueued, q.Acked, q.Depth, q.Duplicates})
	}
	for _, x := range r.ix.Subscriptions() {
		s.Subscriptions = append(s.Subscriptions, Subscription{x.ClientID, x.Name, x.Destination, x.Selector, x.NoLocal, x.Position})
	}
	s.IDs = r.ix.IDs()
}

func (r *replay) close() error { return errors.Join(r.ix.Close(), os.RemoveAll(r.dir)) }
