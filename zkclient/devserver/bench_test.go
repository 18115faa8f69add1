package devserver_test

import (
	"testing"
	"time"

	"baton/zkclient/devserver"
	"baton/zkclient/devserver/wire"
)

// BenchmarkSet is the round trip of one client's write.
func BenchmarkSet(b *testing.B) {
	run := func(b *testing.B, cfg devserver.Config) {
		s := start(b, cfg)
		c := connect(b, s.Addr(), time.Minute)
		if err := c.net.SetDeadline(time.Time{}); err != nil {
			b.Fatal(err)
		}
		c.must(wire.OpCreate, create("/a", nil, 0))
		data := make([]byte, 100)
		for b.Loop() {
			c.must(wire.OpSetData, setData("/a", data))
		}
	}
	b.Run("memory", func(b *testing.B) { run(b, devserver.Config{}) })
	b.Run("synced", func(b *testing.B) { run(b, devserver.Config{DataDir: b.TempDir()}) })
}
