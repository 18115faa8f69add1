package schedule

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Cron is a parsed cron expression of five fields: minute (0 to 59), hour (0 to
// 23), day of month (1 to 31), month (1 to 12 or JAN to DEC), day of week (0 to
// 7 or SUN to SAT; 0 and 7 are Sunday). A field is * or a list, with commas, of
// numbers and ranges, each with a step behind a slash if it likes. If both days
// are restricted a time fits if either does, as in Unix.
type Cron struct {
	minute, hour, day, month, weekday uint64 // bit n: n fits
	eitherDay                         bool
}

var (
	monthNames = []string{"", "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}
	dayNames   = []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}
)

// ParseCron parses an expression. Error: ErrPlan.
func ParseCron(text string) (Cron, error) {
	f := strings.Fields(text)
	if len(f) != 5 {
		return Cron{}, fmt.Errorf("%w: %s has %d fields, it needs 5: minute, hour, day of month, month, day of week", ErrPlan, HeaderCron, len(f))
	}
	var c Cron
	for i, field := range []struct {
		name     string
		min, max int
		names    []string
		to       *uint64
	}{
		{"minute", 0, 59, nil, &c.minute}, {"hour", 0, 23, nil, &c.hour}, {"day of month", 1, 31, nil, &c.day},
		{"month", 1, 12, monthNames, &c.month}, {"day of week", 0, 7, dayNames, &c.weekday},
	} {
		bits, err := parseField(f[i], field.min, field.max, field.names)
		if err != nil {
			return Cron{}, fmt.Errorf("%w: %s: the %s is %q: %w", ErrPlan, HeaderCron, field.name, f[i], err)
		}
		*field.to = bits
	}
	c.weekday |= c.weekday >> 7 & 1
	c.eitherDay = f[2][0] != '*' && f[4][0] != '*'
	return c, nil
}

func parseField(text string, first, last int, names []string) (bits uint64, err error) {
	for part := range strings.SplitSeq(text, ",") {
		span, step, stepped := strings.Cut(part, "/")
		lo, hi := first, last
		if span != "*" {
			a, b, ranged := strings.Cut(span, "-")
			if lo, err = parseValue(a, first, last, names); err != nil {
				return 0, err
			}
			if hi = lo; ranged {
				hi, err = parseValue(b, first, last, names)
			} else if stepped {
				hi = last
			}
			if err != nil {
				return 0, err
			}
			if hi < lo {
				return 0, fmt.Errorf("%d is before %d", hi, lo)
			}
		}
		by := 1
		if stepped {
			if by, err = strconv.Atoi(step); err != nil || by < 1 || by > last {
				return 0, fmt.Errorf("the step %q is not a number from 1 to %d", step, last)
			}
		}
		for n := lo; n <= hi; n += by {
			bits |= 1 << n
		}
	}
	return bits, nil
}

func parseValue(text string, first, last int, names []string) (int, error) {
	for n, name := range names {
		if name != "" && strings.EqualFold(name, text) {
			return n, nil
		}
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < first || n > last {
		return 0, fmt.Errorf("%q is not a number from %d to %d", text, first, last)
	}
	return n, nil
}

// yearsMax is how far Next looks: every date of a calendar comes within it.
const yearsMax = 29

// Next returns the first minute after a time that fits, in its zone. Error:
// ErrPlan if there is none, as on 30 February.
func (c Cron) Next(after time.Time) (time.Time, error) {
	t := time.Date(after.Year(), after.Month(), after.Day(), after.Hour(), after.Minute(), 0, 0, after.Location())
	if !t.After(after) {
		t = t.Add(time.Minute)
	}
	for end := t.Year() + yearsMax; t.Year() <= end; {
		y, m, d := t.Date()
		switch {
		case c.month>>m&1 == 0:
			t = later(t, time.Date(y, m+1, 1, 0, 0, 0, 0, t.Location()))
		case !c.fitsDay(t):
			t = later(t, time.Date(y, m, d+1, 0, 0, 0, 0, t.Location()))
		case c.hour>>t.Hour()&1 == 0:
			t = t.Add(time.Duration(60-t.Minute()) * time.Minute)
		case c.minute>>t.Minute()&1 == 0:
			t = t.Add(time.Minute)
		default:
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%w: %s never comes true", ErrPlan, HeaderCron)
}

// later returns next, or an hour on where a zone skips that midnight.
func later(t, next time.Time) time.Time {
	if next.After(t) {
		return next
	}
	return t.Add(time.Hour)
}

func (c Cron) fitsDay(t time.Time) bool {
	day, weekday := c.day>>t.Day()&1 == 1, c.weekday>>t.Weekday()&1 == 1
	if c.eitherDay {
		return day || weekday
	}
	return day && weekday
}
