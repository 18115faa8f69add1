package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"baton/node/adminapi"
	"baton/zkclient"
	"baton/zkclient/group"
)

// discovered is a cluster as ZooKeeper shows it, with what each node says.
type discovered struct {
	snap  group.Snapshot
	nodes []discoveredNode // in the order of arrival
}

type discoveredNode struct {
	member group.Member
	status adminapi.Status
	err    error // the node did not answer
}

// discoverTimeout bounds finding a cluster and asking its nodes.
const discoverTimeout = 5 * time.Second

// look reads the cluster's tree once. It needs nobody but ZooKeeper.
func look(ctx context.Context, servers []string, path string) (group.Snapshot, error) {
	if len(servers) == 0 {
		return group.Snapshot{}, usageError("--zk is missing: give the ZooKeeper servers as host:port,host:port")
	}
	ctx, cancel := context.WithTimeout(ctx, discoverTimeout)
	defer cancel()
	zk, err := zkclient.Connect(zkclient.Config{Servers: servers})
	if err != nil {
		return group.Snapshot{}, usageError("%w", err)
	}
	defer zk.Close()
	if _, err := zk.Session(ctx); err != nil {
		return group.Snapshot{}, exitError{exitUnreachable, fmt.Errorf(
			"ZooKeeper at %s does not answer: check --zk, or start one for development with: baton zk", strings.Join(servers, ","))}
	}
	o := group.Observe(group.Config{Client: zk, Path: path})
	defer o.Close()
	for {
		select {
		case s := <-o.Updates():
			if s.Connected && s.Cluster == nil && len(s.Members) == 0 && s.Err == nil {
				return s, noCluster(servers, path)
			}
			if s.Connected {
				return s, s.Err
			}
		case <-ctx.Done():
			s := o.Snapshot()
			if s.Err != nil {
				return s, s.Err
			}
			return s, noCluster(servers, path)
		}
	}
}

func noCluster(servers []string, path string) error {
	return exitError{exitUnreachable, fmt.Errorf("there is no cluster at %s on %s: check --zk-path", path, strings.Join(servers, ","))}
}

// discover reads the tree and asks every node.
func discover(ctx context.Context, servers []string, path string) (discovered, error) {
	snap, err := look(ctx, servers, path)
	if err != nil {
		return discovered{snap: snap}, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	d := discovered{snap: snap, nodes: make([]discoveredNode, len(snap.Members))}
	var wg sync.WaitGroup
	for i, m := range snap.Members {
		d.nodes[i].member = m
		wg.Go(func() {
			if m.Data.Admin == "" {
				d.nodes[i].err = errors.New("publishes no admin address")
				return
			}
			d.nodes[i].status, d.nodes[i].err = (&adminapi.Client{Address: m.Data.Admin}).Status(ctx)
		})
	}
	wg.Wait()
	return d, nil
}

// leader is the node that says it leads the newest epoch.
func (d discovered) leader() (discoveredNode, bool) {
	var found discoveredNode
	ok := false
	for _, n := range d.nodes {
		if n.err == nil && n.status.Role == adminapi.RoleLeader && (!ok || n.status.Epoch > found.status.Epoch) {
			found, ok = n, true
		}
	}
	return found, ok
}
