package zktest_test

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/zkclient/devserver"
	"baton/zkclient/devserver/wire"
	"baton/zkclient/zktest"
)

var update = flag.Bool("update", false, "record the transcripts in testdata from the real ZooKeeper")

// scripts are run against both servers, each in a session and under a node of
// its own. testdata has what the real server shows for them.
var scripts = []struct {
	name string
	run  func(x *transcript)
}{
	{"create", scriptCreate},
	{"create_raw", scriptCreateRaw},
	{"sequence", scriptSequence},
	{"data", scriptData},
	{"delete", scriptDelete},
	{"children", scriptChildren},
	{"watch_once", scriptWatchOnce},
	{"watch_order", scriptWatchOrder},
	{"watch_persistent", scriptWatchPersistent},
	{"watch_recursive", scriptWatchRecursive},
	{"watch_remove", scriptWatchRemove},
	{"watch_restore", scriptWatchRestore},
	{"watch_reconnect", scriptWatchReconnect},
	{"multi", scriptMulti},
	{"multi_raw", scriptMultiRaw},
	{"multi_read", scriptMultiRead},
	{"acl", scriptACL},
	{"acl_raw", scriptACLRaw},
	{"ephemeral_close", scriptEphemeralClose},
	{"ephemeral_expiry", scriptEphemeralExpiry},
	{"session", scriptSession},
	{"session_client", scriptSessionClient},
	{"queries", scriptQueries},
	{"malformed", scriptMalformed},
	{"frames", scriptFrames},
	{"removable", scriptRemovable},
	{"words", scriptWords},
}

// TestEmbeddedShowsWhatZooKeeperShows compares the embedded server with the
// recorded transcripts of the real one, so it needs no Java.
func TestEmbeddedShowsWhatZooKeeperShows(t *testing.T) {
	server := zktest.StartDev(t, devserver.Config{ReapInterval: 500 * time.Millisecond})
	compare(t, server.Addr())
}

// TestEmbeddedWithDataDirShowsWhatZooKeeperShows is the same with a journal.
func TestEmbeddedWithDataDirShowsWhatZooKeeperShows(t *testing.T) {
	server := zktest.StartDev(t, devserver.Config{ReapInterval: 500 * time.Millisecond, DataDir: t.TempDir(), SnapshotBytes: 4096})
	compare(t, server.Addr())
}

// TestZooKeeperShowsWhatWasRecorded keeps the transcripts honest.
func TestZooKeeperShowsWhatWasRecorded(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a Java process")
	}
	compare(t, zktest.Real(t))
}

func compare(t *testing.T, addr string) {
	for _, script := range scripts {
		t.Run(script.name, func(t *testing.T) {
			x := newTranscript(t, addr)
			script.run(x)
			got := strings.Join(x.lines, "\n") + "\n"
			path := filepath.Join("testdata", script.name+".txt")
			if *update && strings.HasPrefix(t.Name(), "TestZooKeeper") {
				require.NoError(t, os.MkdirAll("testdata", 0o755))
				require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, string(want), got, "transcript differs from the real server's")
		})
	}
}

func showSorted(d *wire.Decoder) string {
	items := d.Strings()
	slices.Sort(items)
	return strings.Join(items, ",")
}
