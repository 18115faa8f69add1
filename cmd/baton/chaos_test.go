package main_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/demo/cluster/clustertest"
	"baton/tui/data"
)

// TestEveryVerbFromAnotherTerminal: what the menu can do to a demo, baton chaos
// does, too; all of it is taken back, and nothing that was receipted is lost.
func TestEveryVerbFromAnotherTerminal(t *testing.T) {
	if testing.Short() {
		t.Skip("launches a cluster")
	}
	base, dir := strconv.Itoa(clustertest.FreeBase(t)), t.TempDir()
	file := filepath.Join(dir, "run.baton")
	demo := exec.Command(os.Getenv(builtAs), "demo", "--headless", "--json", "--for", "10m", "--base-port", base, "--record", file,
		"--fault", "cut-clients:n1@9m") // only then it has proxies in front of the clients
	demo.Env = append(cleanEnv(), "XDG_STATE_HOME="+dir)
	var out strings.Builder
	demo.Stdout = &out
	require.NoError(t, demo.Start())
	t.Cleanup(func() {
		_ = demo.Process.Kill() // nothing to do if it ended as it should
		_ = demo.Wait()
	})
	env := []string{"XDG_STATE_HOME=" + dir}
	chaos := func(words string) outcome {
		return batonWith(t, env, "", append([]string{"chaos", "--base-port", base}, strings.Fields(words)...)...)
	}
	healthy := func() {
		t.Helper()
		require.Eventually(t, func() bool {
			o := chaos("--json")
			var s struct{ Health string }
			return o.code == 0 && json.Unmarshal([]byte(o.stdout), &s) == nil && s.Health == "HEALTHY"
		}, 2*patience, 50*time.Millisecond)
	}
	do := func(command, says string) { // the nodes may need a moment for what was done before
		t.Helper()
		var o outcome
		require.Eventually(t, func() bool { o = chaos(command); return o.code == 0 }, 2*patience, 50*time.Millisecond, command)
		require.Contains(t, o.stdout, says)
	}
	for _, v := range data.Verbs() {
		if v.Name == data.ActionStart || v.Name == data.ActionStartAll || v.Name == data.ActionResume || v.Name == data.ActionHeal {
			continue // they take others back
		}
		healthy()
		command := strings.TrimPrefix(v.Command(data.CLI{Launched: true}, "n2", ""), "baton chaos ")
		do("--dry-run "+command, "not done")
		do(command, "done in")
		if undo, ok := data.VerbByName(v.Undo); ok {
			do(strings.TrimPrefix(undo.Command(data.CLI{Launched: true}, "n2", ""), "baton chaos "), "done in")
		}
	}
	healthy()
	chaos("explode n2").refused(t, 2, "is no verb", "kill, stop")
	chaos("start n2").refused(t, 1, "n2 is running")
	require.NoError(t, demo.Process.Signal(os.Interrupt))
	_ = demo.Wait() // interrupted is no success
	chaos("kill n2").refused(t, 3, "no demo runs there", "baton demo")

	o := baton(t, "", "report", file, "--json")
	require.Zero(t, o.code, o.stderr)
	var got struct {
		Messages struct{ Lost, Duplicates uint64 }
		Actions  []struct{ Text, CLI, Fault string }
	}
	require.NoError(t, json.Unmarshal([]byte(o.stdout), &got))
	require.Zero(t, got.Messages.Lost+got.Messages.Duplicates)
	require.Equal(t, "baton chaos kill n2 --base-port "+base, got.Actions[0].CLI)
	require.Contains(t, got.Actions[0].Fault, "--fault kill:n2@")
}

// TestForecastFromEarlierRuns: what a run measured is what the next one expects.
func TestForecastFromEarlierRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("launches two clusters")
	}
	dir, base := t.TempDir(), strconv.Itoa(clustertest.FreeBase(t))
	env := []string{"XDG_STATE_HOME=" + dir}
	o := batonWith(t, env, "", "demo", "--headless", "--for", "6s", "--fault", "kill-leader@1s,restart@2s", "--base-port", base)
	require.Zero(t, o.code, o.stderr)
	demo := exec.Command(os.Getenv(builtAs), "demo", "--headless", "--for", "10m", "--base-port", base)
	demo.Env = append(cleanEnv(), env...)
	require.NoError(t, demo.Start())
	t.Cleanup(func() {
		_ = demo.Process.Signal(os.Interrupt) // it takes its directory away
		_ = demo.Wait()
	})
	require.Eventually(t, func() bool {
		o := batonWith(t, env, "", "chaos", "--base-port", base, "--dry-run", "kill", "leader")
		return strings.Contains(o.stdout, "Producers usually wait") && strings.Contains(o.stdout, "(1 run)")
	}, 2*patience, 50*time.Millisecond)
	require.Eventually(t, func() bool {
		o := batonWith(t, env, "", "chaos", "--base-port", base, "--dry-run", "pause", "leader")
		return strings.Contains(o.stdout, "election timeout")
	}, 2*patience, 50*time.Millisecond, "of a pause nothing was measured")
}

func TestChaosListsItsVerbs(t *testing.T) {
	o := baton(t, "", "chaos", "--help")
	require.Zero(t, o.code)
	for _, v := range data.Verbs() {
		require.Contains(t, o.stdout, v.Name)
	}
	batonWith(t, []string{"XDG_STATE_HOME=" + t.TempDir()}, "", "chaos", "kill", "n1").refused(t, 3, "no demo runs there")
}
