package zktest_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/zkclient/devserver"
	"baton/zkclient/zktest"
)

// foreign is a client that others wrote, driven by a script in testdata. What
// it prints must be the same whichever server it talks to.
type foreign struct {
	name    string
	install string // the Debian package
	command func(t *testing.T, addr string) *exec.Cmd
	tidy    func(output string) []string
}

var foreigners = []foreign{
	{"zkCli.sh", "zookeeper", zkCli, tidyCli},
	{"kazoo", "python3-kazoo", kazoo, func(output string) []string { return strings.Split(shapeForeign(output), "\n") }},
}

// TestForeignClientsSeeNoDifference runs each client against the real server
// and the embedded one.
func TestForeignClientsSeeNoDifference(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Java processes")
	}
	real := zktest.Real(t)
	for _, f := range foreigners {
		t.Run(f.name, func(t *testing.T) {
			if f.command(t, "probe:1") == nil {
				if os.Getenv(zktest.RequireEnv) == "1" {
					t.Fatalf("%s is not installed; install the package %s", f.name, f.install)
				}
				t.Skipf("%s is not installed; install the package %s", f.name, f.install)
			}
			want := runForeign(t, f, real)
			require.Greater(t, len(want), 50, "the script did run: %q", want)
			got := runForeign(t, f, zktest.StartDev(t, devserver.Config{}).Addr())
			require.Equal(t, strings.Join(want, "\n"), strings.Join(got, "\n"), "expected is what the real server shows")
		})
	}
}

func runForeign(t *testing.T, f foreign, addr string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	defer cancel()
	cmd := f.command(t, addr)
	ended := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer ended()
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return f.tidy(string(out))
}

const zkCliScript = "/usr/share/zookeeper/bin/zkCli.sh"

// zkCli is ZooKeeper's own shell reading commands from a file.
func zkCli(t *testing.T, addr string) *exec.Cmd {
	if _, err := os.Stat(zkCliScript); err != nil {
		return nil
	}
	commands, err := os.Open(filepath.Join("testdata", "zkcli.commands"))
	require.NoError(t, err)
	t.Cleanup(func() { commands.Close() })
	cmd := exec.Command(zkCliScript, "-server", addr)
	cmd.Stdin = commands
	return cmd
}

// kazoo is the Python client.
func kazoo(_ *testing.T, addr string) *exec.Cmd {
	const python = "/usr/bin/python3" // Debian's, which has Debian's packages
	if exec.Command(python, "-c", "import kazoo").Run() != nil {
		return nil
	}
	return exec.Command(python, filepath.Join("testdata", "kazoo_script.py"), addr)
}

var (
	address   = regexp.MustCompile(`127\.0\.0\.1:\d+`)
	hexID     = regexp.MustCompile(`0x[0-9a-f]+`)
	dateTime  = regexp.MustCompile(`[A-Z][a-z]{2} [A-Z][a-z]{2} \d{2} [\d:]{8} [A-Z]+ \d{4}`)
	watcher   = regexp.MustCompile(`\n(WATCHER::|WatchedEvent [^\n]*)\n`)
	listed    = regexp.MustCompile(`^\[(/[^\]]*)\]$`)
	startNote = regexp.MustCompile(`^(SLF4J|ZooKeeper CLI version|JLine|Connecting|Welcome)`)
)

// shapeForeign replaces what differs between any two runs.
func shapeForeign(text string) string {
	text = address.ReplaceAllString(text, "ADDRESS")
	text = hexID.ReplaceAllString(text, "HEX")
	return dateTime.ReplaceAllString(text, "DATE")
}

// tidyCli takes apart what several threads of the shell print: answers, which
// come in order, and watch events and errors, of which only the set is sure.
func tidyCli(output string) []string {
	var answers, rest []string
	output = shapeForeign(output)
	for _, event := range watcher.FindAllString(output, -1) {
		rest = append(rest, "aside: "+strings.TrimSpace(event))
	}
	output = watcher.ReplaceAllString(output, "") // one may stand in the middle of an answer's line
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if m := listed.FindStringSubmatch(line); m != nil { // a set, in the order of a hash table
			paths := strings.Split(m[1], ", ")
			slices.Sort(paths)
			line = "[" + strings.Join(paths, ", ") + "]"
		}
		switch {
		case line == "" || startNote.MatchString(line):
		case strings.Contains(line, "KeeperErrorCode") || strings.Contains(line, "quota you create") ||
			strings.Contains(line, " : ") || strings.HasPrefix(line, "Insufficient") || strings.Contains(line, "does not exist") ||
			strings.Contains(line, "already exists") || strings.Contains(line, "not valid"):
			rest = append(rest, "aside: "+line)
		default:
			answers = append(answers, line)
		}
	}
	slices.Sort(rest)
	return append(answers, rest...)
}
