package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"baton/demo"
	"baton/demo/cluster"
	"baton/demo/lesson"
	"baton/demo/load"
	"baton/tui"
	"baton/tui/data"
	"baton/tui/record"
	"baton/tui/style"
)

// demoFlags are the flags of baton demo.
type demoFlags struct {
	headless, asJSON bool
	duration         time.Duration
	faults           string
	cluster          cluster.Config
	load             load.Config
	console          consoleFlags
	record           recordFlags
	serve            serveFlags
	lesson           string
	listLessons      bool
}

func demoCommand() *cobra.Command {
	var f demoFlags
	c := &cobra.Command{
		Use:   "demo",
		Short: "Run three nodes on this machine, under load, with the console",
		Long: `Starts an embedded ZooKeeper (or real ones: --zk ensemble), three broker nodes as processes of their own, and producers and
consumers that keep account of every message. The console shows it all and lets you kill, pause, cut off
and restart nodes. With --headless it needs no terminal: it injects the faults you name and ends with a
summary, and with exit code 0 only if nothing that was acknowledged was lost.`,
		Example: "  baton demo\n  baton demo --headless --for 30s --rate 300 --fault kill-leader@5s,restart@12s --json\n" +
			"  baton demo --zk ensemble --headless --for 30s --fault kill-zookeeper:leader@5s,start-zookeeper@12s,kill-leader@20s",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.cluster.Nodes < 1 || f.cluster.BasePort < 1 { // the packages below take 0 for their default
				return usageError("--nodes is %d and --base-port %d: both are at least 1", f.cluster.Nodes, f.cluster.BasePort)
			}
			if f.listLessons {
				return listLessons(cmd.OutOrStdout())
			}
			if f.lesson != "" {
				if err := f.prepareLesson(cmd); err != nil {
					return err
				}
			}
			if f.headless {
				return f.runHeadless(cmd)
			}
			for _, name := range []string{"for", "fault", "json"} {
				if cmd.Flags().Changed(name) {
					return usageError("--%s needs --headless: in the console you decide what happens", name)
				}
			}
			return f.runConsole(cmd)
		},
	}
	fl := c.Flags()
	fl.BoolVar(&f.headless, "headless", false, "no console: run, inject --fault, drain, report")
	fl.BoolVar(&f.asJSON, "json", false, "with --headless: print the report as JSON")
	fl.DurationVar(&f.duration, "for", 20*time.Second, "with --headless: how long producers send")
	fl.StringVar(&f.faults, "fault", "", "with --headless: NAME@TIME,... of "+strings.Join(cluster.FaultNames(), ", ")+
		", with a node "+strings.Join(cluster.NodeFaultNames(), ", ")+" as in kill:n2@5s, and with --zk ensemble also of one server, "+
		"by number or as the leader: kill-zookeeper:2@5s, pause-zookeeper:leader@5s")
	fl.Float64Var(&f.load.Rate, "rate", 300, "messages per second of all producers together, 0 = no load")
	fl.IntVar(&f.load.Producers, "producers", 4, "producers, each waits for its receipts")
	fl.IntVar(&f.load.Consumers, "consumers", 2, "consumers, each acknowledges every message")
	fl.IntVar(&f.load.BodySize, "body-size", 256, "bytes of a message's body")
	fl.Var((*commaList)(&f.load.Queues), "queues", "queues to use")
	_ = fl.Set("queues", "orders,payments")
	fl.Lookup("queues").Changed = false
	fl.StringVar(&f.cluster.DataDir, "data-dir", "", "keep the nodes' data here; empty = a temporary directory, removed at the end")
	fl.IntVar(&f.cluster.BasePort, "base-port", cluster.DefaultBasePort, "ZooKeeper at B; node i at B+10(i-1): admin +1, STOMP +3, replication +9; server k of a real ensemble at B+10(k-1): clients +0, peers +7, elections +8")
	fl.IntVar(&f.cluster.Nodes, "nodes", 3, "number of nodes")
	fl.StringVar(&f.cluster.Sync, "sync", "quorum_disk", "sync policy of the nodes")
	addZKFlag(fl, &f.cluster)
	fl.StringVar(&f.cluster.ZKPath, "zk-path", "", "ZooKeeper path; default /baton/demo, or one of this run with --zk")
	fl.DurationVar(&f.cluster.ElectionTimeout, "election-timeout", 0, "of the nodes; 0 = their default of 1s")
	fl.DurationVar(&f.cluster.ZKSessionTimeout, "zk-session-timeout", 0, "of the nodes; 0 = their default of 4s")
	fl.StringVar(&f.lesson, "lesson", "", "take a guided lesson; with --headless it leads itself and exits 0 only if the cluster showed all of it")
	fl.BoolVar(&f.listLessons, "list-lessons", false, "name the lessons and stop")
	f.console.add(c)
	f.record.add(c)
	f.serve.add(c)
	return c
}

