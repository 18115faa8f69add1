package zktest_test

import (
	"encoding/binary"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	"baton/zkclient/devserver/wire"
)

func scriptEphemeralClose(x *transcript) {
	watcher := x.open("watcher")
	holder := x.open("holder")
	watcher.do("create", wire.OpCreate, create("/ephemeral_close", "", 0), x.showPath)
	holder.do("create", wire.OpCreate2, create("/ephemeral_close/a", "", 1), x.showPathStat)
	watcher.do("watch", wire.OpExists, pathWatch("/ephemeral_close/a", true), x.showStat)
	watcher.do("watch", wire.OpGetChildren, pathWatch("/ephemeral_close", true), showSorted)
	holder.do("watch", wire.OpExists, pathWatch("/ephemeral_close/a", true), x.showStat)
	watcher.do("set it", wire.OpSetData, setData("/ephemeral_close", "", -1), x.showStat)
	holder.do("close", wire.OpCloseSession, nil, nil)
	holder.ended()
	watcher.event()
	watcher.event()
	watcher.do("gone", wire.OpExists, pathWatch("/ephemeral_close/a", false), x.showStat)
	watcher.do("parent", wire.OpExists, pathWatch("/ephemeral_close", false), x.showStat)
	back := x.dial("back")
	back.connect(wire.ConnectRequest{TimeoutMillis: 30000, SessionID: holder.session, Password: holder.password, HasReadOnly: true})
	back.ended()

	// A connection that just ends does not end its session.
	holder = x.open("cut")
	holder.do("create", wire.OpCreate, create("/ephemeral_close/b", "", 1), x.showPath)
	watcher.do("watch", wire.OpExists, pathWatch("/ephemeral_close/b", true), x.showStat)
	holder.net.Close()
	again := x.dial("again")
	again.connect(wire.ConnectRequest{TimeoutMillis: 30000, SessionID: holder.session, Password: holder.password, HasReadOnly: true})
	again.do("still mine", wire.OpGetEphemerals, pathOnly("/ephemeral_close"), showSorted)
	again.do("delete by hand", wire.OpDelete, pathVersion("/ephemeral_close/b", 0), nil)
	watcher.event()
	again.do("none", wire.OpGetEphemerals, pathOnly(""), showSorted)
}

func scriptEphemeralExpiry(x *transcript) {
	watcher := x.open("watcher")
	watcher.do("create", wire.OpCreate, create("/ephemeral_expiry", "", 0), x.showPath)
	holder := x.dial("holder")
	holder.connect(wire.ConnectRequest{TimeoutMillis: 2000, Password: make([]byte, 16)}) // more than a busy machine stalls
	holder.do("create", wire.OpCreate, create("/ephemeral_expiry/a", "", 1), x.showPath)
	watcher.do("watch", wire.OpGetChildren, pathWatch("/ephemeral_expiry", true), showSorted)
	start := time.Now()
	holder.ended()
	x.logf("silent for the timeout: %v", time.Since(start) > 1500*time.Millisecond)
	watcher.event()
	watcher.do("gone", wire.OpExists, pathWatch("/ephemeral_expiry", false), x.showStat)
	back := x.dial("back")
	back.connect(wire.ConnectRequest{TimeoutMillis: 1000, SessionID: holder.session, Password: holder.password})
	back.ended()

	// Any packet, not only a ping, keeps a session alive.
	busy := x.dial("busy")
	busy.connect(wire.ConnectRequest{TimeoutMillis: 2500, Password: make([]byte, 16)})
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for range 32 {
		<-tick.C
		xid := busy.send(wire.OpExists, pathWatch("/ephemeral_expiry", false))
		if _, err := wire.ReadFrame(busy.net); err != nil {
			x.logf("busy: request %d: %v", xid, err)
		}
	}
	busy.sendAs(wire.XidPing, wire.OpPing, nil)
	busy.until("ping", wire.XidPing, nil)
}

