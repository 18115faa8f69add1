package ensemble

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFindNamesWhatIsMissing(t *testing.T) {
	dir := t.TempDir()
	java := filepath.Join(dir, "bin", "java")
	require.NoError(t, os.MkdirAll(filepath.Dir(java), 0o700))
	require.NoError(t, os.WriteFile(java, nil, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, zookeeperJar), nil, 0o600))
	_, err := find(dir, dir)
	require.ErrorIs(t, err, ErrNotInstalled)
	require.ErrorContains(t, err, filepath.Join(dir, loggingJar)+" missing; on Debian run: apt-get install zookeeper libslf4j-java")
	require.NotContains(t, err.Error(), zookeeperJar)
	require.NotContains(t, err.Error(), "Java runtime")

	t.Setenv("PATH", t.TempDir())
	_, err = find(dir, "")
	require.ErrorContains(t, err, "a Java runtime")

	require.NoError(t, os.WriteFile(filepath.Join(dir, loggingJar), nil, 0o600))
	found, err := find(dir, dir)
	require.NoError(t, err)
	require.Equal(t, Installation{Java: java, ClassPath: []string{filepath.Join(dir, zookeeperJar), filepath.Join(dir, loggingJar)}}, found)
}

func TestModes(t *testing.T) {
	for text, want := range map[string]Mode{
		"":                     ModeUnknown,
		"Zookeeper version: 3": ModeUnknown,
		"This ZooKeeper instance is not currently serving requests\n": ModeNoQuorum,
		"Zxid: 0x0\nMode: leader\nNode count: 5\n":                    ModeLeader,
		"Mode: standalone\n": ModeStandalone,
		"Mode: follower":     ModeFollower,
	} {
		require.Equal(t, want, parseMode(text), text)
	}
	require.False(t, ModeNoQuorum.Serves())
	require.True(t, ModeFollower.Serves())
}

// TestPortsDoNotMeet checks the ports of a demo at one base: the nodes' are 1,
// 3 and 9 above each ten.
func TestPortsDoNotMeet(t *testing.T) {
	taken := map[int]string{}
	for i := range 9 {
		for _, p := range []int{1, 3, 9} {
			taken[100+10*i+p] = "node"
		}
	}
	for _, p := range PortsOf(100, serversMax) {
		require.Empty(t, taken[p.Number], p)
		taken[p.Number] = p.Use
	}
	require.Equal(t, []Port{{100, "clients of ZooKeeper server 1"}}, PortsOf(100, 1))
}
