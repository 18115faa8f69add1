package inspect

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"baton/store"
	"baton/store/record"
	"baton/store/vfs"
)

// Stats sums up a data directory.
type Stats struct {
	Meta          store.Meta             `json:"meta"`
	Segments      int                    `json:"segments"`
	Start         record.Position        `json:"start"`
	End           record.Position        `json:"end"`
	TornBytes     int64                  `json:"torn_bytes,omitempty"`
	Epochs        []record.EpochBoundary `json:"epochs"`
	Batches       uint64                 `json:"batches"`
	Records       map[string]uint64      `json:"records"` // by type
	Queues        []QueueStats           `json:"queues"`  // sorted by name
	Subscriptions []Subscription         `json:"subscriptions,omitempty"`
	IDs           uint64                 `json:"ids"` // that suppress duplicates
	DiskBytes     int64                  `json:"disk_bytes"`
	HasIndex      bool                   `json:"has_index"`
	// Uncounted is why queues, subscriptions and ids are not told.
	Uncounted string `json:"uncounted,omitempty"`
}

// QueueStats counts the messages of a queue since its first, as of the end of
// the log, of which the last part may not be committed.
type QueueStats struct {
	Name       string `json:"name"`
	Enqueued   uint64 `json:"enqueued"`
	Acked      uint64 `json:"acked"`
	Depth      uint64 `json:"depth"`
	Duplicates uint64 `json:"duplicates,omitempty"` // messages not taken, of an id that was there
}

// Subscription is a durable subscription.
type Subscription struct {
	ClientID    string          `json:"client_id"`
	Name        string          `json:"name"`
	Destination string          `json:"destination"`
	Selector    string          `json:"selector,omitempty"`
	NoLocal     bool            `json:"no_local,omitempty"`
	Position    record.Position `json:"position"` // of its record
}

// Summarize reads a whole directory. The memory it takes grows with the number
// of queues, not with their depth: it makes an index of the log in a temporary
// directory, some 50 bytes a message.
func Summarize(dir string, finding func(Finding)) (s Stats, err error) {
	s.Records = map[string]uint64{}
	count, err := newReplay(dir)
	if err != nil {
		return s, fmt.Errorf("make an index to count with: %w", err)
	}
	defer func() { err = errors.Join(err, count.close()) }()
	w := Walker{Dir: dir, Finding: finding, Batch: func(h record.Header, b []byte) error {
		s.Batches++
		for r := range record.Records(b) {
			s.Records[r.Type.String()]++
			if err := new(Line).body(r); err != nil && finding != nil {
				finding(unreadable(dir, r, err))
			}
		}
		count.add(h, b)
		return nil
	}}
	if err := w.Walk(); err != nil {
		return s, err
	}
	s.Segments, s.Start, s.End, s.TornBytes, s.Epochs = w.Segments, w.Start, w.End, w.TornBytes, w.Boundaries
	if count.fill(&s); count.err != nil {
		s.Uncounted = count.err.Error()
	}
	if b, err := os.ReadFile(filepath.Join(dir, "META")); err == nil {
		s.Meta, _ = store.ParseMeta(b) // a damaged one was found already
	}
	_, err = os.Stat(filepath.Join(dir, "index", "CURRENT"))
	s.HasIndex = err == nil
	s.DiskBytes, err = vfs.DiskBytes(vfs.OS{}, dir)
	return s, err
}

// DumpOptions picks records.
type DumpOptions struct {
	Range Range
	Queue string // only records of this queue, "" = all
	JSON  bool
}

// Line is one record as Dump shows it.
type Line struct {
	Position  record.Position   `json:"position"`
	Epoch     record.Epoch      `json:"epoch"`
	Time      time.Time         `json:"time"`
	Type      string            `json:"type"`
	Size      int               `json:"size"`
	Queue     string            `json:"queue,omitempty"`
	ID        string            `json:"id,omitempty"`
	Sequences []record.Sequence `json:"sequences,omitempty"`
	Leader    string            `json:"leader,omitempty"`
	Members   map[string]string `json:"members,omitempty"`
	// Detail is what else there is to say, as name=value.
	Detail string `json:"detail,omitempty"`
	Error  string `json:"error,omitempty"`
}

func (l Line) String() string {
	out := fmt.Sprintf("%d\tepoch %d\t%s\t%s\t%d bytes", l.Position, l.Epoch, l.Time.UTC().Format(time.RFC3339Nano), l.Type, l.Size)
	switch {
	case l.Error != "":
		out += "\t" + l.Error
	case l.Leader != "":
		out += fmt.Sprintf("\tleader %s\tmembers %v", l.Leader, l.Members)
	case l.ID != "":
		out += fmt.Sprintf("\t%q\t%s", l.Queue, l.ID)
	case l.Queue != "":
		out += fmt.Sprintf("\t%q\t%v", l.Queue, l.Sequences)
	}
	if l.Detail != "" {
		out += "\t" + l.Detail
	}
	return out
}

// Dump writes one line for each record.
func Dump(dir string, o DumpOptions, out io.Writer, finding func(Finding)) error {
	enc := json.NewEncoder(out)
	w := Walker{Dir: dir, Range: o.Range, Finding: finding, Batch: func(h record.Header, b []byte) error {
		for r := range record.Records(b) {
			l := line(h, r)
			if o.Queue != "" && l.Queue != o.Queue || r.Position < o.Range.From || o.Range.To != 0 && r.Position >= o.Range.To {
				continue
			}
			var err error
			if o.JSON {
				err = enc.Encode(l)
			} else {
				_, err = fmt.Fprintln(out, l)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}}
	return w.Walk()
}
