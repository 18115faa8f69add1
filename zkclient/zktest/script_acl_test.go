package zktest_test

import (
	"slices"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	"baton/zkclient/devserver/wire"
)

func scriptACL(x *transcript) {
	owner, guest := x.connect(30*time.Second), x.connect(30*time.Second)
	require.NoError(x.t, owner.AddAuth("digest", []byte("owner:secret")))
	rules := append(zk.DigestACL(zk.PermAll, "owner", "secret"), zk.WorldACL(zk.PermRead)...)
	for _, path := range []string{"/acl", "/acl/kid"} {
		_, err := owner.Create(path, []byte("x"), 0, rules)
		require.NoError(x.t, err)
	}
	_, err := owner.Create("/acl/private", []byte("x"), 0, zk.AuthACL(zk.PermAll))
	require.NoError(x.t, err)
	try := func(who string, c *zk.Conn) {
		_, _, err := c.Get("/acl")
		x.logf("%s: get: %s", who, result(err))
		_, _, err = c.Get("/acl/private")
		x.logf("%s: get private: %s", who, result(err))
		_, _, err = c.Children("/acl/private")
		x.logf("%s: children of private: %s", who, result(err))
		_, _, err = c.Exists("/acl/private")
		x.logf("%s: exists private: %s", who, result(err))
		_, err = c.Set("/acl", []byte("y"), -1)
		x.logf("%s: set: %s", who, result(err))
		_, err = c.Create("/acl/new", nil, 0, zk.WorldACL(zk.PermAll))
		x.logf("%s: create: %s", who, result(err))
		x.logf("%s: delete: %s", who, result(c.Delete("/acl/new", -1)))
		_, err = c.SetACL("/acl/kid", rules, -1)
		x.logf("%s: set ACL: %s", who, result(err))
		for _, path := range []string{"/acl", "/acl/private"} {
			got, stat, err := c.GetACL(path)
			x.logf("%s: ACL of %s: %v %s %s", who, path, got, x.zkStat(stat), result(err))
		}
		_, err = c.Multi(&zk.CheckVersionRequest{Path: "/acl/private", Version: 0})
		x.logf("%s: check: %s", who, result(err))
	}
	try("guest", guest)
	try("owner", owner)
	require.NoError(x.t, guest.AddAuth("digest", []byte("owner:wrong")))
	try("wrong password", guest)
	require.NoError(x.t, guest.AddAuth("digest", []byte("owner:secret")))
	try("right password", guest)
	stat, err := owner.SetACL("/acl/kid", zk.WorldACL(zk.PermRead), 7)
	x.logf("set ACL at a wrong version: %s %s", x.zkStat(stat), result(err))
	stat, err = owner.SetACL("/acl/kid", zk.WorldACL(zk.PermRead), 2)
	x.logf("set ACL at its version: %s %s", x.zkStat(stat), result(err))
	stat, err = owner.SetACL("/acl/kid", rules, -1)
	x.logf("set ACL without the right: %s %s", x.zkStat(stat), result(err))
	x.logf("delete needs the parent only: %s", result(owner.Delete("/acl/kid", -1)))
}

