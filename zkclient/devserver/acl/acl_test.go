package acl_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"baton/zkclient/devserver/acl"
	"baton/zkclient/devserver/wire"
)

func TestAllowed(t *testing.T) {
	me := []acl.ID{{Scheme: "ip", Name: "10.1.2.3"}, acl.Digest("me:secret")}
	rule := func(scheme, id string) []wire.ACL { return []wire.ACL{{Perms: wire.PermRead, Scheme: scheme, ID: id}} }
	cases := []struct {
		name  string
		rules []wire.ACL
		ids   []acl.ID
		perm  int32
		want  bool
	}{
		{"no rules", nil, me, wire.PermAdmin, true},
		{"anyone", rule("world", "anyone"), nil, wire.PermRead, true},
		{"another permission", rule("world", "anyone"), me, wire.PermWrite, false},
		{"one of two permissions", rule("world", "anyone"), me, wire.PermRead | wire.PermAdmin, true},
		{"my digest", rule("digest", acl.Digest("me:secret").Name), me, wire.PermRead, true},
		{"another password", rule("digest", acl.Digest("me:other").Name), me, wire.PermRead, false},
		{"my address", rule("ip", "10.1.2.3"), me, wire.PermRead, true},
		{"my net", rule("ip", "10.1.0.0/16"), me, wire.PermRead, true},
		{"another net", rule("ip", "10.2.0.0/16"), me, wire.PermRead, false},
		{"IPv4 within IPv6", rule("ip", "10.1.2.3"), []acl.ID{{Scheme: "ip", Name: "::ffff:10.1.2.3"}}, wire.PermRead, true},
		{"a name for an address", rule("ip", "10.1.2.3"), []acl.ID{{Scheme: "ip", Name: "host"}}, wire.PermRead, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, acl.Allowed(c.rules, c.ids, c.perm)) })
	}
}

func TestResolveIsBounded(t *testing.T) {
	many := make([]wire.ACL, acl.MaxRules+1)
	_, ok := acl.Resolve(many, nil)
	require.False(t, ok)
	var rules []wire.ACL
	for i := range acl.MaxRules {
		rules = append(rules, wire.ACL{Perms: int32(i), Scheme: "auth"})
	}
	_, ok = acl.Resolve(rules, []acl.ID{acl.Digest("a:a")})
	require.True(t, ok)
	_, ok = acl.Resolve(rules, []acl.ID{acl.Digest("a:a"), acl.Digest("b:b")})
	require.False(t, ok, "two identities double the rules")
}

func TestMaskedHidesHashes(t *testing.T) {
	rules := []wire.ACL{{Perms: 1, Scheme: "digest", ID: "me:hash"}, {Perms: 1, Scheme: "world", ID: "anyone"}}
	require.Equal(t, []wire.ACL{{Perms: 1, Scheme: "digest", ID: "me:x"}, {Perms: 1, Scheme: "world", ID: "anyone"}}, acl.Masked(rules))
	require.Equal(t, "me:hash", rules[0].ID, "the rules themselves are unchanged")
}
