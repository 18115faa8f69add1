package devserver

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"baton/zkclient/devserver/session"
)

// Version is what clients are told: the ZooKeeper version whose behaviour is
// followed, and that it is not ZooKeeper itself.
const Version = "3.8.0-baton-devserver"

// word answers a four-letter word and ends the connection.
func (p *processor) word(c *conn, t task) {
	word := string(t.packet)
	if text, known := p.wordText(word); known {
		// Text, not a frame; it still takes its turn in the connection's queue.
		p.outbox = append(p.outbox, outgoing{conn: c, frame: []byte(text), at: t.at})
	}
	p.finish(c)
}

func (p *processor) wordText(word string) (text string, known bool) {
	switch word {
	case "ruok":
		return "imok", true
	case "isro":
		return "rw", true
	case "srvr":
		return p.wordSrvr(""), true
	case "stat":
		return p.wordSrvr("Clients:\n" + p.wordCons(false) + "\n"), true
	case "mntr":
		return p.wordMntr(), true
	case "cons":
		return p.wordCons(true) + "\n", true
	case "dump":
		return p.wordDump(), true
	case "conf":
		return p.wordConf(), true
	case "envi":
		return wordEnvi(), true
	case "wchs":
		return fmt.Sprintf("%d connections watching %d paths\nTotal watches:%d\n",
			p.watches.Watchers(), p.watches.Paths(), p.watches.Len()), true
	case "wchc":
		return p.wordWatches(false), true
	case "wchp":
		return p.wordWatches(true), true
	case "dirs", "gtmk", "stmk", "srst", "crst", "hash", "lead":
		return word + " is not executed because it is not in the whitelist.\n", true
	}
	return "", false
}

func (p *processor) wordSrvr(clients string) string {
	l := p.counts.latency
	return fmt.Sprintf("Zookeeper version: %s, built on %s\n%sLatency min/avg/max: %d/%s/%d\nReceived: %d\nSent: %d\n"+
		"Connections: %d\nOutstanding: %d\nZxid: 0x%x\nMode: standalone\nNode count: %d\n",
		Version, buildTime(), clients, l.least.Milliseconds(), millis(l.mean()), l.most.Milliseconds(), p.counts.received, p.counts.sent,
		len(p.conns), len(p.tasks), uint64(p.db.zxid), p.db.tree.Len())
}

// buildTime is the age of the executable, in ZooKeeper's format.
func buildTime() string {
	built := time.Unix(0, 0)
	if path, err := os.Executable(); err == nil {
		if info, err := os.Stat(path); err == nil {
			built = info.ModTime()
		}
	}
	return built.UTC().Format("2006-01-02 15:04 MST")
}

