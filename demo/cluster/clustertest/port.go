package clustertest

import (
	"net"
	"os"
	"strconv"
	"testing"
)

// FreeBase returns a base port whose ports up to +50 are free, from a range
// that depends on the process so that test binaries do not meet. The kernel
// gives none of them to dialled connections: they lie below its range.
func FreeBase(t *testing.T) int {
	t.Helper()
	for try := range 150 {
		base := 20000 + (os.Getpid()*7+try)%180*60
		free := true
		for p := base; p <= base+50 && free; p++ {
			ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p)))
			if free = err == nil; free {
				ln.Close()
			}
		}
		if free {
			return base
		}
	}
	t.Fatal("no free ports")
	return 0
}
