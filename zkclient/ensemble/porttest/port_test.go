package porttest_test

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/zkclient/ensemble/porttest"
)

// asChild is the environment variable that makes the test binary reserve ports
// until its standard input ends.
const asChild = "BATON_TEST_PORTS"

func TestPortsAreOnesOwn(t *testing.T) {
	if os.Getenv(asChild) != "" {
		t.Skip("a child reserves only what it is asked for")
	}
	seen := map[int]bool{}
	for range 300 {
		base := porttest.Base(t, 12)
		for p := base; p < base+12; p++ {
			require.False(t, seen[p], "%d was given twice", p)
			seen[p] = true
		}
	}
	for range 300 {
		address, err := net.ResolveTCPAddr("tcp", porttest.Address(t))
		require.NoError(t, err)
		require.False(t, seen[address.Port])
		seen[address.Port] = true
	}
}

func TestPortsOfAnotherProcess(t *testing.T) {
	if os.Getenv(asChild) != "" {
		var all []string
		for range 200 {
			all = append(all, porttest.Address(t))
		}
		os.Stdout.WriteString("has " + strings.Join(all, " ") + "\n")
		_, _ = os.Stdin.Read(make([]byte, 1)) // until the parent has looked
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestPortsOfAnotherProcess$")
	cmd.Env = append(os.Environ(), asChild+"=1")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	b := make([]byte, 200*len("127.0.0.1:12000 ")+len("has "))
	n := 0
	for n < len(b) {
		k, err := out.Read(b[n:])
		require.NoError(t, err)
		n += k
	}
	theirs := strings.Fields(string(b))
	require.Equal(t, "has", theirs[0])
	for range 300 {
		require.NotContains(t, theirs, porttest.Address(t))
	}
	require.NoError(t, in.Close())
	require.NoError(t, cmd.Wait())
}
