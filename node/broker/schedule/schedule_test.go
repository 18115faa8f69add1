package schedule_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/node/broker/schedule"
)

func at(t *testing.T, text string) time.Time {
	v, err := time.Parse("2006-01-02 15:04:05", text)
	require.NoError(t, err)
	return v
}

func TestCron(t *testing.T) {
	for _, x := range []struct{ cron, after, want string }{
		{"* * * * *", "2026-01-01 00:00:00", "2026-01-01 00:01:00"},
		{"* * * * *", "2026-01-01 00:00:59", "2026-01-01 00:01:00"},
		{"0 * * * *", "2026-01-01 00:00:00", "2026-01-01 01:00:00"},
		{"30 2 * * *", "2026-01-01 02:30:01", "2026-01-02 02:30:00"},
		{"*/15 * * * *", "2026-01-01 00:46:00", "2026-01-01 01:00:00"},
		{"5/20 * * * *", "2026-01-01 00:25:00", "2026-01-01 00:45:00"},
		{"10-20/5,55 * * * *", "2026-01-01 00:20:00", "2026-01-01 00:55:00"},
		{"0 0 1 * *", "2026-12-01 00:00:00", "2027-01-01 00:00:00"},
		{"0 0 31 * *", "2026-04-01 00:00:00", "2026-05-31 00:00:00"},
		{"0 12 29 2 *", "2026-01-01 00:00:00", "2028-02-29 12:00:00"},
		{"0 0 * JAN-mar mon", "2026-03-31 00:00:00", "2027-01-04 00:00:00"},
		{"0 0 * * 7", "2026-11-26 00:00:00", "2026-11-29 00:00:00"},
		{"0 0 * * 0", "2026-11-26 00:00:00", "2026-11-29 00:00:00"},
		{"0 0 13 * 5", "2026-11-26 00:00:00", "2026-11-27 00:00:00"}, // either day
		{"0 0 13 * *", "2026-11-26 00:00:00", "2026-12-13 00:00:00"},
	} {
		c, err := schedule.ParseCron(x.cron)
		require.NoError(t, err, x.cron)
		next, err := c.Next(at(t, x.after))
		require.NoError(t, err, x.cron)
		require.Equal(t, at(t, x.want), next, x.cron)
	}
}

func TestCronMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"":                               "has 0 fields",
		"* * * *":                        "has 4 fields",
		"* * * * * *":                    "has 6 fields",
		"60 * * * *":                     `the minute is "60": "60" is not a number from 0 to 59`,
		"* 24 * * *":                     "the hour",
		"* * 0 * *":                      "the day of month",
		"* * * 13 *":                     "the month",
		"* * * * 8":                      "the day of week",
		"*/0 * * * *":                    "step",
		"*/x * * * *":                    "step",
		"5-1 * * * *":                    "before",
		"1-2-3 * * * *":                  "not a number",
		", * * * *":                      "not a number",
		"-1 * * * *":                     "not a number",
		"* * * MON *":                    "not a number",
		"1/99999999999999999999 * * * *": "step",
	} {
		_, err := schedule.ParseCron(text)
		require.ErrorIs(t, err, schedule.ErrPlan)
		require.ErrorContains(t, err, want, text)
	}
	c, err := schedule.ParseCron("0 0 30 2 *")
	require.NoError(t, err)
	_, err = c.Next(at(t, "2026-01-01 00:00:00"))
	require.ErrorContains(t, err, "never comes true")
}

// Whatever a zone does to its clocks, the next time is later and fits.
func TestCronInZones(t *testing.T) {
	for _, zone := range []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "America/Sao_Paulo", "Asia/Beirut"} {
		loc, err := time.LoadLocation(zone)
		if err != nil {
			t.Logf("no %s here", zone)
			continue
		}
		for _, text := range []string{"30 2 * * *", "0 0 * * *", "*/7 * * * *", "0 0 * 10,3 *"} {
			c, err := schedule.ParseCron(text)
			require.NoError(t, err)
			now := time.Date(2018, 1, 1, 0, 0, 30, 0, loc)
			for range 300 {
				next, err := c.Next(now)
				require.NoError(t, err)
				require.True(t, next.After(now), "%s %s: %s is not after %s", zone, text, next, now)
				require.Less(t, next.Sub(now), 250*24*time.Hour)
				now = next
			}
		}
	}
}

