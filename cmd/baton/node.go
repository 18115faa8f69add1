package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"baton/node"
	"baton/node/broker/policy"
)

const nodeLong = `Runs one node of a cluster. It joins in ZooKeeper, leads or follows, and serves STOMP clients while
it leads. It stops cleanly on SIGTERM. Every flag is also a key of the --config file and an environment
variable (BATON_ZK_PATH for --zk-path). The file may also have a list "destinations": what holds for queues
and topics, as in

  destinations:
    - match: /queue/orders.>
      redelivery: {max: 6, delay: 1s, multiplier: 2, max-delay: 1m, nack: redeliver}
      dead-letter: {queue: DLQ, expired: true, non-persistent: false, discard: false}
      expiry: {default: 24h, max: 48h}
      limits: {messages: 1000000, bytes: 10GiB, message-size: 1MiB, wait: 30s}
      prefetch: 100

The first rule that fits a destination counts; give all nodes the same.

What clients may cost is limited by the --max- and -memory options. A size is a number of bytes, or one with a
unit as in 64MiB. Clients are also turned away while less than 256 more files could be opened (ulimit -n):
those are for the log, the followers and ZooKeeper.`

func nodeCommand() *cobra.Command {
	var (
		cfg                   node.Config
		log                   logFlags
		token, admin, zkToken string
		parentFD              int
		drill                 string
		advertise             [3]string
	)
	c := &cobra.Command{
		Use:   "node",
		Short: "Run one broker node",
		Long:  nodeLong,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			logger, err := log.logger(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			cfg.Logger = logger.With("node", cfg.ID)
			for flag, f := range map[string]struct {
				path string
				into *string
			}{"token-file": {token, &cfg.Token}, "admin-token-file": {admin, &cfg.AdminToken}, "zk-password-file": {zkToken, &cfg.ZKPassword}} {
				if *f.into, err = readSecret(flag, f.path); err != nil {
					return err
				}
			}
			cfg.AdvertiseStomp, cfg.AdvertiseRepl, cfg.AdvertiseAdmin = advertise[0], advertise[1], advertise[2]
			ctx, err := withParent(cmd.Context(), parentFD)
			if err != nil {
				return err
			}
			cfg.Version = version()
			if drill != "" {
				cfg.FS = startDrill(ctx, drill, cfg.Logger)
			}
			n, err := node.Start(cfg)
			if errors.Is(err, node.ErrConfig) {
				return exitError{exitUsage, err}
			}
			if err != nil {
				return err
			}
			return n.Run(ctx)
		},
	}
	nodeFlags(c, &cfg, &advertise)
	f := c.Flags()
	f.StringVar(&zkToken, "zk-password-file", "", "file with user:password for ZooKeeper's digest authentication")
	f.StringVar(&drill, "disk-drill", "", `for drills: while this file says {"full":true} or {"sync_delay_ms":200}, the node's disk is full or slow; a new text in {"power_loss":"TEXT"} ends the node and takes from its disk what was not synced`)
	f.StringVar(&token, "token-file", "", "file with the cluster's shared secret, proved on every replication link")
	f.StringVar(&admin, "admin-token-file", "", "file with the bearer token of the control verbs")
	addParentFlag(c, &parentFD)
	log.add(c)
	return c
}