// launchFailure gives what keeps a cluster from coming up its exit code.
func launchFailure(err error) error {
	if err == nil {
		return nil
	}
	return exitError{exitUnreachable, err}
}

// prepareLesson checks the flags that a lesson decides itself and sets what it needs.
func (f *demoFlags) prepareLesson(cmd *cobra.Command) error {
	l, err := lesson.Find(f.lesson)
	if err != nil {
		return usageError("--lesson: %w", err)
	}
	for _, name := range []string{"for", "fault", "sync", "nodes"} {
		if cmd.Flags().Changed(name) {
			return usageError("--%s does not go with --lesson: the lesson decides it", name)
		}
	}
	if l.Name == "zookeeper" && len(f.cluster.ZooKeeper) > 0 {
		return usageError("the lesson zookeeper stops ZooKeeper: it needs one of its own, without --zk")
	}
	l.Prepare(&f.cluster, &f.load)
	return nil
}

func (f *demoFlags) runHeadless(cmd *cobra.Command) error {
	if f.lesson != "" {
		l, err := lesson.Find(f.lesson)
		if err != nil {
			return usageError("--lesson: %w", err)
		}
		return f.runLesson(cmd, l)
	}
	faults, err := cluster.ParseFaults(f.faults)
	if err != nil {
		return usageError("--fault: %w", err)
	}
	f.cluster.ClientProxies = slices.ContainsFunc(faults, func(x cluster.Fault) bool { return cluster.OnClients(x.Name) })
	cfg := demo.Config{Cluster: f.cluster, Load: f.load, Faults: faults, For: f.duration}
	if err := cfg.Validate(); err != nil {
		return exitError{exitUsage, err}
	}
	began := time.Now()
	cfg.Progress = func(line string) {
		fmt.Fprintf(cmd.ErrOrStderr(), "%6.1fs  %s\n", time.Since(began).Seconds(), line)
	}
	rec, err := f.record.open(record.Header{Cluster: "demo", Launched: true}, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	defer closeRecord(rec, cmd.ErrOrStderr())
	cfg.Watch = func(c *cluster.Cluster, l *load.Load) (func(), error) {
		return watchHeadless(c, l, f.cli(), f.cluster.BasePort, rec, nil)
	}
	r, err := demo.Headless(cmd.Context(), cfg)
	if err != nil {
		return launchFailure(err)
	}
	if f.asJSON {
		enc := json.NewEncoder(cmd.OutOrStdout())
		enc.SetIndent("", "  ")
		if err := enc.Encode(r); err != nil {
			return err
		}
	} else {
		fmt.Fprint(cmd.OutOrStdout(), r.Text())
	}
	return r.Err()
}

// cli is how another terminal acts on this demo.
func (f *demoFlags) cli() data.CLI {
	return data.CLI{Launched: true, Flags: chaosFlags(f.cluster.BasePort)}
}

// watchHeadless records a run that nobody looks at, and takes commands from
// other terminals. to is nil if it is not to be recorded.
func watchHeadless(c *cluster.Cluster, l *load.Load, cli data.CLI, base int, to *record.Writer, view func() *data.Lesson) (func(), error) {
	ctx, cancel := context.WithCancel(context.Background())
	logger := slog.New(slog.DiscardHandler)
	src, stopTree, err := localSource(ctx, c, &localCluster{c: c, load: l, begun: time.Now(), cli: cli}, view, logger)
	if err != nil {
		cancel()
		return nil, err
	}
	take := func(s *data.Snapshot) {
		if to != nil {
			to.Take(s)
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = src.Run(ctx, take) // ends with ctx
	}()
	stopControl := serveControl(base, src, logger)
	return func() {
		stopControl()
		last := src.Snapshot()
		take(last)
		learn(last)
		cancel()
		<-done
		stopTree()
	}, nil
}

// runConsole shows the cluster from the moment its processes start. The
// console handles signals itself, so that it leaves a clean terminal.
func (f *demoFlags) runConsole(cmd *cobra.Command) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(cmd.Context()))
	defer cancel()
	if err := f.load.Validate(); err != nil {
		return exitError{exitUsage, err}
	}
	theme, err := f.console.theme()
	if err != nil {
		return err
	}
	if err := tui.CheckTerminal(os.Stdin, os.Stdout); err != nil {
		return exitError{tui.ExitCode(err), err}
	}
	f.cluster.ClientProxies = true
	c, err := cluster.Open(f.cluster)
	if err != nil {
		return launchFailure(err)
	}
	logger, closeLog := consoleLog(c.DataDir())
	defer closeLog()
	local := &localCluster{c: c, begun: time.Now(), cli: f.cli()}
	launched := make(chan error, 1)
	go func() {
		err := c.Run(ctx)
		if err == nil && f.load.Rate > 0 {
			err = local.startLoad(f.load)
		}
		launched <- err
		if err != nil {
			cancel()
		}
	}()
	rec, err := f.record.open(record.Header{Cluster: "demo", Launched: true}, cmd.ErrOrStderr())
	session := f.lead(ctx, local)
	var src *data.Source
	stopTree := func() {}
	if err == nil {
		src, stopTree, err = localSource(ctx, c, local, lessonView(session), logger)
	}
	if err == nil {
		stopControl := serveControl(f.cluster.BasePort, src, logger)
		err = f.show(ctx, cmd, tee(src, rec), src, session, theme, logger)
		stopControl()
		learn(src.Snapshot())
		stopTree()
	}
	cancel()
	code := tui.ExitCode(err)
	if e := <-launched; e != nil && !errors.Is(e, context.Canceled) {
		err, code = e, exitUnreachable
	}
	f.farewell(cmd.ErrOrStderr(), local, c)
	closeRecord(rec, cmd.ErrOrStderr())
	if err != nil {
		return exitError{code, err}
	}
	return nil
}