func FuzzCron(f *testing.F) {
	f.Add("*/5 1-2,4 * JAN SUN", int64(0))
	f.Add("0 0 31 2 *", int64(1e9))
	f.Fuzz(func(t *testing.T, text string, unix int64) {
		c, err := schedule.ParseCron(text)
		if err != nil {
			return
		}
		after := time.Unix(unix%(1<<33), 0).UTC()
		if next, err := c.Next(after); err == nil {
			require.True(t, next.After(after))
			require.Zero(t, next.Second())
		}
	})
}

// run returns when a plan sends within a time, in milliseconds.
func run(t *testing.T, p schedule.Plan, now time.Time, until time.Duration) (sent []int64) {
	t.Helper()
	require.NoError(t, p.Check())
	first, err := p.First(now)
	require.NoError(t, err)
	open := []schedule.When{{Plan: p, Due: first}}
	for len(open) > 0 && len(sent) < 1000 {
		i := 0
		for j := range open {
			if open[j].Due.Before(open[i].Due) {
				i = j
			}
		}
		w := open[i]
		if w.Due.Sub(now) > until {
			break
		}
		decoded, err := schedule.Decode(w.Plan.Encode())
		require.NoError(t, err)
		require.Equal(t, w.Plan, decoded)
		n := decoded.Fire(w.Due, w.Due)
		if n.Send {
			sent = append(sent, w.Due.Sub(now).Milliseconds())
		}
		open = append(append(open[:i:i], open[i+1:]...), n.Plans...)
	}
	return sent
}

// The examples of ActiveMQ's manual.
func TestPlans(t *testing.T) {
	now := at(t, "2026-01-01 00:00:10")
	const minute = 60000
	for name, x := range map[string]struct {
		plan  schedule.Plan
		until time.Duration
		want  []int64
	}{
		"delay":             {schedule.Plan{Delay: minute}, time.Hour, []int64{minute}},
		"delay and repeat":  {schedule.Plan{Delay: 30000, Period: 10000, Repeat: 3}, time.Hour, []int64{30000, 40000, 50000, 60000}},
		"period alone":      {schedule.Plan{Period: 5000}, time.Hour, []int64{5000}},
		"period and repeat": {schedule.Plan{Period: 5000, Repeat: 1}, time.Hour, []int64{5000, 10000}},
		"for ever":          {schedule.Plan{Period: 5000, Repeat: schedule.Forever}, 21 * time.Second, []int64{5000, 10000, 15000, 20000}},
		"cron":              {schedule.Plan{Cron: "* * * * *"}, 3 * time.Minute, []int64{50000, 110000, 170000}},
		"cron and delay":    {schedule.Plan{Cron: "* * * * *", Delay: 1000}, 2 * time.Minute, []int64{51000, 110000}},
		"cron and series": {schedule.Plan{Cron: "0 * * * *", Delay: 1000, Period: 1000, Repeat: 2}, 2 * time.Hour,
			[]int64{3591000, 3592000, 3593000, 7191000, 7192000, 7193000}},
	} {
		require.Equal(t, x.want, run(t, x.plan, now, x.until), name)
	}
}

// What was due while nobody led is sent once, not once for each time missed.
func TestMissedTimesAreNotMadeUpFor(t *testing.T) {
	p := schedule.Plan{Period: 1000, Repeat: schedule.Forever}
	due := at(t, "2026-01-01 00:00:00")
	n := p.Fire(due, due.Add(time.Hour))
	require.True(t, n.Send)
	require.Equal(t, due.Add(time.Hour+time.Second), n.Plans[0].Due)
	n = p.Fire(due, due.Add(10*time.Millisecond))
	require.Equal(t, due.Add(time.Second), n.Plans[0].Due, "a little late does not add up")
	c := schedule.Plan{Cron: "* * * * *"}
	n = c.Fire(due, due.Add(time.Hour+time.Second))
	require.Equal(t, due.Add(time.Hour+time.Minute), n.Plans[0].Due)
}

func TestPlanMistakes(t *testing.T) {
	for _, p := range []schedule.Plan{
		{Delay: -1}, {Period: -1}, {Delay: 1 << 62}, {Period: 1 << 62}, {Repeat: -2, Period: 1}, {Repeat: 1 << 40, Period: 1}, {Repeat: 1}, {Cron: "x"},
	} {
		require.ErrorIs(t, p.Check(), schedule.ErrPlan, "%+v", p)
	}
	require.False(t, (&schedule.Plan{}).Later())
	_, err := (&schedule.Plan{Cron: "0 0 30 2 *"}).First(time.Now())
	require.ErrorIs(t, err, schedule.ErrPlan)
}
