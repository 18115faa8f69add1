package nodetest_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/node"
	"baton/node/adminapi"
	"baton/node/nodetest"
	"baton/store/vfs"
)

// hangTimeout is the election timeout of nodes whose disks hang: a multiple of
// it is how long a flush may take.
const hangTimeout = 600 * time.Millisecond

// disks lets a test break the disk of any node.
type disks struct {
	mu   sync.Mutex
	sync map[string]func() error // by node: called before each sync; nil does nothing
}

func (d *disks) edit(cfg *node.Config) {
	id := cfg.ID
	cfg.ElectionTimeout = hangTimeout
	cfg.FS = vfs.NewHook(vfs.OS{}, func(op vfs.Op) error {
		d.mu.Lock()
		f := d.sync[id]
		d.mu.Unlock()
		if op.Kind == vfs.OpSync && f != nil {
			return f()
		}
		return nil
	})
}

// hang makes every sync of a node wait until the function returned is called.
func (d *disks) hang(id string) (release func()) {
	gate := make(chan struct{})
	d.set(id, func() error { <-gate; return nil })
	return sync.OnceFunc(func() {
		d.set(id, nil)
		close(gate)
	})
}

func (d *disks) set(id string, f func() error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.sync == nil {
		d.sync = map[string]func() error{}
	}
	d.sync[id] = f
}

func TestLeaderWhoseDiskHangsResigns(t *testing.T) {
	beyondShort(t)
	var d disks
	c := nodetest.Start(t, nodetest.Config{Edit: d.edit})
	old := c.Healthy()
	orders := c.Traffic("orders")
	stop := orders.Produce(2)
	orders.AwaitReceipts(20)
	release := d.hang(old)
	defer release()
	why := c.AwaitEvent(old, adminapi.KindResigned, nil)
	require.Contains(t, why.Text, "the disk of "+old+" has not finished a flush for ")
	leader := newLeader(c, old)
	orders.AwaitReceipts(50)
	release()
	require.Equal(t, leader, c.Healthy())
	stop()
	c.Settled()
	orders.ExactlyOnce()
}

// Alone with one follower it goes on as well as it can: to resign would help
// nobody.
func TestLeaderWhoseDiskHangsStaysIfNobodyElseCan(t *testing.T) {
	beyondShort(t)
	var d disks
	c := nodetest.Start(t, nodetest.Config{Edit: d.edit})
	leader := c.Healthy()
	orders := c.Traffic("orders")
	orders.Send(20)
	c.Stop(c.Followers(leader)[0])
	release := d.hang(leader)
	defer release()
	stop := orders.Produce(1)
	since := time.Now()
	c.Until("the disk has hung for long", func() string {
		if time.Since(since) < 5*hangTimeout {
			return "not yet"
		}
		return ""
	})
	require.Empty(t, c.Events(leader, adminapi.KindResigned))
	release()
	orders.AwaitReceipts(5)
	stop()
	orders.ExactlyOnce()
}
