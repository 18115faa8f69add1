package component

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Grouped writes a number with its thousands apart: 1 048 210.
func Grouped(n uint64) string {
	s := strconv.FormatUint(n, 10)
	out := make([]byte, 0, len(s)+len(s)/3)
	for i := range len(s) {
		if i > 0 && (len(s)-i)%3 == 0 {
			out = append(out, ' ')
		}
		out = append(out, s[i])
	}
	return string(out)
}

// Short writes a count in at most five cells: 940, 1.2k, 18k, 3.4M.
func Short(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
		return "–"
	}
	if v > 0 && v < 9.95 && v != math.Trunc(v) {
		return fmt.Sprintf("%.1f", v)
	}
	v = math.Round(v)
	for _, unit := range []string{"", "k", "M", "G", "T", "P"} {
		switch {
		case v < 9.95 && unit != "":
			return fmt.Sprintf("%.1f%s", v, unit)
		case v < 999.5:
			return fmt.Sprintf("%.0f%s", v, unit)
		}
		v /= 1000
	}
	return "huge"
}

// Bytes writes a size in at most eight cells: 0 B, 6.2 KiB, 18 MiB.
func Bytes(v float64) string { return bytesIn(v, " ", "iB") }

// BytesShort writes a size in at most five cells: 61M.
func BytesShort(v float64) string { return bytesIn(v, "", "") }

func bytesIn(v float64, gap, suffix string) string {
	if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
		return "–"
	}
	if v < 1024 {
		return fmt.Sprintf("%.0f%sB", v, gap)
	}
	for _, unit := range []string{"K", "M", "G", "T", "P", "E"} {
		v /= 1024
		switch {
		case v < 9.95:
			return fmt.Sprintf("%.1f%s%s%s", v, gap, unit, suffix)
		case v < 1023.5:
			return fmt.Sprintf("%.0f%s%s%s", v, gap, unit, suffix)
		}
	}
	return "huge"
}

// Span writes a duration with two or three digits that matter: 1.4 ms, 96 ms,
// 2.14 s, 3m07, 2h14.
func Span(d time.Duration) string {
	switch {
	case d < 0:
		return "–"
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%dm%02d", int(d.Minutes()), int(d.Seconds())%60)
	case d < 100*time.Hour:
		return fmt.Sprintf("%dh%02d", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd", int(d.Hours())/24)
}

// Seconds writes a lag or an estimate given in seconds: 0.0s, 6.2s, 3m07.
func Seconds(s float64) string {
	switch {
	case math.IsNaN(s) || s < 0 || s > 1e9:
		return "–"
	case s < 9.95:
		return fmt.Sprintf("%.1fs", s)
	case s < 60:
		return fmt.Sprintf("%.0fs", s)
	}
	return Span(time.Duration(s * float64(time.Second)))
}
