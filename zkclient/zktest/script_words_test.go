package zktest_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"

	"baton/zkclient/devserver/wire"
	"baton/zkclient/zktest"
)

var (
	hexNumber = regexp.MustCompile(`0x[0-9a-f]+`)
	number    = regexp.MustCompile(`\d+(\.\d+)?`)
	date      = regexp.MustCompile(`(Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z][a-z] \d\d \d\d:\d\d:\d\d [A-Z]+ \d{4}`)
	version   = regexp.MustCompile(`3\.8\.0-\S+, built on \d{4}-\d\d-\d\d \d\d:\d\d UTC`)
)

// shape is a text with its changing parts replaced.
func shape(text string) string {
	text = version.ReplaceAllString(text, "VERSION")
	text = date.ReplaceAllString(text, "DATE")
	text = hexNumber.ReplaceAllString(text, "HEX")
	return number.ReplaceAllString(text, "N")
}

// scriptWords compares the form of what the four-letter words answer, and of
// those with many keys the ones that the embedded server has.
func scriptWords(x *transcript) {
	r := x.open("r")
	r.do("ephemeral", wire.OpCreate, create("/words", "", 1), x.showPath)
	ask := func(word string) string {
		answer, err := zktest.Word(x.addr, word, patience)
		require.NoError(x.t, err, word)
		return answer
	}
	for _, word := range []string{"ruok", "isro", "srvr"} {
		x.logf("%s: %q", word, shape(ask(word)))
	}
	asking := ""
	mine := fmt.Sprintf("sid=0x%x", r.session)
	for line := range strings.Lines(ask("cons")) {
		switch {
		case strings.Contains(line, mine):
			x.logf("cons: mine %q", shape(line))
		case !strings.Contains(line, "sid="): // the connection that asks
			if len(line) > 1 {
				asking = shape(line)
			}
		}
	}
	x.logf("cons: asking %q", asking)
	x.logf("cons: ends with an empty line %v", strings.HasSuffix(ask("cons"), ")\n\n"))
	x.logf("stat: %q", shape(lastLines(ask("stat"), 9)))
	dump := ask("dump")
	x.logf("dump: owner %v", strings.Contains(dump, fmt.Sprintf("0x%x:\n\t/words\n", r.session)))
	for line := range strings.Lines(dump) {
		if !strings.HasPrefix(line, "\t") || strings.Contains(line, mine[4:]) {
			seen := fmt.Sprintf("dump: %q", shape(line))
			if !slices.Contains(x.lines, seen) {
				x.lines = append(x.lines, seen)
			}
		}
	}
	for _, key := range []string{
		"zk_version", "zk_server_state", "zk_uptime", "zk_packets_received", "zk_packets_sent", "zk_min_latency", "zk_avg_latency",
		"zk_max_latency", "zk_num_alive_connections", "zk_connection_drop_count", "zk_outstanding_requests", "zk_global_sessions",
		"zk_stale_sessions_expired", "zk_znode_count", "zk_ephemerals_count", "zk_watch_count", "zk_approximate_data_size",
	} {
		x.logf("mntr: %s", keyLine(x, ask("mntr"), key+"\t"))
	}
	for _, key := range []string{"clientPort", "dataDir", "dataLogDir", "tickTime", "maxClientCnxns", "minSessionTimeout", "maxSessionTimeout", "serverId"} {
		line := keyLine(x, ask("conf"), key+"=")
		x.logf("conf: %s %v", key, line != "")
	}
	x.logf("envi: %s", keyLine(x, ask("envi"), "zookeeper.version="))
	x.logf("wchs: %q", shape(ask("wchs")))
	r.do("data watch", wire.OpExists, pathWatch("/words", true), nil)
	r.do("watch of a missing node", wire.OpExists, pathWatch("/words/none", true), nil)
	r.do("child watch", wire.OpGetChildren, pathWatch("/words", true), nil)
	r.do("recursive watch", wire.OpAddWatch, addWatch("/words/sub", wire.WatchPersistentRecursive), nil)
	wchc, wchp := ask("wchc"), ask("wchp")
	_, of, _ := strings.Cut(wchc, mine[4:]+"\n")
	var paths []string
	for line := range strings.Lines(of) {
		if !strings.HasPrefix(line, "\t") {
			break
		}
		paths = append(paths, line)
	}
	slices.Sort(paths)
	x.logf("wchc: %q", paths)
	x.logf("wchp: %v", strings.Contains(wchp, "/words/none\n\t"+mine[4:]+"\n"))
	x.logf("ends: %q %q", wchc[len(wchc)-2:], wchp[len(wchp)-2:])
	unknown := x.dial("an unknown word")
	unknown.sendRaw([]byte("what"))
	unknown.ended()
}

func lastLines(text string, n int) string {
	lines := strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")
	return strings.Join(lines[max(len(lines)-n, 0):], "")
}

func keyLine(x *transcript, text, key string) string {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, key) {
			return shape(strings.TrimSuffix(line, "\n"))
		}
	}
	require.Fail(x.t, "no such key", key)
	return ""
}
