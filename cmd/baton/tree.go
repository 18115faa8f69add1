package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"baton/tui/data"
	"baton/zkclient"
	"baton/zkclient/group"
)

// treeWatch shows the console a cluster's ZooKeeper tree.
type treeWatch struct {
	servers []string
	path    string
	zk      *zkclient.Client
	group   *group.Observer
	changed chan struct{} // capacity 1
}

func watchTree(servers []string, path string, logger *slog.Logger) (*treeWatch, error) {
	zk, err := zkclient.Connect(zkclient.Config{Servers: servers, Logger: logger})
	if err != nil {
		return nil, usageError("%w", err)
	}
	return &treeWatch{servers: servers, path: path, zk: zk, changed: make(chan struct{}, 1),
		group: group.Observe(group.Config{Client: zk, Path: path, Logger: logger})}, nil
}

func (t *treeWatch) close() {
	_ = t.group.Close()
	_ = t.zk.Close()
}

// runWatch passes every change on, without waiting for the console.
func (t *treeWatch) runWatch(ctx context.Context) {
	for {
		select {
		case <-t.group.Updates():
			select {
			case t.changed <- struct{}{}:
			default:
			}
		case <-ctx.Done():
			return
		}
	}
}

// read implements data.TreeReader from what is known, without asking anybody.
func (t *treeWatch) read(context.Context) (data.Tree, error) {
	s, st := t.group.Snapshot(), t.zk.State()
	tree := data.Tree{At: time.Now(), Path: t.path, Server: st.Server, SessionMS: int(st.SessionTimeout.Milliseconds())}
	if c := s.Cluster; c != nil {
		tree.Replicas, tree.Epoch, tree.Phase, tree.Leader = c.Replicas, c.Epoch, c.Phase, c.Leader
		for node := range c.Members {
			tree.Registered = append(tree.Registered, node)
		}
	}
	tree.Foreign = s.Cluster == nil && len(s.Members) > 0
	for _, m := range s.Members {
		d := m.Data
		tree.Foreign = tree.Foreign && d.Node == ""
		if d.Node == "" { // a member of an ActiveMQ store has no name but its number
			d.Node = cmp.Or(d.Container, "broker") + "-" + cmp.Or(strings.TrimLeft(m.Eid, "0"), "0")
		}
		tree.Members = append(tree.Members, data.Member{Eid: m.Eid, Node: d.Node, Session: fmt.Sprintf("%x", uint64(m.Session)),
			Position: d.Position, Epoch: d.Epoch, Weight: d.Weight, Sealed: d.Sealed, Suspect: d.Suspect, Elected: d.Elected,
			State: d.State, Address: d.Address, Clients: d.Clients, Admin: d.Admin})
	}
	switch {
	case !st.Connected:
		return tree, fmt.Errorf("ZooKeeper at %s does not answer", strings.Join(t.servers, ","))
	case !s.Connected && s.Err != nil:
		return tree, s.Err
	case !s.Connected:
		return tree, errors.New("nothing at " + t.path + " yet")
	}
	return tree, nil
}
