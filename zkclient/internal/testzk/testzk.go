// Package testzk starts a real ZooKeeper server, Debian's, for tests.
package testzk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	requireEnv = "BATON_REQUIRE_ZOOKEEPER"
	classpath  = "/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar"
	startWait  = 30 * time.Second
	probeWait  = 150 * time.Millisecond
)

// Start runs a server with a fresh data directory until the test ends and
// returns its address. Without Java or ZooKeeper the test is skipped, or fails
// if BATON_REQUIRE_ZOOKEEPER is 1.
func Start(t testing.TB) string {
	t.Helper()
	if err := installed(); err != nil {
		if os.Getenv(requireEnv) == "1" {
			t.Fatalf("%v, and %s=1 asks for it", err, requireEnv)
		}
		t.Skipf("%v: needs the Debian packages zookeeper, libzookeeper-java and a Java runtime", err)
	}
	dir := t.TempDir()
	addr := freeAddr(t)
	_, port, _ := strings.Cut(addr, ":")
	conf := strings.Join([]string{
		"tickTime=100", "minSessionTimeout=200", "maxSessionTimeout=60000",
		"clientPortAddress=127.0.0.1", "clientPort=" + port,
		"dataDir=" + filepath.Join(dir, "data"), "maxClientCnxns=0",
		"admin.enableServer=false", "4lw.commands.whitelist=*", "",
	}, "\n")
	file := filepath.Join(dir, "zoo.cfg")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	cmd := exec.Command("java", "-Xms32m", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dzookeeper.preAllocSize=64",
		"-cp", classpath, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
		"org.apache.zookeeper.server.quorum.QuorumPeerMain", file)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		cmd.Wait() //nolint:errcheck // killed below
	}()
	t.Cleanup(func() {
		cmd.Process.Kill() //nolint:errcheck // may have exited
		<-exited
	})
	if err := ready(addr, exited); err != nil {
		cmd.Process.Kill() //nolint:errcheck // may have exited
		<-exited
		t.Fatalf("ZooKeeper does not start: %v\n%s", err, log.String())
	}
	return addr
}

func installed() error {
	if _, err := exec.LookPath("java"); err != nil {
		return errors.New("no java")
	}
	for _, jar := range strings.Split(classpath, ":") {
		if _, err := os.Stat(jar); err != nil {
			return fmt.Errorf("no %s", jar)
		}
	}
	return nil
}

func freeAddr(t testing.TB) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// ready waits until the server says in which mode it serves.
func ready(addr string, exited <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(context.Background(), startWait)
	defer cancel()
	probe := time.NewTicker(20 * time.Millisecond)
	defer probe.Stop()
	for {
		if serving(addr) {
			return nil
		}
		select {
		case <-exited:
			return errors.New("process has exited")
		case <-ctx.Done():
			return fmt.Errorf("not serving after %v", startWait)
		case <-probe.C:
		}
	}
}

func serving(addr string) bool {
	c, err := net.DialTimeout("tcp", addr, probeWait)
	if err != nil {
		return false
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(probeWait)) //nolint:errcheck // the read fails then
	io.WriteString(c, "srvr")                //nolint:errcheck // the read fails then
	b, _ := io.ReadAll(c)
	return strings.Contains(string(b), "Mode:")
}
