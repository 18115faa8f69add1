package throughput

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is the outcome of a plan.
type Report struct {
	For    time.Duration
	Rounds int
	Rows   []Row
}

// Row is one workload at one message size. Raw has no samples if it was not
// measured.
type Row struct {
	Workload string
	Size     int
	Targets  []Series
	Raw      Series
}

// Series are the measurements of one target, one a round.
type Series struct {
	Name    string
	Samples []Sample
}

// Rate returns the lowest, the median and the highest rate.
func (s Series) Rate() (low, median, high float64) {
	if len(s.Samples) == 0 {
		return 0, 0, 0
	}
	rates := make([]float64, len(s.Samples))
	for i, x := range s.Samples {
		rates[i] = x.Rate
	}
	slices.Sort(rates)
	return rates[0], rates[len(rates)/2], rates[len(rates)-1]
}

// middle is the sample with the median rate.
func (s Series) middle() Sample {
	if len(s.Samples) == 0 {
		return Sample{}
	}
	sorted := slices.SortedFunc(slices.Values(s.Samples), func(a, b Sample) int { return int(a.Rate - b.Rate) })
	return sorted[len(sorted)/2]
}

// against is the ratio of the medians, 0 if the other was not measured.
func (s Series) against(other Series) float64 {
	_, m, _ := s.Rate()
	_, o, _ := other.Rate()
	if o == 0 {
		return 0
	}
	return m / o
}

func (r Row) line() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %d bytes:", r.Workload, r.Size)
	for _, t := range r.Targets {
		_, m, _ := t.Rate()
		fmt.Fprintf(&b, " %s %.0f/s", t.Name, m)
	}
	return b.String()
}

// Text is a table for people. Ratios are of medians: to the first target, and
// to the raw limit.
func (r Report) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "messages per second, %d rounds of %v each, targets in turns\n\n", r.Rounds, r.For)
	w := tabwriter.NewWriter(&b, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "workload\tbytes\tbroker\tlow\tmedian\thigh\tp50\tp99\tcpu/message\tof raw\tto the first")
	for _, row := range r.Rows {
		for i, t := range row.Targets {
			low, median, high := t.Rate()
			m := t.middle()
			fmt.Fprintf(w, "%s\t%d\t%s\t%.0f\t%.0f\t%.0f\t%v\t%v\t%s\t%s\t%s\n", row.Workload, row.Size, t.Name, low, median, high,
				m.P50, m.P99, known(m.PerMsg.Round(time.Microsecond).String(), m.PerMsg > 0),
				known(fmt.Sprintf("%.0f %%", 100*t.against(row.Raw)), len(row.Raw.Samples) > 0),
				known(fmt.Sprintf("x %.2f", t.against(row.Targets[0])), i > 0))
		}
		if len(row.Raw.Samples) > 0 {
			low, median, high := row.Raw.Rate()
			fmt.Fprintf(w, "%s\t%d\traw limit\t%.0f\t%.0f\t%.0f\t\t\t\t\t\n", row.Workload, row.Size, low, median, high)
		}
	}
	w.Flush() // into a strings.Builder, which does not fail
	return b.String()
}

func known(s string, is bool) string {
	if !is {
		return "-"
	}
	return s
}

// MarshalJSON gives medians beside the single rounds, in units that the names
// of the fields tell.
func (r Report) MarshalJSON() ([]byte, error) {
	type sample struct {
		Rate  float64 `json:"per_second"`
		P50us int64   `json:"p50_us"`
		P99us int64   `json:"p99_us"`
		CPUus float64 `json:"cpu_us_per_message"`
	}
	type series struct {
		Name   string   `json:"name"`
		Median float64  `json:"median_per_second"`
		OfRaw  float64  `json:"of_raw,omitempty"`
		Rounds []sample `json:"rounds"`
	}
	type row struct {
		Workload string   `json:"workload"`
		Size     int      `json:"size"`
		Brokers  []series `json:"brokers"`
		Raw      *series  `json:"raw,omitempty"`
	}
	convert := func(s Series, raw Series) series {
		_, m, _ := s.Rate()
		out := series{Name: s.Name, Median: m, OfRaw: s.against(raw)}
		for _, x := range s.Samples {
			out.Rounds = append(out.Rounds, sample{x.Rate, x.P50.Microseconds(), x.P99.Microseconds(), float64(x.PerMsg) / float64(time.Microsecond)})
		}
		return out
	}
	rows := make([]row, 0, len(r.Rows))
	for _, x := range r.Rows {
		out := row{Workload: x.Workload, Size: x.Size}
		for _, t := range x.Targets {
			out.Brokers = append(out.Brokers, convert(t, x.Raw))
		}
		if len(x.Raw.Samples) > 0 {
			raw := convert(x.Raw, Series{})
			out.Raw = &raw
		}
		rows = append(rows, out)
	}
	return json.Marshal(map[string]any{"for_ms": r.For.Milliseconds(), "rounds": r.Rounds, "workloads": rows})
}