// nodeFlags adds the flags that stand for fields of the configuration.
func nodeFlags(c *cobra.Command, cfg *node.Config, advertise *[3]string) {
	f := c.Flags()
	f.Var(&configFile{sections: map[string]func(*yaml.Node) error{
		"destinations": func(n *yaml.Node) (err error) {
			cfg.Policies, err = policy.Parse(n)
			return err
		},
	}}, "config", "YAML file with any of these options as keys, and with the policies of destinations")
	f.StringVar(&cfg.ID, "id", "", "node id, unique in the cluster, the same at every start (required)")
	f.StringVar(&cfg.Group, "group", "baton", "name of the cluster in its member nodes")
	f.StringVar(&cfg.DataDir, "data-dir", "", "directory of this node's data (required)")
	zkFlags(c, &cfg.ZK, &cfg.ZKPath)
	f.DurationVar(&cfg.SessionTimeout, "zk-session-timeout", node.DefaultSessionTimeout, "ZooKeeper session timeout to ask for; failover does not wait for it")
	f.IntVar(&cfg.Replicas, "replicas", 3, "configured size of the cluster; replicas/2+1 make a quorum")
	f.StringVar(&cfg.Sync, "sync", "quorum_disk", "what a producer waits for: local_mem, local_disk, remote_mem, remote_disk, quorum_mem, quorum_disk, or several with commas")
	f.IntVar(&cfg.Weight, "weight", 1, "breaks ties in an election, the highest wins")
	f.StringVar(&cfg.ListenStomp, "listen-stomp", "127.0.0.1:61613", "address for STOMP clients, open only while this node leads")
	f.StringVar(&cfg.ListenRepl, "listen-repl", "127.0.0.1:61619", "address for followers")
	f.StringVar(&cfg.ListenAdmin, "listen-admin", "127.0.0.1:61611", "address for status, metrics and control")
	f.StringVar(&advertise[0], "advertise-stomp", "", "address to tell clients in place of --listen-stomp")
	f.StringVar(&advertise[1], "advertise-repl", "", "address to tell followers in place of --listen-repl")
	f.StringVar(&advertise[2], "advertise-admin", "", "address to tell consoles in place of --listen-admin")
	f.StringToStringVar(&cfg.ReplVia, "repl-via", nil, "node=host:port,...: dial this address when that node leads, in place of what it advertises")
	f.DurationVar(&cfg.ElectionTimeout, "election-timeout", node.DefaultElectionTimeout, "a leader that is silent for so long is suspected")
	f.DurationVar(&cfg.QuorumTimeout, "quorum-timeout", node.DefaultQuorumTimeout, "how long a producer waits for a quorum before it gets an ERROR")
	retentionFlags(c, cfg)
	limitFlags(c, &cfg.Limits)
}

// retentionFlags adds how much log a node keeps.
func retentionFlags(c *cobra.Command, cfg *node.Config) {
	f := c.Flags()
	f.Int64Var(&cfg.SegmentSize, "segment-size", node.DefaultSegmentSize, "bytes of one log segment")
	f.Int64Var(&cfg.ScrubRate, "scrub-rate", node.DefaultScrubRate, "bytes per second at which the log is read to find damage")
	f.Int64Var(&cfg.RetainBytes, "retain-bytes", node.DefaultRetainBytes, "bytes of log that no queue needs which a leader keeps for members that lack them")
	f.DurationVar(&cfg.DedupWindow, "dedup-window", node.DefaultDedupWindow, "how long the id that a producer gave to a message suppresses another one of the same id")
	f.Int64Var(&cfg.DedupCount, "dedup-count", node.DefaultDedupCount, "of how many messages at most the id is remembered")
	f.Int64Var(&cfg.DedupBytes, "dedup-bytes", 0, "bytes of log that remembered ids may keep behind them; 0 = as --compact-bytes")
	f.Int64Var(&cfg.StoreLimit, "store-limit", 0, "bytes that all queues may hold before producers wait; 0 = any number")
	f.Int64Var(&cfg.CompactBytes, "compact-bytes", 0, "bytes of log that old messages may keep behind them before they are moved up; 0 = 8 segments")
}

// zkFlags adds the flags by which every command finds a cluster.
func zkFlags(c *cobra.Command, servers *[]string, path *string) {
	c.Flags().Var((*commaList)(servers), "zk", "ZooKeeper servers, host:port,...")
	c.Flags().StringVar(path, "zk-path", "/baton", "ZooKeeper path of the cluster")
}

// commaList is a flag of values with commas; giving it again replaces them.
type commaList []string

func (l *commaList) String() string { return strings.Join(*l, ",") }
func (l *commaList) Type() string   { return "host:port,..." }
func (l *commaList) Set(s string) error {
	*l = nil
	for p := range strings.SplitSeq(s, ",") {
		if p = strings.TrimSpace(p); p != "" {
			*l = append(*l, p)
		}
	}
	return nil
}