// show opens the console on the launched cluster.
func (f *demoFlags) show(ctx context.Context, cmd *cobra.Command, src tui.Source, queues tui.Queues, session *lesson.Session, theme style.Theme, logger *slog.Logger) error {
	cfg := tui.Config{Cluster: "demo", Launched: true, CLI: f.cli(), Theme: theme, NoMouse: f.console.noMouse, ExportDir: exportDir(), Queues: queues, Logger: logger}
	if session != nil {
		cfg.Lesson = session
	}
	shown, stop, err := f.serve.start(src, cfg, cmd.ErrOrStderr(), logger)
	if err != nil {
		return err
	}
	defer stop()
	cfg.Source = shown
	return tui.Run(ctx, cfg)
}

// drainTimeout bounds how long a quit waits for what is on its way.
const drainTimeout = 2 * time.Second

// farewell stops everything and says what became of it.
func (f *demoFlags) farewell(w io.Writer, local *localCluster, c *cluster.Cluster) {
	fmt.Fprintln(w, "stopping the load and the nodes")
	if ld := local.running(); ld != nil {
		ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
		defer cancel()
		err := ld.Drain(ctx)
		s := ld.Summary()
		fmt.Fprintf(w, "sent %d, receipted %d, received %d", s.Sent, s.Receipted, s.Received)
		if err == nil {
			fmt.Fprintf(w, ", lost %d\n", s.Outstanding)
		} else {
			fmt.Fprintf(w, ", %d were still in the queues\n", s.Outstanding)
		}
	}
	local.stopLoad()
	if err := c.Close(); err != nil {
		fmt.Fprintln(w, "baton:", err)
	}
	for _, r := range c.Tracker().Runs() {
		if r.Done() {
			fmt.Fprintf(w, "failover %d (%s): %s to %s, %d ms to the first receipt\n", r.ID, r.Cause, r.LeaderBefore, r.LeaderAfter,
				r.FirstReceipt.Sub(r.Fault).Milliseconds())
		}
	}
	if f.cluster.DataDir != "" {
		fmt.Fprintf(w, "data kept in %s; open it again with: baton demo --data-dir %s\n", f.cluster.DataDir, f.cluster.DataDir)
	}
}

// consoleLog keeps the console's own log out of the screen.
func consoleLog(dir string) (*slog.Logger, func()) {
	file, err := os.OpenFile(filepath.Join(dir, "console.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return slog.New(slog.DiscardHandler), func() {}
	}
	return slog.New(slog.NewTextHandler(file, nil)), func() { file.Close() }
}

func localSource(ctx context.Context, c *cluster.Cluster, local data.Local, view func() *data.Lesson, logger *slog.Logger) (*data.Source, func(), error) {
	tree, err := watchTree(c.ZooKeeper(), c.ZKPath(), logger)
	if err != nil {
		return nil, nil, err
	}
	cfg := data.Config{Cluster: "demo", Local: local, Earlier: earlier(), Tree: tree.read, TreeChanged: tree.changed, ZKServers: c.ZooKeeper(), Lesson: view, Logger: logger}
	for _, name := range c.NodeNames() {
		cfg.Nodes = append(cfg.Nodes, data.Endpoint{ID: name, Admin: c.AdminAddresses()[name]})
	}
	src, err := data.New(cfg)
	if err != nil {
		tree.close()
		return nil, nil, err
	}
	go tree.runWatch(ctx)
	return src, tree.close, nil
}
