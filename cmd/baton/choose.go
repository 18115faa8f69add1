package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"baton/zkclient"
	"baton/zkclient/group"
)

// found is a cluster in ZooKeeper.
type found struct {
	path    string
	members int
	foreign bool // ActiveMQ's, not Baton's
}

// Bounds of looking for clusters.
const (
	chooseDepth = 3   // levels below the path that was given
	chooseNodes = 500 // nodes that are looked at
)

// findClusters looks for clusters at a path and below. A node is a cluster if
// it holds member nodes or Baton's node "cluster".
func findClusters(ctx context.Context, servers []string, at string) ([]found, error) {
	ctx, cancel := context.WithTimeout(ctx, discoverTimeout)
	defer cancel()
	zk, err := zkclient.Connect(zkclient.Config{Servers: servers})
	if err != nil {
		return nil, usageError("%w", err)
	}
	defer zk.Close()
	s, err := zk.Session(ctx)
	if err != nil {
		return nil, err
	}
	var out []found
	budget := chooseNodes
	var walk func(at string, depth int) error
	walk = func(at string, depth int) error {
		if budget--; budget < 0 {
			return nil
		}
		children, _, err := s.Children(ctx, at)
		if errors.Is(err, zkclient.ErrNoNode) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("look below %s: %w", at, err)
		}
		c := found{path: at, foreign: !slices.Contains(children, "cluster")}
		for _, name := range children {
			if _, _, ok := group.ParseName(name); ok {
				c.members++
			}
		}
		if c.members > 0 || !c.foreign {
			out = append(out, c)
			return nil
		}
		for _, name := range children {
			if child := path.Join(at, name); depth > 0 && child != "/zookeeper" {
				if err := walk(child, depth-1); err != nil {
					return err
				}
			}
		}
		return nil
	}
	err = walk(cmp.Or(strings.TrimRight(at, "/"), "/"), chooseDepth)
	slices.SortFunc(out, func(a, b found) int { return strings.Compare(a.path, b.path) })
	return out, err
}

// choose lets somebody at a terminal say which cluster. One alone needs no
// question; none leaves the path as it was given.
func choose(all []found, given string, in io.Reader, out io.Writer) (string, error) {
	switch len(all) {
	case 0:
		return given, nil
	case 1:
		return all[0].path, nil
	}
	fmt.Fprintf(out, "There are several clusters below %s:\n", given)
	for i, c := range all {
		kind := ""
		if c.foreign {
			kind = "  (ActiveMQ)"
		}
		fmt.Fprintf(out, "  %d  %s  %d members%s\n", i+1, c.path, c.members, kind)
	}
	lines := bufio.NewScanner(in)
	for {
		fmt.Fprintf(out, "Which one? 1 to %d: ", len(all))
		if !lines.Scan() {
			return "", usageError("several clusters are below %s: choose one with --zk-path", given)
		}
		if n, err := strconv.Atoi(strings.TrimSpace(lines.Text())); err == nil && n >= 1 && n <= len(all) {
			return all[n-1].path, nil
		}
	}
}
