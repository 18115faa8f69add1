package zktest_test

import (
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	"baton/zkclient/devserver/wire"
)

func scriptMulti(x *transcript) {
	c := x.connect(30 * time.Second)
	anyone := zk.WorldACL(zk.PermAll)
	_, err := c.Create("/multi", []byte("x"), 0, anyone)
	require.NoError(x.t, err)
	try := func(why string, ops ...any) {
		results, err := c.Multi(ops...)
		x.logf("%s: %s", why, result(err))
		for i, r := range results {
			x.logf("  %d: %q %s %s", i, r.String, x.zkStat(r.Stat), result(r.Error))
		}
		_, stat, err := c.Exists("/multi")
		x.logf("  parent %s %s", x.zkStat(stat), result(err))
	}
	try("all succeed",
		&zk.CreateRequest{Path: "/multi/a", Data: []byte("a"), Acl: anyone},
		&zk.CreateRequest{Path: "/multi/seq", Acl: anyone, Flags: zk.FlagSequence},
		&zk.CreateRequest{Path: "/multi/eph", Acl: anyone, Flags: zk.FlagEphemeral},
		&zk.SetDataRequest{Path: "/multi/a", Data: []byte("aa"), Version: 0},
		&zk.CheckVersionRequest{Path: "/multi/a", Version: 1},
		&zk.DeleteRequest{Path: "/multi/eph", Version: -1})
	try("the last fails",
		&zk.CreateRequest{Path: "/multi/b", Acl: anyone},
		&zk.SetDataRequest{Path: "/multi/a", Data: []byte("never"), Version: 1},
		&zk.DeleteRequest{Path: "/multi/a", Version: -1},
		&zk.CreateRequest{Path: "/multi/a", Acl: anyone},
		&zk.CheckVersionRequest{Path: "/multi", Version: 5})
	try("the first fails",
		&zk.CheckVersionRequest{Path: "/multi", Version: 5},
		&zk.SetDataRequest{Path: "/multi/a", Data: []byte("never"), Version: 1},
		&zk.CreateRequest{Path: "/multi/b", Acl: anyone})
	try("sees its own changes",
		&zk.CreateRequest{Path: "/multi/d", Acl: anyone},
		&zk.CreateRequest{Path: "/multi/d/e", Acl: anyone},
		&zk.DeleteRequest{Path: "/multi/d/e", Version: 0},
		&zk.DeleteRequest{Path: "/multi/d", Version: 0})
	try("not empty",
		&zk.CreateRequest{Path: "/multi/d", Acl: anyone},
		&zk.CreateRequest{Path: "/multi/d/e", Acl: anyone},
		&zk.DeleteRequest{Path: "/multi/d", Version: 0})
	try("below an ephemeral",
		&zk.CreateRequest{Path: "/multi/eph", Acl: anyone, Flags: zk.FlagEphemeral},
		&zk.CreateRequest{Path: "/multi/eph/x", Acl: anyone})
	try("of nothing")
	data, stat, err := c.Get("/multi/a")
	x.logf("a: %q %s %s", data, x.zkStat(stat), result(err))
	kids, _, err := c.Children("/multi")
	x.logf("children: %d %s", len(kids), result(err))
}

func scriptMultiRaw(x *transcript) {
	r := x.open("r")
	r.do("create", wire.OpCreate, create("/multi_raw", "", 0), x.showPath)
	r.do("every kind", wire.OpMulti, multi(
		multiOp{wire.OpCreate, create("/multi_raw/a", "1", 0)},
		multiOp{wire.OpCreate2, create("/multi_raw/b", "2", 2)},
		multiOp{wire.OpCreateContainer, create("/multi_raw/c", "2", 4)},
		multiOp{wire.OpCreateTTL, createTTL("/multi_raw/d", 5, 1000000)},
		multiOp{wire.OpSetData, setData("/multi_raw/a", "3", 0)},
		multiOp{wire.OpCheck, pathVersion("/multi_raw/a", 1)},
		multiOp{wire.OpDelete, pathVersion("/multi_raw/c", -1)}), x.showMulti)
	r.do("fails in the middle", wire.OpMulti, multi(
		multiOp{wire.OpCreate2, create("/multi_raw/e", "1", 0)},
		multiOp{wire.OpCheck, pathVersion("/multi_raw/a", 7)},
		multiOp{wire.OpDelete, pathVersion("/multi_raw/none", -1)}), x.showMulti)
	r.do("rolled back", wire.OpExists, pathWatch("/multi_raw/e", false), x.showStat)
	r.do("rolled back", wire.OpGetData, pathWatch("/multi_raw", false), x.showData)
	r.do("an operation that is not for multi", wire.OpMulti, multi(multiOp{wire.OpSetACL, setACL("/multi_raw", world, -1)}), x.showMulti)
	r.do("a read", wire.OpMulti, multi(multiOp{wire.OpGetData, pathWatch("/multi_raw", false)}), x.showMulti)
	r.do("cut off", wire.OpMulti, func(e *wire.Encoder) {
		e.MultiHeader(wire.MultiHeader{Op: wire.OpDelete, Err: -1})
		e.String("/multi_raw/a")
	}, x.showMulti)
	r.do("no end", wire.OpMulti, func(e *wire.Encoder) {
		e.MultiHeader(wire.MultiHeader{Op: wire.OpDelete, Err: -1})
		pathVersion("/multi_raw/a", -1)(e)
	}, x.showMulti)
	r.do("nothing", wire.OpMulti, multi(), x.showMulti)
	r.do("still there", wire.OpExists, pathWatch("/multi_raw/a", false), x.showStat)
	r.do("check alone", wire.OpCheck, pathVersion("/multi_raw/a", 9), nil)
	r.do("check alone", wire.OpCheck, pathVersion("/multi_raw/none", 9), nil)
	r.do("after", wire.OpExists, pathWatch("/multi_raw", false), x.showStat)
}

func scriptMultiRead(x *transcript) {
	r := x.open("r")
	r.do("create", wire.OpCreate, create("/multi_read", "data", 0), x.showPath)
	r.do("create", wire.OpCreate, create("/multi_read/kid", "", 0), x.showPath)
	r.do("create", wire.OpCreate, createACL("/multi_read/secret", "", 0, []wire.ACL{{Perms: 30, Scheme: "world", ID: "anyone"}}), x.showPath)
	r.do("read", wire.OpMultiRead, multi(
		multiOp{wire.OpGetData, pathWatch("/multi_read", false)},
		multiOp{wire.OpGetChildren, pathWatch("/multi_read", false)},
		multiOp{wire.OpGetData, pathWatch("/multi_read/none", false)},
		multiOp{wire.OpGetData, pathWatch("/multi_read/secret", false)},
		multiOp{wire.OpGetChildren, pathWatch("/multi_read/kid", false)}), x.showMulti)
	r.do("nothing", wire.OpMultiRead, multi(), x.showMulti)
	r.do("a write", wire.OpMultiRead, multi(multiOp{wire.OpExists, pathWatch("/multi_read", false)}), x.showMulti)
}
