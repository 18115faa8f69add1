package zktest_test

import (
	"slices"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	"baton/zkclient/devserver/wire"
)

func scriptCreate(x *transcript) {
	c := x.connect(30 * time.Second)
	x.session(c.SessionID())
	anyone := zk.WorldACL(zk.PermAll)
	make := func(path string, data string, flags int32) string {
		got, err := c.Create(path, []byte(data), flags, anyone)
		x.logf("create %s flags=%d: %q %s", path, flags, got, result(err))
		return got
	}
	make("/create", "root of the script", 0)
	_, stat, err := c.Get("/create")
	require.NoError(x.t, err)
	x.logf("stat %s", x.zkStat(stat))
	make("/create", "", 0)
	make("/create/plain", "", 0)
	make("/create/eph", "e", zk.FlagEphemeral)
	make("/create/eph/child", "", 0)
	make("/create/seq-", "s", zk.FlagSequence)
	make("/create/seq-", "s", zk.FlagSequence)
	make("/create/eseq-", "s", zk.FlagEphemeral|zk.FlagSequence)
	make("/create/", "", zk.FlagSequence)
	make("/create/missing/child", "", 0)
	make("/create/container", "", zk.FlagTTL)
	for _, path := range []string{"/create/eph", "/create/seq-0000000002", "/create/eseq-0000000004", "/create"} {
		data, stat, err := c.Get(path)
		x.logf("get %s: %q %s %s", path, data, x.zkStat(stat), result(err))
	}
	path, err := c.CreateContainer("/create/box", []byte("b"), zk.FlagTTL, anyone)
	x.logf("container: %s %s", path, result(err))
	_, stat, err = c.Get("/create/box")
	x.logf("container: %s %s", x.zkStat(stat), result(err))
	path, err = c.CreateTTL("/create/timed", []byte("b"), zk.FlagTTL|zk.FlagEphemeral, anyone, time.Hour)
	x.logf("timed: %s %s", path, result(err))
	_, stat, err = c.Exists("/create/timed")
	x.logf("timed: owner hides=%v %s", stat != nil && stat.EphemeralOwner == 0, result(err))
	protected, err := c.CreateProtectedEphemeralSequential("/create/lock-", nil, anyone)
	require.NoError(x.t, err)
	x.logf("protected: %s", protected[len(protected)-len("-lock-0000000000"):])
	kids, stat, err := c.Children("/create")
	slices.Sort(kids)
	kids = slices.DeleteFunc(kids, func(k string) bool { return strings.HasPrefix(k, "_c_") })
	x.logf("children: %v %s %s", kids, x.zkStat(stat), result(err))
}

func scriptCreateRaw(x *transcript) {
	r := x.open("r")
	show := x.showPathStat
	r.do("create", wire.OpCreate, create("/create_raw", "x", 0), x.showPath)
	r.do("create2", wire.OpCreate2, create("/create_raw/two", "x", 0), show)
	r.do("null data", wire.OpCreate2, func(e *wire.Encoder) {
		e.String("/create_raw/null")
		e.Buffer(nil)
		e.ACLs(world)
		e.Int32(0)
	}, show)
	r.do("get null", wire.OpGetData, pathWatch("/create_raw/null", false), x.showData)
	r.do("get empty", wire.OpGetData, pathWatch("/create_raw/two", false), x.showData)
	r.do("container op", wire.OpCreateContainer, create("/create_raw/box", "", 4), show)
	r.do("container op, plain mode", wire.OpCreateContainer, create("/create_raw/box2", "", 0), show)
	r.do("container mode, plain op", wire.OpCreate, create("/create_raw/box3", "", 4), x.showPath)
	for _, mode := range []int32{5, 7, 8, -1, 99} {
		r.do("bad mode", wire.OpCreate, create("/create_raw/bad", "", mode), x.showPath)
	}
	for _, ttl := range []int64{0, -1, 1000000, 1<<40 - 1, 1 << 40} {
		r.do("time to live", wire.OpCreateTTL, createTTL("/create_raw/timed-", 6, ttl), func(d *wire.Decoder) string { return d.String() })
	}
	r.do("time to live, plain mode", wire.OpCreateTTL, createTTL("/create_raw/timed", 0, 1000), show)
	for _, path := range []string{
		"", "/", "x", "create_raw/x", "/create_raw/", "//create_raw", "/create_raw//x", "/create_raw/.", "/create_raw/../x",
		"/create_raw/a\x00b", "/create_raw/a\x01b", "/create_raw/a\x7fb", "/create_raw/a\u0085b", "/create_raw/\ue000", "/create_raw/\ufffd",
		"/create_raw/é", "/create_raw/a b", "/create_raw/…", "/create_raw/😀", "/create_raw/...", "/zookeeper/mine", "/zookeeper", "/create_raw/two",
	} {
		r.do("path "+strings.ReplaceAll(path, "\x00", "NUL"), wire.OpCreate, create(path, "", 0), x.showPath)
	}
	r.do("sequence at a slash", wire.OpCreate, create("/create_raw/", "", 2), x.showPath)
	r.do("sequence below an ephemeral", wire.OpCreate, create("/create_raw/eph", "", 1), x.showPath)
	r.do("sequence below an ephemeral", wire.OpCreate, create("/create_raw/eph/", "", 2), x.showPath)
	r.do("existing below an ephemeral", wire.OpCreate, create("/create_raw/eph", "", 2), x.showPath)
	r.do("stat", wire.OpExists, pathWatch("/create_raw", false), x.showStat)
}

