package nodetest_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/node"
	"baton/node/nodetest"
	"baton/store"
)

func TestStartSaysWhatIsWrong(t *testing.T) {
	c := nodetest.New(t, nodetest.Config{Nodes: 1})
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	at := taken.Addr().String()

	for flag, set := range map[string]func(*node.Config){
		"--listen-stomp": func(cfg *node.Config) { cfg.ListenStomp = at },
		"--listen-repl":  func(cfg *node.Config) { cfg.ListenRepl = at },
		"--listen-admin": func(cfg *node.Config) { cfg.ListenAdmin = at },
	} {
		t.Run(flag+" is taken", func(t *testing.T) {
			cfg := c.NodeConfig("n1")
			set(&cfg)
			_, err := node.Start(cfg)
			require.ErrorContains(t, err, "cannot listen on "+at+" ("+flag+")")
			require.ErrorContains(t, err, "choose another address or stop what uses it")
		})
	}
	t.Run("the data directory is in use", func(t *testing.T) {
		c.StartNodes("n1")
		defer c.Stop("n1")
		cfg := c.NodeConfig("n1")
		cfg.ListenStomp = "127.0.0.1:0"
		_, err := node.Start(cfg)
		require.ErrorIs(t, err, store.ErrLocked)
		require.ErrorContains(t, err, cfg.DataDir)
		require.ErrorContains(t, err, "stop the other process or choose another directory")
	})
	t.Run("what failed has let go of everything", func(t *testing.T) {
		c.StartNodes("n1")
		c.Healthy()
		c.Traffic("orders").Send(1)
	})
}