// millis prints a mean as Java prints a double rounded to four digits.
func millis(d time.Duration) string {
	rounded := math.Round(float64(d)/float64(time.Millisecond)*1e4) / 1e4
	text := strconv.FormatFloat(rounded, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

func (p *processor) wordMntr() string {
	var b strings.Builder
	put := func(key string, value any) { fmt.Fprintf(&b, "zk_%s\t%v\n", key, value) }
	s, l := p.stats(), p.counts.latency
	put("version", Version+", built on "+buildTime())
	put("server_state", "standalone")
	put("uptime", s.Uptime.Milliseconds())
	put("packets_received", s.Received)
	put("packets_sent", s.Sent)
	put("min_latency", l.least.Milliseconds())
	put("avg_latency", millis(l.mean()))
	put("max_latency", l.most.Milliseconds())
	put("num_alive_connections", s.Connections)
	put("connection_drop_count", s.ConnectionsEnded)
	put("outstanding_requests", len(p.tasks))
	put("global_sessions", s.Sessions)
	put("stale_sessions_expired", s.SessionsExpired)
	put("znode_count", s.Nodes)
	put("ephemerals_count", s.Ephemerals)
	put("watch_count", s.Watches)
	put("approximate_data_size", s.StoredBytes)
	if p.journal != nil {
		count, total, longest := p.journal.Syncs()
		put("cnt_fsynctime", count)
		put("avg_fsynctime", millis(total/time.Duration(max(count, 1))))
		put("max_fsynctime", longest.Milliseconds())
	}
	return b.String()
}

// wordCons lists the connections, in full or as stat does.
func (p *processor) wordCons(full bool) string {
	conns := slices.SortedFunc(maps.Keys(p.conns), func(a, b *conn) int {
		return cmp.Or(a.owned.established.Compare(b.owned.established), cmp.Compare(a.remote, b.remote))
	})
	var b strings.Builder
	for _, c := range conns {
		o, s := &c.owned, c.session.Load()
		reading := 1
		if s == nil {
			reading = 0
		}
		fmt.Fprintf(&b, " /%s[%d](queued=%d,recved=%d,sent=%d", c.remote, reading, max(len(c.slots)-1, 0), o.received, o.sent)
		if full && s != nil {
			fmt.Fprintf(&b, ",sid=0x%x,lop=%s,est=%d,to=%d", uint64(s.ID), o.lastOp, o.established.UnixMilli(), s.Timeout.Milliseconds())
			if o.received > 1 {
				fmt.Fprintf(&b, ",lcxid=0x%x", uint32(o.lastXid))
			}
			var sinceStart int64
			if !o.lastReply.IsZero() {
				sinceStart = o.lastReply.Sub(p.started).Milliseconds()
			}
			fmt.Fprintf(&b, ",lzxid=0x%x,lresp=%d,llat=%d,minlat=%d,avglat=%d,maxlat=%d", uint64(o.lastZxid), sinceStart,
				o.latency.last.Milliseconds(), o.latency.least.Milliseconds(), o.latency.mean().Milliseconds(), o.latency.most.Milliseconds())
		}
		b.WriteString(")\n")
	}
	return b.String()
}

// wordDump lists the sessions by expiry, their ephemeral nodes and the
// connections of those that have one.
func (p *processor) wordDump() string {
	const date = "Mon Jan 02 15:04:05 MST 2006" // as Java prints a date
	sessions := slices.SortedFunc(p.db.sessions.All, func(a, b *session.Session) int {
		return cmp.Or(a.Deadline().Compare(b.Deadline()), cmp.Compare(a.ID, b.ID))
	})
	var b strings.Builder
	fmt.Fprintf(&b, "SessionTracker dump:\nSession Sets (%d)/(%d):\n", len(sessions), len(sessions))
	for _, s := range sessions {
		fmt.Fprintf(&b, "1 expire at %s:\n\t%s\n", s.Deadline().UTC().Format(date), sessionName(s.ID))
	}
	owners := p.db.tree.EphemeralOwners()
	fmt.Fprintf(&b, "ephemeral nodes dump:\nSessions with Ephemerals (%d):\n", len(owners))
	for _, id := range owners {
		fmt.Fprintf(&b, "%s:\n", sessionName(id))
		for _, path := range p.db.tree.Ephemerals(id) {
			fmt.Fprintf(&b, "\t%s\n", path)
		}
	}
	fmt.Fprintf(&b, "Connections dump:\nConnections Sets (%d)/(%d):\n", len(p.attached), len(p.attached))
	for _, s := range sessions {
		if c := p.attached[s.ID]; c != nil {
			fmt.Fprintf(&b, "1 expire at %s:\n\tip: /%s sessionId: %s\n", s.Deadline().UTC().Format(date), c.remote, sessionName(s.ID))
		}
	}
	return b.String()
}

// wordWatches lists the data watches, as ZooKeeper does, by path or by session.
func (p *processor) wordWatches(byPath bool) string {
	lines := map[string][]string{}
	p.watches.AllData(func(path string, c *conn) {
		s := c.session.Load()
		if s == nil {
			return
		}
		if byPath {
			lines[path] = append(lines[path], sessionName(s.ID))
		} else {
			lines[sessionName(s.ID)] = append(lines[sessionName(s.ID)], path)
		}
	})
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(lines)) {
		slices.Sort(lines[key])
		b.WriteString(key + "\n\t" + strings.Join(lines[key], "\n\t") + "\n")
	}
	return b.String() + "\n"
}

func (p *processor) wordConf() string {
	_, port, _ := strings.Cut(p.addr.String(), "]:")
	if port == "" {
		_, port, _ = strings.Cut(p.addr.String(), ":")
	}
	return fmt.Sprintf("clientPort=%s\ndataDir=%s\ndataLogDir=%s\ntickTime=%d\nmaxClientCnxns=%d\n"+
		"minSessionTimeout=%d\nmaxSessionTimeout=%d\nserverId=0\n",
		port, p.cfg.DataDir, p.cfg.DataDir, expiryGranularity.Milliseconds(), p.cfg.MaxConnections,
		p.cfg.MinSessionTimeout.Milliseconds(), p.cfg.MaxSessionTimeout.Milliseconds())
}

func wordEnvi() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("Environment:\nzookeeper.version=%s, built on %s\nhost.name=%s\ngo.version=%s\nos.name=%s\nos.arch=%s\n",
		Version, buildTime(), host, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
