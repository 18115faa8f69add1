package zktest_test

import (
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	"baton/zkclient/devserver/wire"
)

func scriptWatchOnce(x *transcript) {
	c, other := x.connect(30*time.Second), x.connect(30*time.Second)
	anyone := zk.WorldACL(zk.PermAll)
	_, err := c.Create("/watch_once", nil, 0, anyone)
	require.NoError(x.t, err)
	_, _, missing, err := c.ExistsW("/watch_once/a")
	require.NoError(x.t, err)
	_, _, kids, err := c.ChildrenW("/watch_once")
	require.NoError(x.t, err)
	_, err = other.Create("/watch_once/a", nil, 0, anyone)
	require.NoError(x.t, err)
	x.event("exists", missing)
	x.event("children", kids)

	_, _, data, err := c.GetW("/watch_once/a")
	require.NoError(x.t, err)
	_, _, exists, err := c.ExistsW("/watch_once/a")
	require.NoError(x.t, err)
	_, _, kids, err = c.ChildrenW("/watch_once/a")
	require.NoError(x.t, err)
	_, err = other.Set("/watch_once/a", []byte("1"), -1)
	require.NoError(x.t, err)
	x.event("data", data)
	x.event("exists", exists)
	_, _, data, err = c.GetW("/watch_once/a")
	require.NoError(x.t, err)
	require.NoError(x.t, other.Delete("/watch_once/a", -1))
	x.event("data", data)
	x.event("children", kids)

	_, _, _, err = c.GetW("/watch_once/a")
	x.logf("getW of a missing node: %s", result(err))
	_, _, data, err = c.GetW("/watch_once")
	require.NoError(x.t, err)
	_, err = other.Create("/watch_once/b", nil, 0, anyone)
	require.NoError(x.t, err)
	_, err = other.SetACL("/watch_once", anyone, -1)
	require.NoError(x.t, err)
	_, err = c.Sync("/")
	require.NoError(x.t, err)
	x.quiet("a data watch of children and ACL", data)
}

// scriptWatchOrder looks at the order of events and answers on one connection.
func scriptWatchOrder(x *transcript) {
	r := x.open("r")
	r.do("create", wire.OpCreate, create("/watch_order", "", 0), x.showPath)
	r.do("exists, missing", wire.OpExists, pathWatch("/watch_order/a", true), x.showStat)
	r.do("children", wire.OpGetChildren, pathWatch("/watch_order", true), showSorted)
	r.do("create", wire.OpCreate, create("/watch_order/a", "", 0), x.showPath)
	r.do("create once more", wire.OpCreate, create("/watch_order/b", "", 0), x.showPath)
	r.do("data", wire.OpGetData, pathWatch("/watch_order/a", true), x.showData)
	r.do("exists too", wire.OpExists, pathWatch("/watch_order/a", true), x.showStat)
	r.do("children too", wire.OpGetChildren2, pathWatch("/watch_order/a", true), nil)
	r.do("parent's children", wire.OpGetChildren2, pathWatch("/watch_order", true), nil)
	r.do("delete", wire.OpDelete, pathVersion("/watch_order/a", -1), nil)
	r.do("create again", wire.OpCreate, create("/watch_order/a", "", 0), x.showPath)
	r.do("data", wire.OpGetData, pathWatch("/watch_order/a", true), x.showData)
	r.do("data of b", wire.OpGetData, pathWatch("/watch_order/b", true), x.showData)
	r.do("children", wire.OpGetChildren, pathWatch("/watch_order", true), showSorted)
	r.do("failing set", wire.OpSetData, setData("/watch_order/a", "x", 9), x.showStat)
	r.do("failing multi", wire.OpMulti, multi(
		multiOp{wire.OpSetData, setData("/watch_order/a", "x", -1)}, multiOp{wire.OpDelete, pathVersion("/none", -1)}), x.showMulti)
	r.do("multi", wire.OpMulti, multi(
		multiOp{wire.OpSetData, setData("/watch_order/b", "x", -1)},
		multiOp{wire.OpSetData, setData("/watch_order/a", "x", -1)},
		multiOp{wire.OpCreate, create("/watch_order/c", "x", 0)}), x.showMulti)
	r.do("ping after all", wire.OpExists, pathWatch("/watch_order", false), x.showStat)

	// A client that does not wait sees its answers in the order of its requests,
	// each event before the answer that follows it.
	r.do("children", wire.OpGetChildren, pathWatch("/watch_order", true), showSorted)
	first := r.send(wire.OpExists, pathWatch("/watch_order/p", true))
	r.send(wire.OpCreate, create("/watch_order/p", "", 0))
	r.send(wire.OpGetData, pathWatch("/watch_order/p", true))
	r.send(wire.OpSetData, setData("/watch_order/p", "x", -1))
	last := r.send(wire.OpDelete, pathVersion("/watch_order/p", -1))
	for xid := first; xid <= last; xid++ {
		r.until("pipelined", xid, nil)
	}
}

