package node_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"baton/node"
)

func TestConfig(t *testing.T) {
	good := func() node.Config {
		return node.Config{ID: "n1", DataDir: "data", ZK: []string{"127.0.0.1:2181"}, ZKPath: "/baton", Replicas: 3, Sync: "quorum_disk",
			ListenStomp: "127.0.0.1:1", ListenRepl: "localhost:2", ListenAdmin: "[::1]:3"}
	}
	require.NoError(t, good().Validate())
	for name, c := range map[string]struct {
		set  func(*node.Config)
		says string // "" = it is fine
	}{
		"no id":                           {func(c *node.Config) { c.ID = "" }, `--id is ""`},
		"an id with a slash":              {func(c *node.Config) { c.ID = "a/b" }, `--id is "a/b": a node id has 1 to 63 letters`},
		"an id that is too long":          {func(c *node.Config) { c.ID = string(make([]byte, 64)) }, "--id is "},
		"no directory":                    {func(c *node.Config) { c.DataDir = "" }, "--data-dir is missing"},
		"no ZooKeeper":                    {func(c *node.Config) { c.ZK = nil }, "--zk is missing"},
		"a ZooKeeper without a port":      {func(c *node.Config) { c.ZK = []string{"zk1"} }, `--zk has "zk1", which is not host:port`},
		"a relative path":                 {func(c *node.Config) { c.ZKPath = "baton" }, `--zk-path is "baton"`},
		"the root as path":                {func(c *node.Config) { c.ZKPath = "/" }, `--zk-path is "/"`},
		"a path that ends with a slash":   {func(c *node.Config) { c.ZKPath = "/a/" }, `--zk-path is "/a/"`},
		"a path with an empty step":       {func(c *node.Config) { c.ZKPath = "/a//b" }, `--zk-path is "/a//b"`},
		"no replicas":                     {func(c *node.Config) { c.Replicas = -1 }, "--replicas is -1"},
		"too many replicas":               {func(c *node.Config) { c.Replicas = 100 }, "--replicas is 100"},
		"an unknown policy":               {func(c *node.Config) { c.Sync = "quorum_tape" }, "quorum_tape"},
		"an address without a port":       {func(c *node.Config) { c.ListenRepl = "127.0.0.1" }, `--listen-repl is "127.0.0.1", which is not host:port`},
		"STOMP for everybody":             {func(c *node.Config) { c.ListenStomp = "0.0.0.0:1" }, "--listen-stomp 0.0.0.0:1 is reachable from outside"},
		"replication without a secret":    {func(c *node.Config) { c.ListenRepl = ":2" }, "give the cluster a shared secret with --token-file"},
		"replication with a secret":       {func(c *node.Config) { c.ListenRepl, c.Token = ":2", "s" }, ""},
		"control without a token":         {func(c *node.Config) { c.ListenAdmin = "10.0.0.1:3" }, "give it a token with --admin-token-file"},
		"control with a token":            {func(c *node.Config) { c.ListenAdmin, c.AdminToken = "10.0.0.1:3", "t" }, ""},
		"a host name that is no loopback": {func(c *node.Config) { c.ListenStomp = "example.org:1" }, "--listen-stomp example.org:1 is reachable from outside"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good()
			c.set(&cfg)
			err := cfg.Validate()
			if c.says == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, node.ErrConfig)
			require.ErrorContains(t, err, c.says)
		})
	}
	t.Run("all mistakes are told at once", func(t *testing.T) {
		cfg := good()
		cfg.ID, cfg.DataDir, cfg.Sync = "", "", "tape"
		_, err := node.Start(cfg)
		require.ErrorIs(t, err, node.ErrConfig)
		for _, flag := range []string{"--id", "--data-dir", "--sync"} {
			require.ErrorContains(t, err, flag)
		}
	})
}
