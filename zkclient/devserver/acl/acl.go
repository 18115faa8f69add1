// Package acl decides who may do what to a node: ZooKeeper's schemes world,
// auth, digest and ip. It is pure.
package acl

import (
	"crypto/sha1"
	"encoding/base64"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"baton/zkclient/devserver/wire"
)

// ID is an identity that a connection has shown: its address, and what it
// authenticated as.
type ID struct {
	Scheme, Name string
}

// User returns the name without the secret part.
func (id ID) User() string {
	if id.Scheme != "digest" {
		return id.Name
	}
	user, _, _ := strings.Cut(id.Name, ":")
	return user
}

// Digest returns the identity that credentials "user:password" prove.
func Digest(credentials string) ID {
	sum := sha1.Sum([]byte(credentials)) // what ZooKeeper's digest scheme is defined by
	user, _, _ := strings.Cut(credentials, ":")
	return ID{Scheme: "digest", Name: user + ":" + base64.StdEncoding.EncodeToString(sum[:])}
}

// Allowed reports whether one of ids has at least one of the permission bits.
// A node without rules is open to all.
func Allowed(rules []wire.ACL, ids []ID, perm int32) bool {
	if len(rules) == 0 {
		return true
	}
	for _, rule := range rules {
		if rule.Perms&perm == 0 {
			continue
		}
		if rule.Scheme == "world" && rule.ID == "anyone" {
			return true
		}
		if slices.ContainsFunc(ids, func(id ID) bool { return matches(rule, id) }) {
			return true
		}
	}
	return false
}

func matches(rule wire.ACL, id ID) bool {
	if rule.Scheme != id.Scheme {
		return false
	}
	if rule.Scheme != "ip" {
		return rule.ID == id.Name
	}
	prefix, ok := parseIP(rule.ID)
	if !ok {
		return false
	}
	addr, err := netip.ParseAddr(id.Name)
	return err == nil && prefix.Contains(addr.Unmap())
}

// MaxRules is the most rules a node may have.
const MaxRules = 1024

// Resolve turns the rules of a request into those to keep: duplicates are
// dropped, "auth" becomes the identities the caller has authenticated as. ok
// is false if nothing is left, a rule makes no sense or there are too many.
func Resolve(rules []wire.ACL, ids []ID) (resolved []wire.ACL, ok bool) {
	if len(rules) > MaxRules {
		return nil, false
	}
	for i, rule := range rules {
		if slices.Contains(rules[:i], rule) {
			continue
		}
		switch rule.Scheme {
		case "world":
			if rule.ID != "anyone" {
				return nil, false
			}
		case "auth":
			authenticated := false
			for _, id := range ids {
				if id.Scheme == "digest" {
					resolved = append(resolved, wire.ACL{Perms: rule.Perms, Scheme: id.Scheme, ID: id.Name})
					authenticated = true
				}
			}
			if !authenticated {
				return nil, false
			}
			continue
		case "digest":
			if _, hash, found := strings.Cut(rule.ID, ":"); !found || hash == "" || strings.Contains(hash, ":") {
				return nil, false
			}
		case "ip":
			if _, ok := parseIP(rule.ID); !ok {
				return nil, false
			}
		default:
			return nil, false
		}
		resolved = append(resolved, rule)
	}
	return resolved, len(resolved) > 0 && len(resolved) <= MaxRules
}

// Masked returns rules for a reader who may not administer the node: the
// hashes of digest identities are hidden.
func Masked(rules []wire.ACL) []wire.ACL {
	masked := slices.Clone(rules)
	for i, rule := range masked {
		if rule.Scheme == "digest" {
			user, _, _ := strings.Cut(rule.ID, ":")
			masked[i].ID = user + ":x"
		}
	}
	return masked
}

// parseIP reads an IPv4 address with an optional number of leading bits.
func parseIP(expression string) (netip.Prefix, bool) {
	address, bitsText, ranged := strings.Cut(expression, "/")
	addr, err := netip.ParseAddr(address)
	if err != nil || !addr.Is4() {
		return netip.Prefix{}, false
	}
	bits := 32
	if ranged {
		if bits, err = strconv.Atoi(bitsText); err != nil || bits < 0 || bits > 32 {
			return netip.Prefix{}, false
		}
	}
	prefix, err := addr.Prefix(bits)
	return prefix, err == nil
}