func scriptSession(x *transcript) {
	zero := make([]byte, wire.PasswordLen)
	for _, timeout := range []int32{-5, 0, 100, 5000, 3600000} {
		r := x.dial("timeout")
		r.connect(wire.ConnectRequest{TimeoutMillis: timeout, Password: zero, HasReadOnly: true})
		r.do("close", wire.OpCloseSession, nil, nil)
		r.ended()
	}
	old := x.dial("old client")
	old.connect(wire.ConnectRequest{TimeoutMillis: 5000, Password: zero})
	readOnly := x.dial("read-only client")
	readOnly.connect(wire.ConnectRequest{TimeoutMillis: 5000, Password: zero, HasReadOnly: true, ReadOnly: true})
	version := x.dial("another protocol version")
	version.connect(wire.ConnectRequest{ProtocolVersion: 9, TimeoutMillis: 5000, Password: zero})

	a := x.open("a")
	a.do("create", wire.OpCreate, create("/session", "", 0), x.showPath)
	a.do("ephemeral", wire.OpCreate, create("/session/a", "", 1), x.showPath)
	a.do("watch", wire.OpGetData, pathWatch("/session/a", true), x.showData)
	b := x.dial("b")
	b.connect(wire.ConnectRequest{TimeoutMillis: 7000, SessionID: a.session, Password: a.password})
	a.ended()
	b.do("my ephemeral", wire.OpGetData, pathWatch("/session/a", false), x.showData)
	b.do("the watch is gone", wire.OpSetData, setData("/session/a", "", -1), x.showStat)
	wrong := append([]byte(nil), a.password...)
	wrong[3] ^= 1
	for _, password := range [][]byte{wrong, zero, nil, a.password[:8]} {
		b.net.Close()
		c := x.dial("wrong password")
		c.connect(wire.ConnectRequest{TimeoutMillis: 7000, SessionID: a.session, Password: password, HasReadOnly: true})
		c.ended()
		b = x.dial("right password")
		b.connect(wire.ConnectRequest{TimeoutMillis: 7000, SessionID: a.session, Password: a.password})
		b.do("my ephemeral", wire.OpExists, pathWatch("/session/a", false), x.showStat)
	}
	unknown := x.dial("unknown session")
	unknown.connect(wire.ConnectRequest{TimeoutMillis: 7000, SessionID: 0x123456789, Password: zero, HasReadOnly: true})
	unknown.ended()
	ahead := x.dial("ahead")
	ahead.connect(wire.ConnectRequest{LastZxidSeen: 1<<63 - 1, TimeoutMillis: 7000, Password: zero})
	ahead = x.dial("ahead, with a session")
	ahead.connect(wire.ConnectRequest{LastZxidSeen: 1<<63 - 1, TimeoutMillis: 7000, SessionID: a.session, Password: a.password})
}

func scriptSessionClient(x *transcript) {
	proxy := newProxy(x.t, x.addr)
	c, states := x.connectTo(proxy.addr(), 3*time.Second)
	other := x.connect(30 * time.Second)
	anyone := zk.WorldACL(zk.PermAll)
	_, err := other.Create("/session_client", nil, 0, anyone)
	require.NoError(x.t, err)
	_, err = c.Create("/session_client/a", nil, zk.FlagEphemeral, anyone)
	require.NoError(x.t, err)
	id := c.SessionID()
	_, _, gone, err := other.ExistsW("/session_client/a")
	require.NoError(x.t, err)
	_, _, mine, err := c.GetW("/session_client/a")
	require.NoError(x.t, err)
	proxy.cut()
	x.await(states, zk.StateDisconnected)
	x.event("the other client", gone)
	proxy.heal()
	x.await(states, zk.StateExpired)
	x.event("the client itself", mine)
	x.await(states, zk.StateHasSession)
	x.logf("a new session: %v", c.SessionID() != id)
	_, err = c.Create("/session_client/a", nil, zk.FlagEphemeral, anyone)
	x.logf("create again: %s", result(err))
	_, _, gone, err = other.ExistsW("/session_client/a")
	require.NoError(x.t, err)
	c.Close()
	x.event("after close", gone)
}

func scriptQueries(x *transcript) {
	r := x.open("r")
	number := func(d *wire.Decoder) string { return time.Duration(d.Int32()).String() }
	for _, path := range []string{"/queries", "/queries/a", "/queries/a/b", "/queries2"} {
		r.do("create", wire.OpCreate, create(path, "", 0), x.showPath)
	}
	r.do("ephemeral", wire.OpCreate, create("/queries/e1", "", 1), x.showPath)
	r.do("ephemeral", wire.OpCreate, create("/queries/a/e2", "", 1), x.showPath)
	r.do("all below", wire.OpGetAllChildrenNumber, pathOnly("/queries"), number)
	r.do("all below a leaf", wire.OpGetAllChildrenNumber, pathOnly("/queries/a/b"), number)
	r.do("all below none", wire.OpGetAllChildrenNumber, pathOnly("/queries/none"), number)
	for _, prefix := range []string{"", "/", "/queries", "/queries/a", "/queries/e1", "/none", "queries"} {
		r.do("ephemerals "+prefix, wire.OpGetEphemerals, pathOnly(prefix), showSorted)
	}
	r.do("who am I", wire.OpWhoAmI, nil, showWho)
	r.do("sync", wire.OpSync, pathOnly("/queries"), x.showPath)
	r.do("sync nowhere", wire.OpSync, pathOnly("nowhere"), x.showPath)
	r.sendAs(wire.XidPing, wire.OpPing, nil)
	r.until("ping", wire.XidPing, nil)
	r.sendAs(77, wire.OpPing, nil)
	r.until("ping with a number", wire.XidPing, nil)
}

