package main_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/demo/cluster"
	"baton/node/supervisor"
	"baton/zkclient"
	"baton/zkclient/devserver"
)

// TestAttach looks at a live cluster, first without and then with the right to act.
func TestAttach(t *testing.T) {
	if testing.Short() {
		t.Skip("launches a cluster")
	}
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte("s3cret"), 0o600))
	cl := launch(t, func(c *cluster.Config) { c.NodeArgs = []string{"--admin-token-file", token} })
	args := []string{"attach", "--zk", strings.Join(cl.ZooKeeper(), ","), "--zk-path", cl.ZKPath()}
	baton(t, "", append(args, "--allow-actions")...).refused(t, 2, "--allow-actions needs --token-file")

	looking := openConsole(t, args...)
	looking.until("attached READ ONLY")
	looking.until("HEALTHY")
	looking.typed("x")
	looking.until("read only: start with --allow-actions")
	looking.typed("q")
	require.Zero(t, looking.leaves())

	acting := openConsole(t, append(args, "--allow-actions", "--token-file", token)...)
	acting.until("HEALTHY")
	acting.typed("x")
	acting.until("the process is not ours") // what only the owner of the processes can do
	acting.typed("t")
	acting.until("attached cluster: type n1 to go on")
	acting.typed("n2\r") // another name is no
	acting.until("the name did not match")
	require.Equal(t, 3, len(up(cl)), "nothing was stopped")
	acting.typed("t") // the menu is still open
	acting.typed("n1\r")
	await(t, "n1 is stopped", func() bool { return len(up(cl)) == 2 })
	acting.until("stop n1: done")
	acting.typed("q")
	require.Zero(t, acting.leaves())
}

// up are the nodes whose processes run.
func up(c *cluster.Cluster) (out []string) {
	for _, p := range c.Processes() {
		if p.Kind == cluster.KindOfNode && p.State == supervisor.StateRunning {
			out = append(out, p.Name)
		}
	}
	return out
}

// TestAttachChoosesAndShowsActiveMQ: below one path there are two clusters, one
// of them an ActiveMQ store; somebody chooses, and sees what ZooKeeper holds.
func TestAttachChoosesAndShowsActiveMQ(t *testing.T) {
	zk, err := devserver.Start(devserver.Config{Listen: "127.0.0.1:0"})
	require.NoError(t, err)
	defer zk.Close()
	client, err := zkclient.Connect(zkclient.Config{Servers: []string{zk.Addr()}})
	require.NoError(t, err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := client.Session(ctx)
	require.NoError(t, err)
	create := func(path, data string, mode zkclient.CreateMode) {
		_, err := s.Create(ctx, path, []byte(data), mode)
		require.NoError(t, err, path)
	}
	for _, p := range []string{"/brokers", "/brokers/baton", "/brokers/old", "/brokers/empty"} {
		create(p, "", 0)
	}
	create("/brokers/baton/cluster", `{"clusterId":"c","replicas":3,"members":{},"epoch":0,"phase":"","leader":""}`, 0)
	create("/brokers/old/0", `{"id":"default","container":null,"address":null,"position":-1,"weight":1,"elected":"0000000001"}`, zkclient.Ephemeral|zkclient.Sequential)
	create("/brokers/old/0", `{"id":"default","container":null,"address":"tcp://10.0.0.2:61619","position":-1,"weight":1,"elected":null}`, zkclient.Ephemeral|zkclient.Sequential)

	c := openConsole(t, "attach", "--zk", zk.Addr(), "--zk-path", "/brokers")
	c.until("There are several clusters below /brokers")
	c.until("/brokers/old  2 members  (ActiveMQ)")
	c.typed("7\n2\n")
	c.until("an ActiveMQ store, read-only")
	c.until("master tcp://10.0.0.2:61619")
	c.until("the elector, chose broker-1")
	c.typed("q")
	require.Zero(t, c.leaves())
}

// TestAttachWithoutZooKeeper: what was seen once is found again.
func TestAttachWithoutZooKeeper(t *testing.T) {
	if testing.Short() {
		t.Skip("launches a cluster")
	}
	cl := launch(t, nil)
	args := []string{"attach", "--zk", strings.Join(cl.ZooKeeper(), ","), "--zk-path", cl.ZKPath()}
	state := t.TempDir()
	first := openConsoleIn(t, state, args...)
	first.until("HEALTHY")
	first.typed("q")
	require.Zero(t, first.leaves())

	_, err := cl.Inject(within(t), cluster.Fault{Name: "stop-zookeeper"})
	require.NoError(t, err)
	second := openConsoleIn(t, state, args...)
	second.until("ZK DOWN")
	second.until(fmt.Sprintf("%s does not answer", strings.Join(cl.ZooKeeper(), ",")), "2")
	second.typed("q")
	require.Zero(t, second.leaves())
	_, err = cl.Inject(within(t), cluster.Fault{Name: "start-zookeeper"})
	require.NoError(t, err)
	require.NoError(t, cl.WaitHealthy(within(t)))
}
