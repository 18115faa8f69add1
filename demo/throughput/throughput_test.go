package throughput_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/demo/throughput"
	"baton/node/client/clienttest"
	"baton/zkclient/ensemble/porttest"
)

// rawEnv makes this program a process of the raw limit.
const rawEnv = "BATON_TEST_RAW"

func TestMain(m *testing.M) {
	if os.Getenv(rawEnv) == "" {
		os.Exit(m.Run())
	}
	if err := throughput.ServeRaw(context.Background(), os.Args[:1], os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serve starts a broker that is none of the project's: any STOMP broker can be
// measured.
func serve(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s, err := clienttest.New(clienttest.Config{Listener: ln}, nil)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return "stomp://" + s.Addr()
}

func TestEveryWorkloadIsMeasuredAndLeavesNothing(t *testing.T) {
	uri, dir := serve(t), t.TempDir()
	t.Setenv(rawEnv, "1")
	cfg := throughput.Config{
		Targets: []throughput.Target{{Name: "a", URI: uri, PIDs: []int{os.Getpid()}}, {Name: "b", URI: uri}},
		For:     300 * time.Millisecond, Rounds: 1, Backlog: 50, RawDir: dir, RawCommand: os.Args[:1],
	}
	cfg.Workloads = []string{"publish-sync-1", "publish-4x64", "consume-4", "both-sync-16-4"}
	r, err := throughput.Run(t.Context(), cfg)
	require.NoError(t, err)
	spent := time.Duration(0)
	for _, row := range r.Rows {
		require.Len(t, row.Targets, 2)
		for _, s := range row.Targets {
			_, median, _ := s.Rate()
			require.Positive(t, median, "%s of %s", row.Workload, s.Name)
		}
		spent += row.Targets[0].Samples[0].PerMsg
	}
	require.Positive(t, spent, "processor time of this process")
	require.Contains(t, r.Text(), "raw limit")
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	require.Empty(t, left, "files of the raw limit stay behind")

	b, err := json.Marshal(r)
	require.NoError(t, err)
	var out struct {
		Workloads []struct {
			Brokers []struct {
				Median float64 `json:"median_per_second"`
			}
		}
	}
	require.NoError(t, json.Unmarshal(b, &out))
	require.Len(t, out.Workloads, len(r.Rows))
	require.Positive(t, out.Workloads[0].Brokers[1].Median)
}

func TestAProcessOfTheRawLimitThatFails(t *testing.T) {
	t.Setenv(rawEnv, "1")
	_, err := throughput.Raw(t.Context(), os.Args[:1], filepath.Join(t.TempDir(), "gone"), 1024, 1, time.Second)
	require.ErrorContains(t, err, "make a file for the raw limit", "what the process said")
}

func TestADeadBrokerIsAnError(t *testing.T) {
	addr := porttest.Address(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := throughput.Run(ctx, throughput.Config{
		Targets: []throughput.Target{{Name: "gone", URI: addr}}, Workloads: []string{"consume-1"}, Rounds: 1,
	})
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestPlansThatCannotBeMeasured(t *testing.T) {
	a := []throughput.Target{{Name: "a", URI: "127.0.0.1:1"}}
	for name, cfg := range map[string]throughput.Config{
		"no target":        {},
		"unknown workload": {Targets: a, Workloads: []string{"publish-sideways"}},
		"no bytes":         {Targets: a, Sizes: []int{0}},
		"no time":          {Targets: a, For: time.Microsecond},
		"no raw command":   {Targets: a, RawDir: "."},
		"no rounds":        {Targets: a, Rounds: -1},
	} {
		t.Run(name, func(t *testing.T) { require.Error(t, cfg.Validate()) })
	}
}
