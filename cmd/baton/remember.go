package main

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"baton/tui/data"
)

// known is what an attached console remembers of a cluster, so that it finds
// the nodes again while ZooKeeper is away.
type known struct {
	ZooKeeper []string          `json:"zookeeper"`
	Path      string            `json:"path"`
	Admin     map[string]string `json:"admin"` // listener by node
}

// knownFile is where a cluster is remembered, "" if there is no place.
func knownFile(servers []string, path string) string {
	dir, err := stateDir()
	if err != nil {
		return ""
	}
	sorted := slices.Sorted(slices.Values(servers))
	h := fnv.New64a()
	fmt.Fprint(h, strings.Join(sorted, ","), path)
	return filepath.Join(dir, "clusters", fmt.Sprintf("%016x.json", h.Sum64()))
}

// recall returns the nodes that were seen the last time. A file that cannot be
// read is as good as none.
func recall(servers []string, path string) []data.Endpoint {
	b, err := os.ReadFile(knownFile(servers, path))
	var k known
	if err != nil || json.Unmarshal(b, &k) != nil || k.Path != path {
		return nil
	}
	var out []data.Endpoint
	for id, admin := range k.Admin {
		if admin != "" {
			out = append(out, data.Endpoint{ID: id, Admin: admin})
		}
	}
	return out
}

// keep remembers the nodes of a snapshot.
func keep(servers []string, path string, s *data.Snapshot) {
	k := known{ZooKeeper: servers, Path: path, Admin: map[string]string{}}
	for _, m := range s.Tree.Members {
		if m.Admin != "" {
			k.Admin[m.Node] = m.Admin
		}
	}
	file := knownFile(servers, path)
	if len(k.Admin) == 0 || file == "" {
		return
	}
	b, err := json.Marshal(k)
	if err != nil || os.MkdirAll(filepath.Dir(file), 0o700) != nil {
		return // it is a convenience: the console does without
	}
	if os.WriteFile(file+".new", b, 0o600) == nil {
		_ = os.Rename(file+".new", file)
	}
}
