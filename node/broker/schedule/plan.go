package schedule

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Headers with which producers ask for a schedule.
const (
	HeaderDelay  = "AMQ_SCHEDULED_DELAY"
	HeaderPeriod = "AMQ_SCHEDULED_PERIOD"
	HeaderRepeat = "AMQ_SCHEDULED_REPEAT"
	HeaderCron   = "AMQ_SCHEDULED_CRON"
)

// Forever is a Repeat without end.
const Forever = -1

// timeMax is the longest delay and period: 100 years, in milliseconds.
const timeMax = 100 * 366 * 24 * 3600 * 1000

// ErrPlan means that a plan cannot be kept. The text is meant for the client.
var ErrPlan = errors.New("invalid schedule")

// Plan is when a message is sent, and where to. Times are milliseconds.
type Plan struct {
	To     string `json:"to"` // destination, as the client wrote it
	Delay  int64  `json:"delay,omitempty"`
	Period int64  `json:"period,omitempty"`
	Repeat int64  `json:"repeat,omitempty"` // how often again; Forever
	Cron   string `json:"cron,omitempty"`
	// Life is how long each message lives that is sent, 0 for ever.
	Life int64 `json:"life,omitempty"`
	// Sent says that the message was sent before.
	Sent bool `json:"sent,omitempty"`
}

// Check refuses what cannot be kept. Error: ErrPlan.
func (p *Plan) Check() error {
	switch {
	case p.Delay < 0 || p.Delay > timeMax:
		return fmt.Errorf("%w: %s is %d, it is a number of milliseconds from 0 to %d", ErrPlan, HeaderDelay, p.Delay, int64(timeMax))
	case p.Period < 0 || p.Period > timeMax:
		return fmt.Errorf("%w: %s is %d, it is a number of milliseconds from 0 to %d", ErrPlan, HeaderPeriod, p.Period, int64(timeMax))
	case p.Repeat < Forever || p.Repeat > 1<<31-1:
		return fmt.Errorf("%w: %s is %d, it is -1 (for ever) or a number from 0 to %d", ErrPlan, HeaderRepeat, p.Repeat, 1<<31-1)
	case p.Repeat != 0 && p.Period == 0:
		return fmt.Errorf("%w: %s needs %s", ErrPlan, HeaderRepeat, HeaderPeriod)
	case p.Cron != "":
		_, err := ParseCron(p.Cron)
		return err
	}
	return nil
}

// Later says whether there is anything to wait for.
func (p *Plan) Later() bool { return p.Delay > 0 || p.Period > 0 || p.Cron != "" }

// wait is from the beginning of a series to its first time.
func (p *Plan) wait() int64 {
	if p.Delay > 0 {
		return p.Delay
	}
	return p.Period
}

// First returns when a plan that is made now is due first. A cron expression is
// understood in the zone of now. Error: ErrPlan if it never is.
func (p *Plan) First(now time.Time) (time.Time, error) {
	if p.Cron == "" {
		return now.Add(ms(p.wait())), nil
	}
	at, err := nextCron(p.Cron, now)
	if err != nil || p.Repeat != 0 { // the series waits, and not its beginning
		return at, err
	}
	return at.Add(ms(p.wait())), nil
}

// Next is what becomes of a plan when it is due.
type Next struct {
	Send  bool   // the message is sent now
	Plans []When // instead of this plan there are these, if any
}

// When is a plan and when it is due.
type When struct {
	Plan Plan
	Due  time.Time
}

// Fire returns what becomes of a plan that was due at a time. now, at or after
// that, is what the next times are reckoned from if the last one is long ago:
// what was missed while nobody led is not made up for.
func (p *Plan) Fire(due, now time.Time) Next {
	n := Next{Send: true}
	if p.Cron != "" {
		if at, err := nextCron(p.Cron, now); err == nil {
			again := *p
			again.Sent = true
			n.Plans = append(n.Plans, When{again, at})
		}
		if p.Repeat != 0 {
			series := *p
			series.Cron, series.Sent = "", true
			n.Send = false
			n.Plans = append(n.Plans, When{series, now.Add(ms(p.wait()))})
		}
		return n
	}
	if p.Repeat == 0 {
		return n
	}
	again := *p
	again.Sent = true
	if p.Repeat != Forever {
		again.Repeat--
	}
	next := due.Add(ms(p.Period))
	if next.Before(now) {
		next = now.Add(ms(p.Period))
	}
	n.Plans = append(n.Plans, When{again, next})
	return n
}

func ms(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

func nextCron(text string, after time.Time) (time.Time, error) {
	c, err := ParseCron(text)
	if err != nil {
		return time.Time{}, err
	}
	return c.Next(after)
}

// Encode returns the plan as text, for the log.
func (p *Plan) Encode() string {
	b, err := json.Marshal(p)
	if err != nil {
		panic(fmt.Sprintf("schedule: encode %+v: %v", p, err)) // it has plain fields only
	}
	return string(b)
}

// Decode reads what Encode wrote.
func Decode(text string) (Plan, error) {
	var p Plan
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return p, fmt.Errorf("decode plan: %w", err)
	}
	return p, nil
}