func scriptACLRaw(x *transcript) {
	r := x.open("r")
	r.do("create", wire.OpCreate, create("/acl_raw", "", 0), x.showPath)
	var n int
	try := func(what string, rules ...wire.ACL) {
		n++
		path := "/acl_raw/" + strings.Repeat("n", n)
		r.do(what, wire.OpCreate, createACL(path, "", 0, rules), nil)
		r.do(what+": ACL", wire.OpGetACL, pathOnly(path), func(d *wire.Decoder) string {
			var b strings.Builder
			for _, rule := range d.ACLs() {
				b.WriteString(time.Duration(rule.Perms).String() + " " + rule.Scheme + " " + rule.ID + "; ")
			}
			return b.String() + x.showStat(d)
		})
		r.do(what+": get", wire.OpGetData, pathWatch(path, false), nil)
	}
	rule := func(perms int32, scheme, id string) wire.ACL { return wire.ACL{Perms: perms, Scheme: scheme, ID: id} }
	try("none")
	try("no permission", rule(0, "world", "anyone"))
	try("twice", rule(31, "world", "anyone"), rule(31, "world", "anyone"))
	try("unknown scheme", rule(31, "magic", "x"))
	try("world, someone", rule(31, "world", "someone"))
	try("digest without a hash", rule(31, "digest", "user"))
	try("digest with two colons", rule(31, "digest", "user:a:b"))
	try("digest with an empty hash", rule(31, "digest", "user:"))
	try("digest with an empty user", rule(31, "digest", ":hash"))
	try("auth, nobody", rule(31, "auth", ""))
	try("ip, mine", rule(31, "ip", "127.0.0.1"))
	try("ip, my net", rule(31, "ip", "127.0.0.0/8"))
	try("ip, everything", rule(31, "ip", "10.0.0.0/0"))
	try("ip, another", rule(31, "ip", "10.0.0.1"))
	try("ip, bad bits", rule(31, "ip", "10.0.0.1/33"))
	try("ip, negative bits", rule(31, "ip", "10.0.0.1/-1"))
	try("ip, no address", rule(31, "ip", "localhost"))
	try("ip, short", rule(31, "ip", "10.0.0"))
	try("read only", rule(1, "world", "anyone"))
	try("admin only", rule(16, "world", "anyone"))
	try("write only", rule(2, "world", "anyone"))
	for _, credentials := range []string{"user:password", "nocolon", "a:b:c", ""} {
		r.sendAs(wire.XidAuth, wire.OpAuth, auth("digest", credentials))
		r.until("auth "+credentials, wire.XidAuth, nil)
	}
	r.sendAs(wire.XidAuth, wire.OpAuth, auth("ip", ""))
	r.until("auth ip", wire.XidAuth, nil)
	r.do("who am I", wire.OpWhoAmI, nil, showWho)
	other := x.open("user")
	other.sendAs(wire.XidAuth, wire.OpAuth, auth("digest", "user:password"))
	other.until("auth", wire.XidAuth, nil)
	other.do("create for auth", wire.OpCreate, createACL("/acl_raw/auth", "", 0, []wire.ACL{rule(31, "auth", "ignored"), rule(1, "world", "anyone")}), nil)
	showRules := func(d *wire.Decoder) string {
		var b strings.Builder
		for _, rule := range d.ACLs() {
			b.WriteString(time.Duration(rule.Perms).String() + " " + rule.Scheme + " " + rule.ID + "; ")
		}
		return b.String() + x.showStat(d)
	}
	other.do("ACL", wire.OpGetACL, pathOnly("/acl_raw/auth"), showRules)
	guest := x.open("guest")
	guest.do("ACL", wire.OpGetACL, pathOnly("/acl_raw/auth"), showRules)
	guest.do("set ACL", wire.OpSetACL, setACL("/acl_raw/auth", world, -1), x.showStat)
	other.do("set ACL, none", wire.OpSetACL, setACL("/acl_raw/auth", nil, -1), x.showStat)
	other.do("set ACL of a missing node", wire.OpSetACL, setACL("/acl_raw/missing", world, -1), x.showStat)
	other.do("set ACL", wire.OpSetACL, setACL("/acl_raw/auth", world, 0), x.showStat)
	guest.do("get ACL of a missing node", wire.OpGetACL, pathOnly("/acl_raw/missing"), nil)
	guest.sendAs(wire.XidAuth, wire.OpAuth, auth("magic", "x"))
	guest.until("auth magic", wire.XidAuth, nil)
	guest.ended()
}

func showWho(d *wire.Decoder) string {
	var ids []string
	for range d.Int32() {
		ids = append(ids, d.String()+" "+d.String())
	}
	if len(ids) > 8 {
		return "too many"
	}
	slices.Sort(ids)
	return strings.Join(ids, ", ")
}