func addWatch(path string, mode int32) func(*wire.Encoder) { return pathVersion(path, mode) }

func scriptWatchPersistent(x *transcript) {
	r := x.open("r")
	code := func(d *wire.Decoder) string { return "code=" + time.Duration(d.Int32()).String() }
	r.do("create", wire.OpCreate, create("/watch_persistent", "", 0), x.showPath)
	r.do("watch", wire.OpAddWatch, addWatch("/watch_persistent", 0), code)
	r.do("watch a missing node", wire.OpAddWatch, addWatch("/watch_persistent/a/b", 0), code)
	r.do("set", wire.OpSetData, setData("/watch_persistent", "1", -1), x.showStat)
	r.do("set", wire.OpSetData, setData("/watch_persistent", "2", -1), x.showStat)
	r.do("child", wire.OpCreate, create("/watch_persistent/a", "", 0), x.showPath)
	r.do("grandchild", wire.OpCreate, create("/watch_persistent/a/b", "", 0), x.showPath)
	r.do("set grandchild", wire.OpSetData, setData("/watch_persistent/a/b", "2", -1), x.showStat)
	r.do("delete grandchild", wire.OpDelete, pathVersion("/watch_persistent/a/b", -1), nil)
	r.do("delete child", wire.OpDelete, pathVersion("/watch_persistent/a", -1), nil)
	r.do("delete", wire.OpDelete, pathVersion("/watch_persistent", -1), nil)
	r.do("create", wire.OpCreate, create("/watch_persistent", "", 0), x.showPath)
	r.do("unknown mode", wire.OpAddWatch, addWatch("/watch_persistent", 7), code)
}

func scriptWatchRecursive(x *transcript) {
	r := x.open("r")
	r.do("create", wire.OpCreate, create("/watch_recursive", "", 0), x.showPath)
	r.do("watch", wire.OpAddWatch, addWatch("/watch_recursive", 1), nil)
	r.do("set", wire.OpSetData, setData("/watch_recursive", "1", -1), x.showStat)
	r.do("child", wire.OpCreate, create("/watch_recursive/a", "", 0), x.showPath)
	r.do("grandchild", wire.OpCreate, create("/watch_recursive/a/b", "", 0), x.showPath)
	r.do("child watch below", wire.OpGetChildren, pathWatch("/watch_recursive/a", true), showSorted)
	r.do("data watch below", wire.OpGetData, pathWatch("/watch_recursive/a/b", true), x.showData)
	r.do("set grandchild", wire.OpSetData, setData("/watch_recursive/a/b", "2", -1), x.showStat)
	r.do("delete grandchild", wire.OpDelete, pathVersion("/watch_recursive/a/b", -1), nil)
	r.do("sibling with the same beginning", wire.OpCreate, create("/watch_recursive2", "", 0), x.showPath)
	r.do("delete child", wire.OpDelete, pathVersion("/watch_recursive/a", -1), nil)
	r.do("delete", wire.OpDelete, pathVersion("/watch_recursive", -1), nil)
	other := x.open("other")
	other.do("watch the root", wire.OpAddWatch, addWatch("/", 1), nil)
	r.do("create", wire.OpCreate, create("/watch_recursive3", "", 0), x.showPath)
	other.event()
	r.do("set", wire.OpSetData, setData("/watch_recursive3", "", -1), x.showStat)
	other.event()
}

