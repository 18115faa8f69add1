package throughput

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ErrWorkload says that no workload has that name.
var ErrWorkload = errors.New("throughput: no such workload")

// Workload is one way to load a broker. Producers is 0 if it only consumes.
type Workload struct {
	Name      string
	Producers int
	Window    int // receipts outstanding per producer, at most
	Consumers int
}

// workloads is what can be measured, in the order of reports.
var workloads = []Workload{
	{Name: "publish-sync-1", Producers: 1, Window: 1},
	{Name: "publish-sync-16", Producers: 16, Window: 1},
	{Name: "publish-window-256", Producers: 1, Window: 256},
	{Name: "publish-4x64", Producers: 4, Window: 64},
	{Name: "consume-1", Consumers: 1},
	{Name: "consume-4", Consumers: 4},
	{Name: "both-window-256", Producers: 1, Window: 256, Consumers: 1},
	{Name: "both-sync-16-4", Producers: 16, Window: 1, Consumers: 4},
}

// Names returns the names of all workloads.
func Names() []string {
	names := make([]string, len(workloads))
	for i, w := range workloads {
		names[i] = w.Name
	}
	return names
}

func find(name string) (Workload, error) {
	i := slices.IndexFunc(workloads, func(w Workload) bool { return w.Name == name })
	if i < 0 {
		return Workload{}, fmt.Errorf("%w: %q; there are %s", ErrWorkload, name, strings.Join(Names(), ", "))
	}
	return workloads[i], nil
}

// Target is a broker to measure.
type Target struct {
	Name string
	URI  string // as node/client.ParseURI takes it
	PIDs []int  // of its processes on this machine; empty: their processor time is not told
}

// Config is a plan. Targets are required.
type Config struct {
	Targets   []Target
	Workloads []string      // names; default all
	Sizes     []int         // of a message's body, bytes; default 1024
	For       time.Duration // of one measurement; default 3 s
	Rounds    int           // of each workload; default 3
	Backlog   int           // messages that a consumer finds; default 20,000
	Prefetch  int           // of a consumer; default 1000
	RawDir    string        // measure the raw limit with files in this directory; "": do not

	// RawCommand starts a process of the raw limit, which calls ServeRaw.
	RawCommand []string

	Progress func(string)
}

const (
	sizeMax   = 16 << 20
	roundsMax = 1000
)

func (c Config) withDefaults() Config {
	if len(c.Workloads) == 0 {
		c.Workloads = Names()
	}
	if len(c.Sizes) == 0 {
		c.Sizes = []int{1024}
	}
	if c.For == 0 {
		c.For = 3 * time.Second
	}
	if c.Rounds == 0 {
		c.Rounds = 3
	}
	if c.Backlog == 0 {
		c.Backlog = 20000
	}
	if c.Prefetch == 0 {
		c.Prefetch = 1000
	}
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	return c
}

// Validate says what makes the plan impossible.
func (c Config) Validate() error {
	c = c.withDefaults()
	if len(c.Targets) == 0 {
		return errors.New("throughput: no broker to measure")
	}
	for _, name := range c.Workloads {
		if _, err := find(name); err != nil {
			return err
		}
	}
	for _, s := range c.Sizes {
		if s < 1 || s > sizeMax {
			return fmt.Errorf("throughput: message size %d, want 1 to %d bytes", s, sizeMax)
		}
	}
	if c.RawDir != "" && len(c.RawCommand) == 0 {
		return errors.New("throughput: no command that starts the processes of the raw limit")
	}
	if c.For < 100*time.Millisecond || c.Rounds < 1 || c.Rounds > roundsMax || c.Backlog < 1 || c.Prefetch < 1 {
		return fmt.Errorf("throughput: want at least 100ms, 1 to %d rounds, and a backlog and a prefetch above 0", roundsMax)
	}
	return nil
}