func scriptSequence(x *transcript) {
	c := x.connect(30 * time.Second)
	anyone := zk.WorldACL(zk.PermAll)
	_, err := c.Create("/sequence", nil, 0, anyone)
	require.NoError(x.t, err)
	next := func(why string) {
		got, err := c.Create("/sequence/n", nil, zk.FlagSequence, anyone)
		_, stat, statErr := c.Exists("/sequence")
		x.logf("%s: %s %s; parent %s %s", why, got, result(err), x.zkStat(stat), result(statErr))
	}
	next("first")
	next("second")
	x.logf("delete: %s", result(c.Delete("/sequence/n0000000000", -1)))
	next("after a delete")
	_, err = c.Create("/sequence/plain", nil, 0, anyone)
	x.logf("plain: %s", result(err))
	next("after a plain create")
	_, err = c.Create("/sequence/plain", nil, 0, anyone)
	x.logf("failing: %s", result(err))
	next("after a failing create")
	_, err = c.Set("/sequence", []byte("x"), -1)
	x.logf("set: %s", result(err))
	next("after a set of the parent")
	_, err = c.Multi(&zk.CreateRequest{Path: "/sequence/m", Acl: anyone, Flags: zk.FlagSequence},
		&zk.CreateRequest{Path: "/sequence/m", Acl: anyone, Flags: zk.FlagSequence}, &zk.CheckVersionRequest{Path: "/sequence/none", Version: 0})
	x.logf("failing multi: %s", result(err))
	next("after a failing multi")
}

func scriptData(x *transcript) {
	c := x.connect(30 * time.Second)
	anyone := zk.WorldACL(zk.PermAll)
	_, err := c.Create("/data", []byte("zero"), 0, anyone)
	require.NoError(x.t, err)
	for _, version := range []int32{0, 0, 1, -1, 7, -2} {
		stat, err := c.Set("/data", []byte("version "+time.Duration(version).String()), version)
		x.logf("set at %d: %s %s", version, x.zkStat(stat), result(err))
	}
	data, stat, err := c.Get("/data")
	x.logf("get: %q %s %s", data, x.zkStat(stat), result(err))
	stat, err = c.Set("/data", nil, -1)
	x.logf("set to null: %s %s", x.zkStat(stat), result(err))
	_, err = c.Set("/data/missing", nil, -1)
	x.logf("set of a missing node: %s", result(err))
	_, _, err = c.Get("/data/missing")
	x.logf("get of a missing node: %s", result(err))
	_, stat, err = c.Exists("/data/missing")
	x.logf("exists of a missing node: %v %s", stat != nil && stat.Czxid != 0, result(err))
	got, err := c.Sync("/data")
	x.logf("sync: %s %s", got, result(err))
	got, err = c.Sync("/data/missing")
	x.logf("sync of a missing node: %s %s", got, result(err))
	big := strings.Repeat("x", 1000000)
	stat, err = c.Set("/data", []byte(big), -1)
	x.logf("a megabyte: %s %s", x.zkStat(stat), result(err))
	data, _, err = c.Get("/data")
	x.logf("a megabyte: %v %s", string(data) == big, result(err))
}