func scriptWatchRemove(x *transcript) {
	r := x.open("r")
	r.do("create", wire.OpCreate, create("/watch_remove", "", 0), x.showPath)
	check := func(why string) {
		for kind := int32(0); kind <= 3; kind++ {
			r.do(why+": check kind "+time.Duration(kind).String(), wire.OpCheckWatches, pathVersion("/watch_remove", kind), nil)
		}
	}
	check("none")
	r.do("remove nothing", wire.OpRemoveWatches, pathVersion("/watch_remove", 3), nil)
	r.do("data", wire.OpGetData, pathWatch("/watch_remove", true), x.showData)
	check("data")
	r.do("children", wire.OpGetChildren, pathWatch("/watch_remove", true), showSorted)
	check("both")
	r.do("remove data", wire.OpRemoveWatches, pathVersion("/watch_remove", 2), nil)
	check("children")
	r.do("set", wire.OpSetData, setData("/watch_remove", "", -1), x.showStat)
	r.do("remove any", wire.OpRemoveWatches, pathVersion("/watch_remove", 3), nil)
	r.do("create", wire.OpCreate, create("/watch_remove/a", "", 0), x.showPath)
	r.do("persistent", wire.OpAddWatch, addWatch("/watch_remove", 0), nil)
	check("persistent")
	r.do("remove any", wire.OpRemoveWatches, pathVersion("/watch_remove", 3), nil)
	check("removed")
	r.do("recursive", wire.OpAddWatch, addWatch("/watch_remove", 1), nil)
	r.do("set below", wire.OpSetData, setData("/watch_remove/a", "", -1), x.showStat)
	r.do("check below", wire.OpCheckWatches, pathVersion("/watch_remove/a", 3), nil)
	r.do("remove any", wire.OpRemoveWatches, pathVersion("/watch_remove", 3), nil)
	r.do("set below", wire.OpSetData, setData("/watch_remove/a", "", -1), x.showStat)
	r.do("missing node", wire.OpRemoveWatches, pathVersion("/watch_remove/none", 3), nil)
}

func setWatches(seen int64, lists ...[]string) func(*wire.Encoder) {
	return func(e *wire.Encoder) {
		e.Int64(seen)
		for _, list := range lists {
			e.Strings(list)
		}
	}
}

