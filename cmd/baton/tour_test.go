package main_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// features are what every client library is walked through, in this order, as
// the programs in testdata named tour do.
var features = []string{"receipts", "ack_client", "ack_individual", "nack", "transactions", "selector", "durable", "reply"}

// tours are the client libraries of others: each walks through the features,
// loses its broker if there is something to read on its standard input, and
// walks again.
var tours = map[string]func(t *testing.T) func(addresses, prefix string) *exec.Cmd{
	"stomp.py": func(t *testing.T) func(string, string) *exec.Cmd {
		pythonClient(t)
		return tour("/usr/bin/python3", "tour.py")
	},
	"Net::Stomp": func(t *testing.T) func(string, string) *exec.Cmd {
		if out, err := exec.Command("perl", "-MNet::Stomp", "-e", "1").CombinedOutput(); err != nil {
			missing(t, "perl has no module Net::Stomp (Debian: libnet-stomp-perl): %v %s", err, out)
		}
		return tour("perl", "tour.pl")
	},
	"stompit": func(t *testing.T) func(string, string) *exec.Cmd {
		stompitClient(t)
		return tour("node", "tour.js", "stompit")
	},
	"stompjs": func(t *testing.T) func(string, string) *exec.Cmd {
		stompitClient(t)
		if _, err := os.Stat(filepath.Join(os.Getenv(stompitAt), "@stomp", "stompjs", "package.json")); err != nil {
			missing(t, "%s names no directory with @stomp/stompjs: %v", stompitAt, err)
		}
		return tour("node", "tour.js", "stompjs")
	},
	"go-stomp": func(t *testing.T) func(string, string) *exec.Cmd {
		bin := filepath.Join(t.TempDir(), "tour")
		out, err := exec.Command("go", "build", "-o", bin, filepath.Join("testdata", "tour.go")).CombinedOutput()
		require.NoError(t, err, "%s", out)
		return func(addresses, prefix string) *exec.Cmd { return exec.Command(bin, addresses, prefix) }
	},
}

func tour(program, script string, args ...string) func(addresses, prefix string) *exec.Cmd {
	return func(addresses, prefix string) *exec.Cmd {
		return exec.Command(program, append(append([]string{filepath.Join("testdata", script)}, args...), addresses, prefix)...)
	}
}

// walk runs a tour and returns what it says of each feature. kill is called when
// it has walked once; without one it ends there.
func walk(t *testing.T, cmd *exec.Cmd, kill func()) []string {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	stuck := time.AfterFunc(4*patience, func() { _ = cmd.Process.Kill() })
	defer stuck.Stop()
	lines := make(chan string, 100)
	go eachLine(out, lines)
	var said []string
	for line := range lines {
		if line != "kill" {
			said = append(said, strings.TrimSpace(line))
			continue
		}
		if kill == nil {
			require.NoError(t, in.Close())
			continue
		}
		kill()
		_, err := io.WriteString(in, "go on\n")
		require.NoError(t, err)
	}
	require.NoError(t, cmd.Wait(), "it said:\n%s\n%s", strings.Join(said, "\n"), &stderr)
	return said
}

// expected is what a tour says of a broker that does the nack as given.
func expected(nack string) []string {
	var want []string
	for _, f := range features {
		line := "ok " + f
		if f == "nack" {
			line += " " + nack
		}
		want = append(want, line)
	}
	return want
}

// TestTourOfACluster walks client libraries that know nothing of Baton through
// its features, each twice: the leader dies in between, and the client finds
// the next one in the list that it was given at first.
func TestTourOfACluster(t *testing.T) {
	c := launch(t, nil)
	for name, command := range tours {
		t.Run(name, func(t *testing.T) {
			cmd := command(t)(uri(c), "tour-"+strings.Map(plain, name))
			require.NoError(t, c.WaitHealthy(within(t)))
			said := walk(t, cmd, func() {
				l := leaderOf(t, c)
				require.NoError(t, c.Kill(l))
				require.NoError(t, c.Start(l))
			})
			once := expected("redelivered")
			require.Equal(t, append(append(append([]string(nil), once...), "ok survived"), once...), said)
		})
	}
}

func plain(r rune) rune {
	if r == ':' || r == '.' {
		return '-'
	}
	return r
}

// TestTourOfActiveMQ shows that the same programs see the same from ActiveMQ,
// except for what is listed among the differences in node/stompserver.
func TestTourOfActiveMQ(t *testing.T) {
	address := activeMQ(t)
	for name, command := range tours {
		t.Run(name, func(t *testing.T) {
			cmd := command(t)(address, "tour-"+strings.Map(plain, name))
			require.Equal(t, expected("dead-lettered"), walk(t, cmd, nil))
		})
	}
}

// activeMQ runs Debian's ActiveMQ until the test ends and returns its address.
func activeMQ(t *testing.T) string {
	t.Helper()
	const home = "/usr/share/activemq"
	jar := filepath.Join(home, "bin", "activemq.jar")
	if _, err := os.Stat(jar); err != nil {
		missing(t, "ActiveMQ is not installed (Debian: activemq): %v", err)
	}
	if _, err := exec.LookPath("java"); err != nil {
		missing(t, "java is not installed: %v", err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := ln.Addr().String()
	require.NoError(t, ln.Close())
	dir := t.TempDir()
	config := filepath.Join(dir, "activemq.xml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `<beans xmlns="http://www.springframework.org/schema/beans"
  xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
  xsi:schemaLocation="http://www.springframework.org/schema/beans http://www.springframework.org/schema/beans/spring-beans-2.0.xsd
  http://activemq.apache.org/schema/core http://activemq.apache.org/schema/core/activemq-core.xsd">
  <broker xmlns="http://activemq.apache.org/schema/core" useJmx="false" brokerName="peer" dataDirectory="%[1]s" schedulerSupport="true">
    <persistenceAdapter><kahaDB directory="%[1]s/kahadb"/></persistenceAdapter>
    <transportConnectors><transportConnector name="stomp" uri="stomp://%[2]s"/></transportConnectors>
  </broker>
</beans>
`, dir, address), 0o600))
	cmd := exec.Command("java", "-Xms128m", "-Xmx512m", "-Dactivemq.home="+home, "-Dactivemq.base="+dir, "-Dactivemq.conf="+dir,
		"-Dactivemq.data="+dir, "-Djava.io.tmpdir="+dir, "-jar", jar, "start", "xbean:file:"+config)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	require.Eventually(t, func() bool {
		nc, err := net.Dial("tcp", address)
		if err == nil {
			nc.Close()
		}
		return err == nil
	}, 3*patience, 50*time.Millisecond, "ActiveMQ does not come up")
	return address
}