func scriptMalformed(x *transcript) {
	for _, op := range []wire.Op{
		wire.OpCreate, wire.OpDelete, wire.OpExists, wire.OpGetData, wire.OpSetData, wire.OpGetACL, wire.OpSetACL, wire.OpGetChildren,
		wire.OpSync, wire.OpGetChildren2, wire.OpCheck, wire.OpMulti, wire.OpCreate2, wire.OpCheckWatches, wire.OpRemoveWatches,
		wire.OpCreateContainer, wire.OpCreateTTL, wire.OpMultiRead, wire.OpSetWatches, wire.OpGetEphemerals, wire.OpGetAllChildrenNumber,
		wire.OpSetWatches2, wire.OpAddWatch,
	} {
		r := x.open(op.String())
		r.do("no record", op, nil, nil)
		r.do("a cut string", op, func(e *wire.Encoder) {
			e.Int32(5)
			e.Raw([]byte("/a"))
		}, nil)
		r.do("a monstrous string", op, func(e *wire.Encoder) { e.Int32(1 << 30) }, nil)
		r.do("still served", wire.OpExists, pathWatch("/none", false), nil)
	}
	for _, op := range []wire.Op{99, 1000, -5, wire.OpNotification, wire.OpError} {
		r := x.open("operation " + time.Duration(op).String())
		r.do("unknown", op, nil, nil)
		r.ended()
	}
	r := x.open("reconfig")
	r.do("no record", wire.OpReconfig, nil, nil)
	r.do("refused", wire.OpReconfig, func(e *wire.Encoder) {
		e.String("")
		e.String("")
		e.String("server.1=127.0.0.1:1:2")
		e.Int64(-1)
	}, nil)
	r = x.open("a header cut short")
	r.sendRaw(wire.Frame([]byte{0, 0, 0, 1, 0, 0}))
	r.ended()
	r = x.open("too much")
	r.do("trailing bytes", wire.OpExists, func(e *wire.Encoder) {
		pathWatch("/none", false)(e)
		e.Int64(7)
	}, nil)
}

func scriptFrames(x *transcript) {
	frame := func(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
	for _, n := range []uint32{1 << 20, 1<<31 - 1, 1 << 31, 1<<32 - 1} {
		r := x.dial("first frame")
		r.sendRaw(frame(n))
		r.ended()
		r = x.open("later frame")
		r.sendRaw(frame(n))
		r.ended()
	}
	r := x.dial("empty first frame")
	r.sendRaw(frame(0))
	r.ended()
	r = x.dial("short first frame")
	r.sendRaw(wire.Frame(make([]byte, 20)))
	r.ended()
	r = x.open("empty frame")
	r.sendRaw(frame(0))
	r.ended()
	r = x.open("a word in a session")
	r.sendRaw([]byte("ruok"))
	r.ended()

	// The longest frame: 8 bytes header, path, data, ACL and flags.
	r = x.open("long")
	rest := wire.MaxFrame - 8 - len("/frames") - 4 - 4 - 4 - (4 + 4 + 5 + 4 + 6) - 4
	r.do("the longest", wire.OpCreate, create("/frames", string(make([]byte, rest)), 0), x.showPath)
	r.do("the longest", wire.OpExists, pathWatch("/frames", false), x.showStat)

	// Byte by byte.
	slow := x.open("slow")
	var e wire.Encoder
	e.Int32(1)
	e.Int32(int32(wire.OpDelete))
	pathVersion("/frames", -1)(&e)
	for _, b := range wire.Frame(e.Bytes()) {
		slow.sendRaw([]byte{b})
	}
	slow.until("byte by byte", 1, nil)
}

func scriptRemovable(x *transcript) {
	r := x.open("r")
	r.do("create", wire.OpCreate, create("/removable", "", 0), x.showPath)
	r.do("unused container", wire.OpCreateContainer, create("/removable/unused", "", 4), x.showPathStat)
	r.do("container", wire.OpCreateContainer, create("/removable/box", "", 4), x.showPathStat)
	r.do("child", wire.OpCreate, create("/removable/box/kid", "", 0), x.showPath)
	r.do("watch", wire.OpExists, pathWatch("/removable/box", true), nil)
	r.do("empty it", wire.OpDelete, pathVersion("/removable/box/kid", -1), nil)
	r.event()
	r.do("unused is kept", wire.OpExists, pathWatch("/removable/unused", false), nil)
	r.do("timed parent", wire.OpCreateTTL, createTTL("/removable/kept", 5, 2000), nil)
	r.do("with a child", wire.OpCreate, create("/removable/kept/kid", "", 0), x.showPath)
	r.do("timed", wire.OpCreateTTL, createTTL("/removable/timed", 5, 2000), nil)
	r.do("watch", wire.OpGetData, pathWatch("/removable/timed", true), nil)
	r.event()
	r.do("kept", wire.OpExists, pathWatch("/removable/kept", false), nil)
}