// scriptWatchRestore is what a client says after it has reconnected.
func scriptWatchRestore(x *transcript) {
	r := x.open("r")
	var seen int64
	for _, name := range []string{"", "/changed", "/same", "/deleted", "/children", "/children/old", "/quiet", "/lost"} {
		r.do("create "+name, wire.OpCreate, create("/watch_restore"+name, "", 0), x.showPath)
	}
	r.do("stat", wire.OpGetData, pathWatch("/watch_restore", false), func(d *wire.Decoder) string {
		d.Buffer()
		stat := d.Stat()
		seen = stat.Pzxid // of the last child created
		return x.stat(stat)
	})
	r.do("set", wire.OpSetData, setData("/watch_restore/changed", "1", -1), nil)
	r.do("delete", wire.OpDelete, pathVersion("/watch_restore/deleted", -1), nil)
	r.do("delete", wire.OpDelete, pathVersion("/watch_restore/lost", -1), nil)
	r.do("child", wire.OpCreate, create("/watch_restore/children/new", "", 0), nil)
	r.do("create", wire.OpCreate, create("/watch_restore/appeared", "", 0), nil)
	p := func(names ...string) (paths []string) {
		for _, name := range names {
			paths = append(paths, "/watch_restore/"+name)
		}
		return paths
	}
	xid := int32(-8)
	r.sendAs(xid, wire.OpSetWatches, setWatches(seen, p("changed", "same", "deleted"), p("appeared", "never"), p("children", "quiet", "lost")))
	r.until("set watches", xid, nil)
	r.do("set same", wire.OpSetData, setData("/watch_restore/same", "1", -1), nil)
	r.do("set changed", wire.OpSetData, setData("/watch_restore/changed", "2", -1), nil)
	r.do("create never", wire.OpCreate, create("/watch_restore/never", "2", 0), nil)
	r.do("below quiet", wire.OpCreate, create("/watch_restore/quiet/x", "2", 0), nil)
	r.do("set watches 2", wire.OpSetWatches2, setWatches(seen, nil, nil, nil, p("same"), p("quiet")), nil)
	r.do("set same", wire.OpSetData, setData("/watch_restore/same", "1", -1), nil)
	r.do("set same", wire.OpSetData, setData("/watch_restore/same", "2", -1), nil)
	r.do("below quiet", wire.OpSetData, setData("/watch_restore/quiet/x", "2", -1), nil)
}

// scriptWatchReconnect cuts the connection of a go-zookeeper client below its
// watches; the client sets them again.
func scriptWatchReconnect(x *transcript) {
	proxy := newProxy(x.t, x.addr)
	c, states := x.connectTo(proxy.addr(), 30*time.Second)
	other := x.connect(30 * time.Second)
	anyone := zk.WorldACL(zk.PermAll)
	for _, path := range []string{"/watch_reconnect", "/watch_reconnect/a", "/watch_reconnect/b"} {
		_, err := other.Create(path, nil, 0, anyone)
		require.NoError(x.t, err)
	}
	id := c.SessionID()
	_, _, changed, err := c.GetW("/watch_reconnect/a")
	require.NoError(x.t, err)
	_, _, same, err := c.GetW("/watch_reconnect/b")
	require.NoError(x.t, err)
	_, _, appeared, err := c.ExistsW("/watch_reconnect/c")
	require.NoError(x.t, err)
	_, _, kids, err := c.ChildrenW("/watch_reconnect")
	require.NoError(x.t, err)
	_, err = c.Create("/watch_reconnect/eph", nil, zk.FlagEphemeral, anyone) // fires the child watch
	require.NoError(x.t, err)
	x.event("children", kids)
	_, _, kids, err = c.ChildrenW("/watch_reconnect/b")
	require.NoError(x.t, err)

	proxy.cut()
	x.await(states, zk.StateDisconnected)
	_, err = other.Set("/watch_reconnect/a", []byte("missed"), -1)
	require.NoError(x.t, err)
	_, err = other.Create("/watch_reconnect/c", nil, 0, anyone)
	require.NoError(x.t, err)
	proxy.heal()
	x.await(states, zk.StateHasSession)
	x.logf("same session: %v", c.SessionID() == id)
	x.event("missed change", changed)
	x.event("missed create", appeared)
	_, err = c.Sync("/")
	require.NoError(x.t, err)
	x.quiet("unchanged", same)
	x.quiet("no children", kids)
	_, err = other.Set("/watch_reconnect/b", []byte("now"), -1)
	require.NoError(x.t, err)
	_, err = other.Create("/watch_reconnect/b/kid", nil, 0, anyone)
	require.NoError(x.t, err)
	x.event("set again", same)
	x.event("set again", kids)
	_, stat, err := c.Exists("/watch_reconnect/eph")
	x.logf("ephemeral is there: %v %s", stat != nil && stat.EphemeralOwner == id, result(err))
}