func scriptDelete(x *transcript) {
	c := x.connect(30 * time.Second)
	anyone := zk.WorldACL(zk.PermAll)
	for _, path := range []string{"/delete", "/delete/a", "/delete/a/b"} {
		_, err := c.Create(path, nil, 0, anyone)
		require.NoError(x.t, err)
	}
	try := func(path string, version int32) {
		x.logf("delete %s at %d: %s", path, version, result(c.Delete(path, version)))
	}
	try("/delete/a", -1)
	try("/delete/a/b", 1)
	try("/delete/a", 1)
	try("/delete/a/b", 0)
	try("/delete/a/b", 0)
	try("/delete/a/b/c", -1)
	_, stat, err := c.Exists("/delete/a")
	x.logf("stat %s %s", x.zkStat(stat), result(err))
	try("/delete/a", -1)
	try("/", -1)
	try("/zookeeper", -1)
	try("/zookeeper/quota", -1)
	try("/zookeeper/config", -1)
	_, stat, err = c.Exists("/delete")
	x.logf("stat %s %s", x.zkStat(stat), result(err))
	r := x.open("r")
	for _, path := range []string{"", "x", "/delete/", "/delete//x", "/a\x00"} {
		r.do("path "+strings.ReplaceAll(path, "\x00", "NUL"), wire.OpDelete, pathVersion(path, -1), nil)
	}
}

func scriptChildren(x *transcript) {
	c := x.connect(30 * time.Second)
	anyone := zk.WorldACL(zk.PermAll)
	_, err := c.Create("/children", nil, 0, anyone)
	require.NoError(x.t, err)
	show := func(why, path string) {
		kids, stat, err := c.Children(path)
		slices.Sort(kids)
		x.logf("%s: %v %s %s", why, kids, x.zkStat(stat), result(err))
	}
	show("empty", "/children")
	for _, path := range []string{"/children/b", "/children/a", "/children/a/x"} {
		_, err := c.Create(path, nil, 0, anyone)
		require.NoError(x.t, err)
	}
	show("two", "/children")
	show("one below", "/children/a")
	_, err = c.Set("/children/a", []byte("x"), -1)
	require.NoError(x.t, err)
	show("after a set of a child", "/children")
	require.NoError(x.t, c.Delete("/children/b", -1))
	show("after a delete", "/children")
	show("missing", "/children/none")
	show("zookeeper", "/zookeeper")
	_, stat, err := c.Exists("/zookeeper/quota")
	x.logf("quota %s %s", x.zkStat(stat), result(err))
	data, stat, err := c.Get("/zookeeper/config")
	x.logf("config %q %s %s", data, x.zkStat(stat), result(err))
	rules, _, err := c.GetACL("/zookeeper/config")
	x.logf("config %v %s", rules, result(err))
	rules, _, err = c.GetACL("/zookeeper")
	x.logf("zookeeper %v %s", rules, result(err))
	r := x.open("r")
	r.do("getChildren", wire.OpGetChildren, pathWatch("/children", false), showSorted)
	r.do("getChildren2", wire.OpGetChildren2, pathWatch("/children", false), func(d *wire.Decoder) string {
		return showSorted(d) + " " + x.showStat(d)
	})
	r.do("getChildren of none", wire.OpGetChildren, pathWatch("/children/none", true), showSorted)
	r.do("create none", wire.OpCreate, create("/children/none", "", 0), x.showPath)
	r.do("bad path", wire.OpGetChildren, pathWatch("children", false), showSorted)
	r.do("bad path", wire.OpGetData, pathWatch("/children/", false), x.showData)
}
