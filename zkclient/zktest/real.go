package zktest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// RequireEnv is the environment variable that, set to 1, makes Real fail
// instead of skip where ZooKeeper is not installed.
const RequireEnv = "BATON_REQUIRE_ZOOKEEPER"

const (
	zookeeperJar = "/usr/share/java/zookeeper.jar"
	loggingJar   = "/usr/share/java/slf4j-simple.jar"
	startTimeout = 60 * time.Second // it takes 1 to 3 s; a loaded machine needs patience
)

// Real starts a single ZooKeeper server of the Debian package on a loopback
// port and returns its address once it serves. The test is skipped where Java
// or ZooKeeper is not installed, unless RequireEnv says to fail. The server
// ends with the test.
func Real(t testing.TB) string {
	t.Helper()
	if err := realInstalled(); err != nil {
		message := fmt.Sprintf("the real ZooKeeper cannot be started: %v; install the packages zookeeper and openjdk-17-jre-headless", err)
		if os.Getenv(RequireEnv) == "1" {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	dir := t.TempDir()
	var lastErr error
	for range 3 { // another process may take the port before ZooKeeper does
		address, err := startReal(t, dir)
		if err == nil {
			return address
		}
		lastErr = err
	}
	t.Fatalf("start ZooKeeper: %v", lastErr)
	return ""
}

func realInstalled() error {
	if _, err := exec.LookPath("java"); err != nil {
		return err
	}
	for _, jar := range []string{zookeeperJar, loggingJar} {
		if _, err := os.Stat(jar); err != nil {
			return err
		}
	}
	return nil
}

func startReal(t testing.TB, dir string) (address string, err error) {
	port, err := freePort()
	if err != nil {
		return "", err
	}
	config := filepath.Join(dir, "zoo.cfg")
	text := fmt.Sprintf(`tickTime=200
minSessionTimeout=%d
maxSessionTimeout=%d
clientPort=%d
clientPortAddress=127.0.0.1
dataDir=%s
maxClientCnxns=0
admin.enableServer=false
4lw.commands.whitelist=*
`, MinSessionTimeout.Milliseconds(), MaxSessionTimeout.Milliseconds(), port, filepath.Join(dir, "data"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return "", err
	}
	output, err := os.Create(filepath.Join(dir, "output"))
	if err != nil {
		return "", err
	}
	defer output.Close()
	cmd := exec.Command("java", "-Xms32m", "-Xmx128m", "-XX:+UseSerialGC",
		"-cp", zookeeperJar+":"+loggingJar,
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
		"-Dzookeeper.extendedTypesEnabled=true", // nodes with a time to live
		"-Dznode.container.checkIntervalMs=500",
		"-Dzookeeper.preAllocSize=64",
		"org.apache.zookeeper.server.quorum.QuorumPeerMain", config)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // also if the test is killed
	if err := cmd.Start(); err != nil {
		return "", err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	address = fmt.Sprintf("127.0.0.1:%d", port)
	if err := awaitMode(address, ended); err != nil {
		cmd.Process.Kill()
		said, _ := os.ReadFile(output.Name())
		return "", fmt.Errorf("%w; it said: %s", err, said)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			cmd.Process.Kill()
			<-ended
		}
	})
	return address, nil
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// awaitMode polls until the server says in which mode it serves; ruok is
// answered before the database is loaded, so it proves nothing.
func awaitMode(address string, ended <-chan error) error {
	deadline := time.NewTimer(startTimeout)
	defer deadline.Stop()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		if answer, err := Word(address, "srvr", 150*time.Millisecond); err == nil && strings.Contains(answer, "Mode:") {
			return nil
		}
		select {
		case err := <-ended:
			return fmt.Errorf("it ended: %w", errors.Join(errNotServing, err))
		case <-deadline.C:
			return fmt.Errorf("%w within %v", errNotServing, startTimeout)
		case <-poll.C:
		}
	}
}

var errNotServing = errors.New("zktest: ZooKeeper does not serve")

// Word asks a server a four-letter word and returns what it says until it
// closes the connection. timeout bounds the whole exchange.
func Word(address, word string, timeout time.Duration) (string, error) {
	conn, err := net.DialTimeout("tcp", address, timeout)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, word); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	return string(answer), err
}
