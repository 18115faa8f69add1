package node

import (
	"errors"
	"strings"

	"baton/node/adminapi"
	"baton/repl/election"
	"baton/store/record"
	"baton/zkclient/group"
)

// addressScheme stands before the replication address in ZooKeeper, as in
// ActiveMQ's member nodes.
const addressScheme = "tcp://"

// viewOf translates what ZooKeeper shows for the elector.
func viewOf(s group.Snapshot) election.View {
	v := election.View{Connected: s.Connected, Reads: s.Reads, Exists: s.Cluster != nil, Version: s.ClusterVersion}
	if s.Cluster == nil && errors.Is(s.Err, group.ErrMalformed) {
		v.Connected = false // somebody wrote rubbish: hold still rather than form another cluster
	}
	if s.Cluster != nil {
		v.Cluster = election.Cluster{ID: s.Cluster.ClusterID, Replicas: s.Cluster.Replicas, Members: map[string]string{},
			Epoch: record.Epoch(s.Cluster.Epoch), Phase: election.Phase(s.Cluster.Phase), Leader: s.Cluster.Leader, Prefer: s.Cluster.Prefer, Ballot: s.Cluster.Ballot, Restored: s.Cluster.Restored}
		for node, m := range s.Cluster.Members {
			v.Cluster.Members[node] = m.Incarnation
		}
		if o := s.Cluster.Old; o != nil {
			v.Cluster.Old = election.Configuration{Replicas: o.Replicas, Members: map[string]string{}}
			for node, m := range o.Members {
				v.Cluster.Old.Members[node] = m.Incarnation
			}
		}
	}
	for _, m := range s.Members {
		d := m.Data
		if d.Node == "" {
			continue // a member of ActiveMQ's kind below the same path
		}
		if d.State == adminapi.RoleRefused {
			continue // takes no part, and must not hide one with the same id that does
		}
		e := election.Member{Node: d.Node, Incarnation: d.Incarnation, Sequence: m.Sequence,
			LastEpoch: record.Epoch(d.Epoch), Position: d.Position, Sealed: record.Epoch(d.Sealed), Ballot: d.Ballot,
			Suspect: record.Epoch(d.Suspect), Weight: d.Weight}
		e.Address = strings.TrimPrefix(d.Address, addressScheme)
		v.Members = append(v.Members, e)
	}
	return v
}

// clusterData is the way back, for a write.
func clusterData(c election.Cluster) group.ClusterData {
	d := group.ClusterData{ClusterID: c.ID, Replicas: c.Replicas, Members: map[string]group.Registration{},
		Epoch: uint64(c.Epoch), Phase: string(c.Phase), Leader: c.Leader, Prefer: c.Prefer, Ballot: c.Ballot, Restored: c.Restored}
	for node, inc := range c.Members {
		d.Members[node] = group.Registration{Incarnation: inc}
	}
	if c.Old.Replicas > 0 {
		d.Old = &group.Configuration{Replicas: c.Old.Replicas, Members: map[string]group.Registration{}}
		for node, inc := range c.Old.Members {
			d.Old.Members[node] = group.Registration{Incarnation: inc}
		}
	}
	return d
}

// publish tells the others what this node is, when that changed.
func (r *role) publish() {
	cfg := r.n.cfg
	d := group.MemberData{
		ID: cfg.Group, Position: -1, Weight: cfg.Weight,
		Node: cfg.ID, Incarnation: r.self.Incarnation, Epoch: uint64(r.self.LastEpoch),
		Sealed: uint64(r.self.Sealed), Suspect: uint64(r.last.Suspect),
		State: r.roleName(), Clients: r.n.advertised(cfg.AdvertiseStomp, cfg.ListenStomp), Admin: r.n.adminAddress(), Elected: r.wonFor,
		Process: r.n.process,
	}
	d.Position, d.Ballot = r.self.Candidacy(r.sealedEnd)
	if r.leadership != nil {
		d.Address = addressScheme + r.n.replAddress()
	}
	switch {
	case !r.joined:
		r.n.group.Join(d)
		r.joined = true
	case d != r.published:
		r.n.group.Publish(d)
	}
	r.published = d
}
