package zktest_test

import (
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	"baton/zkclient/zktest"
)

func TestSmoke(t *testing.T) {
	addr := zktest.Dev(t)
	c, _, err := zk.Connect([]string{addr}, time.Second, zk.WithLogInfo(false))
	require.NoError(t, err)
	p, err := c.Create("/a", []byte("x"), 0, zk.WorldACL(31))
	require.NoError(t, err)
	require.Equal(t, "/a", p)
	for _, w := range []string{"ruok", "srvr", "stat", "mntr", "cons", "dump", "conf", "envi", "wchs", "isro", "wchc"} {
		s, err := zktest.Word(addr, w, time.Second)
		t.Logf("%s %v\n%s", w, err, s)
	}
	c.Close()
}
