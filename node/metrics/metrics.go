// Package metrics shows a node's status to Prometheus. It keeps no numbers of
// its own: each scrape asks the node once, so metrics, status and console
// never disagree.
package metrics

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"baton/node/adminapi"
)

// Source is what a scrape asks.
type Source interface {
	Status() adminapi.Status
	Queues() []adminapi.Queue
}

// Handler serves GET /metrics in the Prometheus text format.
func Handler(src Source) http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collector{src, &listed{}}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
}

type collector struct {
	src    Source
	listed *listed
}

type description = prometheus.Desc

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("baton_"+name, help, labels, nil)
}

// The metrics. Labels: node is constant per process and left to the scraper.
var (
	leader      = desc("leader", "1 while this node leads and serves clients.")
	quorumOK    = desc("quorum", "1 while a quorum holds what the leader writes; leader only.")
	noQuorum    = desc("no_quorum_seconds", "How long the leader has been without quorum.")
	epoch       = desc("epoch", "Epoch that this node leads or follows.")
	sealed      = desc("sealed_epoch", "Highest epoch that this node promised on disk.")
	position    = desc("position_bytes", "Positions of the node's log.", "kind")
	lagBytes    = desc("follower_lag_bytes", "Bytes a follower is behind; leader only.", "follower")
	lagSeconds  = desc("follower_lag_seconds", "Seconds since a follower held all; leader only.", "follower")
	inSync      = desc("follower_in_sync", "1 while a follower is in sync; leader only.", "follower")
	zkConnected = desc("zookeeper_connected", "1 while the ZooKeeper session is connected.")
	zkExpiries  = desc("zookeeper_session_expiries_total", "ZooKeeper sessions lost.")
	connections = desc("stomp_connections", "Client connections.")
	subs        = desc("stomp_subscriptions", "Subscriptions.")
	turnedAway  = desc("stomp_connections_refused_total", "Clients turned away, for too many were there; of this leadership.")
	clientBytes = desc("client_memory_bytes", "Memory that clients cost, by the limit that bounds it.", "use")
	counter     = desc("messages_total", "Messages by what happened to them.", "event")
	commits     = desc("store_events_total", "Batches, flushes and commits of the log.", "event")
	commitTime  = desc("commit_seconds", "Recent time from proposal to commit.", "quantile")
	storeBytes  = desc("store_bytes", "Size of the data directory.")
	diskFree    = desc("disk_free_bytes", "Free bytes on the data directory's file system.")
)

// Describe sends nothing: which queues and followers there are changes.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect asks the node once.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	s := c.src.Status()
	gauge(leader, flag(s.Role == adminapi.RoleLeader && s.State != adminapi.StatePromoting))
	gauge(quorumOK, flag(s.Quorum.OK))
	gauge(noQuorum, float64(s.Counters.NoQuorumMS)/1000)
	gauge(epoch, float64(s.Epoch))
	gauge(sealed, float64(s.Sealed))
	for kind, p := range map[string]uint64{"start": s.Positions.Start, "checkpoint": s.Positions.Checkpoint,
		"applied": s.Positions.Applied, "commit": s.Positions.Commit, "flush": s.Positions.Flush, "append": s.Positions.Append} {
		gauge(position, float64(p), kind)
	}
	for _, f := range s.Followers {
		gauge(lagBytes, float64(f.LagBytes), f.Node)
		gauge(lagSeconds, f.LagSeconds, f.Node)
		gauge(inSync, flag(f.State == adminapi.StateInSync), f.Node)
	}
	gauge(zkConnected, flag(s.ZooKeeper.Connected))
	count(zkExpiries, uint64(s.ZooKeeper.Expiries))
	gauge(connections, float64(s.Clients.Connections))
	gauge(subs, float64(s.Clients.Subscriptions))
	count(turnedAway, s.Clients.Refused)
	m := s.Clients.Memory
	for use, v := range map[string]int64{"bodies": m.Bodies, "transactions": m.Transactions, "outputs": m.Outputs, "topics": m.Topics, "proposals": m.Proposals, "waiting": m.Waiting} {
		gauge(clientBytes, float64(v), use)
	}
	for event, v := range map[string]uint64{"enqueued": s.Counters.Enqueued, "acked": s.Counters.Acked,
		"delivered": s.Counters.Delivered, "receipts": s.Counters.Receipts} {
		count(counter, v, event)
	}
	for event, v := range map[string]uint64{"batch": s.Counters.Batches, "flush": s.Counters.Flushes, "commit": s.Counters.Commits} {
		count(commits, v, event)
	}
	gauge(commitTime, s.Counters.CommitP50/1000, "0.5")
	gauge(commitTime, s.Counters.CommitP99/1000, "0.99")
	gauge(storeBytes, float64(s.Process.StoreBytes))
	gauge(diskFree, float64(s.Process.DiskFree))
	c.queues(gauge, count)
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
