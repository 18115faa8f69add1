package record

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	"baton/node/adminapi"
	"baton/tui/data"
)

// Use is what the processes of a run used at one moment.
type Use struct {
	At      time.Duration // since the first frame
	Console data.Self
	Nodes   map[string]adminapi.Process // of those that answered then
}

// Use looks at the recording's processes once in every so often.
func (r *Recording) Use(every time.Duration) ([]Use, error) {
	var out []Use
	parts := map[string]json.RawMessage{}
	next := time.Duration(0)
	for i, f := range r.frames {
		if f.key {
			clear(parts)
		}
		maps.Copy(parts, f.parts)
		if r.Time(i) < next {
			continue
		}
		u, err := useOf(parts)
		if err != nil {
			return nil, fmt.Errorf("%w: frame %d: %w", ErrFormat, i, err)
		}
		u.At = r.Time(i)
		out = append(out, u)
		next = u.At - u.At%every + every
	}
	return out, nil
}

func useOf(parts map[string]json.RawMessage) (Use, error) {
	u := Use{Nodes: map[string]adminapi.Process{}}
	for name, raw := range parts {
		id, isNode := strings.CutPrefix(name, "node/")
		switch {
		case string(raw) == "null":
		case name == "self":
			if err := json.Unmarshal(raw, &u.Console); err != nil {
				return u, err
			}
		case isNode:
			var n struct {
				Fresh  data.Freshness
				Status struct{ Process adminapi.Process }
			}
			if err := json.Unmarshal(raw, &n); err != nil {
				return u, err
			}
			if n.Fresh == data.Fresh {
				u.Nodes[data.Clean(id)] = n.Status.Process
			}
		}
	}
	return u, nil
}
