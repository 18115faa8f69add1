package main_test

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// requireClients, set to 1, makes the tests fail where a client library is
// missing. stompitAt names the directory that holds the node module stompit.
const (
	requireClients = "BATON_REQUIRE_CLIENTS"
	stompitAt      = "BATON_STOMPIT"
)

func missing(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv(requireClients) == "1" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

func pythonClient(t *testing.T) *exec.Cmd {
	const python = "/usr/bin/python3"
	if out, err := exec.Command(python, "-c", "import stomp").CombinedOutput(); err != nil {
		missing(t, "%s has no module stomp (Debian: python3-stomp): %v %s", python, err, out)
	}
	return exec.Command(python, filepath.Join("testdata", "client.py"))
}

func stompitClient(t *testing.T) *exec.Cmd {
	if _, err := exec.LookPath("node"); err != nil {
		missing(t, "node is not installed: %v", err)
	}
	dir := os.Getenv(stompitAt)
	if _, err := os.Stat(filepath.Join(dir, "stompit", "package.json")); dir == "" || err != nil {
		missing(t, "%s=%q is no node_modules directory with stompit (npm install stompit)", stompitAt, dir)
	}
	return exec.Command("node", filepath.Join("testdata", "client.js"))
}

func eachLine(r io.Reader, lines chan<- string) {
	defer close(lines)
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 0, 4096), 1<<20)
	for sc.Scan() {
		lines <- sc.Text()
	}
}

// TestClientsOfOthersFailOver runs client libraries that know nothing of Baton,
// each with its own failover and a list of addresses that never changes,
// through two deaths of the leader: while it sends, and while it receives.
func TestClientsOfOthersFailOver(t *testing.T) {
	const count = 400
	for name, command := range map[string]func(*testing.T) *exec.Cmd{"stomp.py": pythonClient, "stompit": stompitClient} {
		t.Run(name, func(t *testing.T) {
			cmd := command(t)
			c := launch(t, nil)
			cmd.Args = append(cmd.Args, uri(c), "orders", strconv.Itoa(count))
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			in, err := cmd.StdinPipe()
			require.NoError(t, err)
			out, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			kill := time.AfterFunc(4*patience, func() { _ = cmd.Process.Kill() })
			defer kill.Stop()
			lines := make(chan string, 100)
			go eachLine(out, lines)

			killLeader := func() string {
				l := leaderOf(t, c)
				require.NoError(t, c.Kill(l))
				return l
			}
			receipted, received, connections := map[string]bool{}, map[string]int{}, 0
			var killed string
			var said []string
			defer func() {
				if t.Failed() {
					t.Logf("the client said last:\n%s\n%s", strings.Join(said[max(0, len(said)-50):], "\n"), &stderr)
				}
			}()
			for line := range lines {
				said = append(said, time.Now().Format("05.000 ")+line)
				word, id, _ := strings.Cut(line, " ")
				switch word {
				case "connected":
					connections++
				case "receipt":
					receipted[id] = true
					if len(receipted) == count/3 && killed == "" {
						killed = killLeader()
					}
				case "sent":
					require.GreaterOrEqual(t, connections, 2, "it sent on without the leader that was killed")
					require.NoError(t, c.Start(killed))
					require.NoError(t, c.WaitHealthy(within(t)))
					_, err := io.WriteString(in, "receive\n")
					require.NoError(t, err)
				case "message":
					received[id]++
					if len(received) == count/3 && received[id] == 1 {
						killLeader()
					}
				}
			}
			require.NoError(t, cmd.Wait(), "the client gave up; %d receipted, %d received", len(receipted), len(received))
			require.Len(t, receipted, count)
			again := 0
			for id := range receipted {
				require.NotZero(t, received[id], "%s was receipted and is lost", id)
				again += received[id] - 1
			}
			require.GreaterOrEqual(t, connections, 3)
			t.Logf("%d receipted, %d came again after the second kill, %d connections", len(receipted), again, connections)
		})
	}
}
