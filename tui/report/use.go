package report

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"baton/tui/record"
)

// WarmUp is the time until caches and histories are full; growth counts from here.
const WarmUp = 10 * time.Minute

// Use is what the processes of a run used: one row for each time, and for each
// figure one column.
type Use struct {
	At      []time.Duration // since the recording's first frame
	Columns []Column
}

// Column is one figure of one process.
type Column struct {
	Name   string
	Values []float64 // NaN where the process did not answer
	Growth float64   // per hour, by least squares after WarmUp; NaN if the run is too short
}

const mib = 1 << 20

// OfUse takes the samples of a recording apart.
func OfUse(samples []record.Use) Use {
	var u Use
	var ids []string
	for _, s := range samples {
		u.At = append(u.At, s.At)
		for id := range s.Nodes {
			if !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	slices.Sort(ids)
	add := func(name string, of func(record.Use) (v float64, known bool)) {
		c := Column{Name: name}
		for _, s := range samples {
			v, known := of(s)
			if !known {
				v = math.NaN()
			}
			c.Values = append(c.Values, v)
		}
		c.Growth = growth(u.At, c.Values)
		u.Columns = append(u.Columns, c)
	}
	looked := func(s record.Use) bool { return s.Console.Goroutines > 0 }
	add("console goroutines", func(s record.Use) (float64, bool) { return float64(s.Console.Goroutines), looked(s) })
	add("console MiB", func(s record.Use) (float64, bool) { return float64(s.Console.TotalBytes) / mib, looked(s) })
	add("of it heap", func(s record.Use) (float64, bool) { return float64(s.Console.HeapBytes) / mib, looked(s) })
	for _, id := range ids {
		add(id+" goroutines", func(s record.Use) (float64, bool) { p, ok := s.Nodes[id]; return float64(p.Goroutines), ok })
		add(id+" MiB", func(s record.Use) (float64, bool) { p, ok := s.Nodes[id]; return float64(p.RSSBytes) / mib, ok })
	}
	return u
}

// growth is the slope per hour of the values after the warm-up.
func growth(at []time.Duration, values []float64) float64 {
	var x, y []float64
	for i, v := range values {
		if at[i] >= WarmUp && !math.IsNaN(v) {
			x, y = append(x, at[i].Hours()), append(y, v)
		}
	}
	if len(x) < 3 {
		return math.NaN()
	}
	mx, my, sxx, sxy := mean(x), mean(y), 0.0, 0.0
	for i := range x {
		sxx += (x[i] - mx) * (x[i] - mx)
		sxy += (x[i] - mx) * (y[i] - my)
	}
	return sxy / sxx
}

func mean(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}

// Text renders the account for people.
func (u Use) Text() string {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "at\t")
	for _, c := range u.Columns {
		fmt.Fprint(t, c.Name+"\t")
	}
	fmt.Fprintln(t)
	for i, at := range u.At {
		fmt.Fprintf(t, "%v\t", at.Round(time.Second))
		for _, c := range u.Columns {
			fmt.Fprint(t, figure(c.Values[i], "%.0f")+"\t")
		}
		fmt.Fprintln(t)
	}
	fmt.Fprint(t, "growth per hour\t")
	for _, c := range u.Columns {
		fmt.Fprint(t, figure(c.Growth, "%+.1f")+"\t")
	}
	fmt.Fprintln(t)
	t.Flush()
	fmt.Fprintf(&b, "\nThe growth is the slope of the values after the first %v.\n", WarmUp)
	return b.String()
}

func figure(v float64, format string) string {
	if math.IsNaN(v) {
		return "-"
	}
	return fmt.Sprintf(format, v)
}

// MarshalJSON writes rows by the names of the columns; what is unknown is null.
func (u Use) MarshalJSON() ([]byte, error) {
	known := func(v float64) *float64 {
		if math.IsNaN(v) {
			return nil
		}
		return &v
	}
	type row struct {
		AtSeconds float64             `json:"at_seconds"`
		Values    map[string]*float64 `json:"values"`
	}
	out := struct {
		Rows   []row               `json:"rows"`
		Growth map[string]*float64 `json:"growth_per_hour"`
	}{Rows: []row{}, Growth: map[string]*float64{}}
	for i, at := range u.At {
		r := row{at.Seconds(), map[string]*float64{}}
		for _, c := range u.Columns {
			r.Values[c.Name] = known(c.Values[i])
		}
		out.Rows = append(out.Rows, r)
	}
	for _, c := range u.Columns {
		out.Growth[c.Name] = known(c.Growth)
	}
	return json.Marshal(out)
}
