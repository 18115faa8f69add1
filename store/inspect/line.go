package inspect

import (
	"fmt"
	"path/filepath"
	"strings"

	"baton/store/record"
)

func line(h record.Header, r record.Record) Line {
	l := Line{Position: r.Position, Epoch: h.Epoch, Time: h.Time, Type: r.Type.String(), Size: record.RecordHeaderSize + len(r.Body)}
	if err := l.body(r); err != nil {
		l.Error = err.Error()
	}
	return l
}

// Bodies is a Walker's Batch that reads what is in the records too, and finds
// those that this program does not understand.
func (w *Walker) Bodies(_ record.Header, batch []byte) error {
	for r := range record.Records(batch) {
		if err := new(Line).body(r); err != nil {
			w.find(unreadable(w.Dir, r, err))
		}
	}
	return nil
}

func unreadable(dir string, r record.Record, err error) Finding {
	return Finding{filepath.Join(dir, "log"), r.Position, "a record that can be read", fmt.Sprintf("%s: %v", r.Type, err), hintUpgrade}
}

// body says what is in the record.
func (l *Line) body(r record.Record) (err error) {
	switch r.Type {
	case record.TypeEnqueue:
		var e record.Enqueue
		e, err = record.ParseEnqueue(r.Body)
		l.enqueue(e, "")
	case record.TypeMove:
		var m record.Move
		m, err = record.ParseMove(r.Body)
		l.Sequences = []record.Sequence{m.Sequence}
		l.enqueue(m.Enqueue, fmt.Sprintf("sequence=%d from=%d", m.Sequence, m.From))
	case record.TypeAck:
		var a record.Ack
		a, err = record.ParseAck(r.Body)
		l.Queue, l.Sequences = a.Queue, a.Sequences
	case record.TypeRedeliver:
		var d record.Redeliver
		d, err = record.ParseRedeliver(r.Body)
		l.Queue = d.Queue
		var counts []string
		for _, m := range d.Messages {
			l.Sequences = append(l.Sequences, m.Sequence)
			counts = append(counts, fmt.Sprint(m.Count))
		}
		l.Detail = "redeliveries=" + strings.Join(counts, ",")
	case record.TypeDeleteQueue:
		var d record.DeleteQueue
		d, err = record.ParseDeleteQueue(r.Body)
		l.Queue = d.Queue
	case record.TypeSubscribe:
		var s record.Subscribe
		s, err = record.ParseSubscribe(r.Body)
		l.Detail = fmt.Sprintf("client=%q name=%q destination=%q selector=%q no-local=%v", s.ClientID, s.Name, s.Destination, s.Selector, s.NoLocal)
	case record.TypeUnsubscribe:
		var u record.Unsubscribe
		u, err = record.ParseUnsubscribe(r.Body)
		l.Detail = fmt.Sprintf("client=%q name=%q", u.ClientID, u.Name)
	case record.TypeForget:
		var f record.Forget
		f, err = record.ParseForget(r.Body)
		l.Detail = fmt.Sprintf("below=%d", f.Below)
	case record.TypeEpochStart:
		var e record.EpochStart
		e, err = record.ParseEpochStart(r.Body)
		l.Leader, l.Members = e.Leader, e.Members
	default:
		err = fmt.Errorf("%w: a record of this type is not known to this program", record.ErrVersion)
	}
	return err
}

func (l *Line) enqueue(e record.Enqueue, detail string) {
	l.Queue, l.ID = e.Queue, e.Message.ID
	parts := []string{}
	if detail != "" {
		parts = append(parts, detail)
	}
	if d := e.Message.Deadline; d != 0 {
		parts = append(parts, fmt.Sprintf("deadline=%d", d))
	}
	if id := e.Message.DedupID; id != "" {
		parts = append(parts, fmt.Sprintf("dedup-id=%q", id))
	}
	if n := e.Message.Redeliveries; n != 0 {
		parts = append(parts, fmt.Sprintf("redeliveries=%d", n))
	}
	l.Detail = strings.Join(parts, " ")
}
