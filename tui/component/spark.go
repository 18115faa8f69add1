package component

import (
	"math"
	"strings"

	"baton/tui/style"
)

// Spark draws the newest values in w cells, scaled to the highest one shown.
// NaN is a gap: nothing was known then. Older values than fit are merged by
// their maximum, so a short spike is never lost.
func Spark(t style.Theme, values []float64, w int) string {
	return spark(t, values, w, 1)
}

// SparkLow is Spark with room above: for figures that hardly move, which would
// otherwise fill the row.
func SparkLow(t style.Theme, values []float64, w int) string {
	return spark(t, values, w, 1.5)
}

func spark(t style.Theme, values []float64, w int, room float64) string {
	if w <= 0 {
		return ""
	}
	cells := Resample(values, w)
	top := highest(cells) * room
	var b strings.Builder
	for _, v := range cells {
		b.WriteString(sparkCell(t, v, top))
	}
	return b.String()
}

func sparkCell(t style.Theme, v, top float64) string {
	steps := t.Glyphs.Spark
	switch {
	case math.IsNaN(v):
		return " "
	case top <= 0 || v <= 0:
		return steps[0]
	}
	i := int(math.Ceil(v/top*float64(len(steps)))) - 1
	return steps[min(max(i, 0), len(steps)-1)]
}

// Chart draws the newest values as h rows of w cells, highest row first.
func Chart(t style.Theme, values []float64, w, h int) []string {
	if w <= 0 || h <= 0 {
		return nil
	}
	if h == 1 {
		return []string{Spark(t, values, w)}
	}
	cells := Resample(values, w)
	top := highest(cells) * float64(8*h) / float64(8*h-3) // a gap to what is above
	steps := t.Glyphs.Spark
	out := make([]string, h)
	for row := range h {
		var b strings.Builder
		floor := h - 1 - row
		for _, v := range cells {
			b.WriteString(chartCell(steps, v, top, floor, h))
		}
		out[row] = b.String()
	}
	return out
}

func chartCell(steps []string, v, top float64, floor, h int) string {
	if math.IsNaN(v) {
		return " "
	}
	level := 0
	if top > 0 && v > 0 {
		level = max(1, int(math.Round(v/top*float64(h*len(steps)))))
	}
	level -= floor * len(steps)
	switch {
	case level <= 0 && floor == 0:
		return steps[0] // the base line is always there
	case level <= 0:
		return " "
	}
	return steps[min(level, len(steps))-1]
}

// Resample spreads values over w cells, newest to the right. Fewer values than
// cells leave the left blank (NaN).
func Resample(values []float64, w int) []float64 {
	out := make([]float64, w)
	if len(values) <= w {
		for i := range out {
			out[i] = math.NaN()
		}
		copy(out[w-len(values):], values)
		return out
	}
	for i := range out {
		a, b := i*len(values)/w, (i+1)*len(values)/w
		out[i] = maxKnown(values[a:b])
	}
	return out
}

func maxKnown(values []float64) float64 {
	m := math.NaN()
	for _, v := range values {
		if !math.IsNaN(v) && (math.IsNaN(m) || v > m) {
			m = v
		}
	}
	return m
}

func highest(values []float64) float64 {
	m := maxKnown(values)
	if math.IsNaN(m) || math.IsInf(m, 0) {
		return 0
	}
	return m
}

// Bar draws a share of w cells between end marks; share is clipped to 0..1.
func Bar(t style.Theme, role style.Role, share float64, w int) string {
	inner := w - 2
	if inner <= 0 {
		return ""
	}
	if math.IsNaN(share) {
		share = 0
	}
	share = math.Min(1, math.Max(0, share))
	fill := t.Glyphs.Fill
	units := int(math.Round(share * float64(inner*(len(fill)-1))))
	full, part := units/(len(fill)-1), units%(len(fill)-1)
	body := repeat(fill[len(fill)-1], full)
	if part > 0 {
		body += fill[part]
	}
	return t.Paint(style.Dim, t.Glyphs.BarLeft) + t.Paint(role, body) +
		spaces(inner-Width(body)) + t.Paint(style.Dim, t.Glyphs.BarRight)
}

// Trend compares the newest values with those before: it returns +1 for rising,
// -1 for falling and 0 for level, with a tenth of the range as dead band.
func Trend(values []float64) int {
	n := min(len(values), 24)
	recent := values[len(values)-n:]
	if n < 8 {
		return 0
	}
	old, now := mean(recent[:n/2]), mean(recent[n/2:])
	band := 0.1 * math.Max(old, now)
	switch {
	case math.IsNaN(old), math.IsNaN(now), math.Abs(now-old) <= band:
		return 0
	case now > old:
		return 1
	}
	return -1
}

func mean(values []float64) float64 {
	sum, n := 0.0, 0
	for _, v := range values {
		if !math.IsNaN(v) {
			sum, n = sum+v, n+1
		}
	}
	if n == 0 {
		return math.NaN()
	}
	return sum / float64(n)
}
