package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"baton/node/adminapi"
	"baton/repl/election"
	"baton/zkclient"
)

// retryWrite is the pause after a write to ZooKeeper that failed for another
// reason than that somebody was faster.
const retryWrite = 200 * time.Millisecond

// write begins a write to the cluster node, one at a time. The outcome comes
// back through the mailbox.
func (r *role) write(s election.Step) {
	if r.writing || time.Now().Before(r.retryAt) {
		return
	}
	r.writing = true
	if s.Kind == election.Form && s.Cluster.ID == "" {
		s.Cluster.ID = uuid.NewString()
	}
	if s.Kind == election.Elect && r.self.Leading == 0 {
		r.n.events.Add(adminapi.KindQuorumSealed, uint64(s.Cluster.Epoch), fmt.Sprintf("a quorum has promised epoch %d", s.Cluster.Epoch))
	}
	version, reads, n := r.view.Version, r.view.Reads, r.n
	n.wg.Go(func() {
		ctx, cancel := context.WithTimeout(r.ctx, n.cfg.SessionTimeout)
		defer cancel()
		var err error
		switch {
		case s.Kind == election.Form:
			err = n.group.CreateCluster(ctx, clusterData(s.Cluster))
		case s.Kind.Once():
			err = n.group.WriteClusterNow(ctx, clusterData(s.Cluster), version, reads)
		default:
			err = n.group.WriteCluster(ctx, clusterData(s.Cluster), version)
		}
		n.mail.post(func(r *role) { r.wrote(s, version, reads, err) })
	})
}

// wrote takes the outcome of a write.
func (r *role) wrote(s election.Step, version int32, reads uint64, err error) {
	r.writing = false
	switch {
	case errors.Is(err, zkclient.ErrVersion) || errors.Is(err, zkclient.ErrNodeExists):
		r.retryAt = time.Now().Add(retryWrite / 10) // somebody was faster: the watch tells what they wrote
		return
	case err != nil:
		r.retryAt = time.Now().Add(retryWrite)
		r.n.cfg.Logger.Warn("write to ZooKeeper failed", "step", s.Kind.String(), "err", err)
		return
	}
	r.view.Wrote(s, version, reads)
	r.announce(s)
}

func (r *role) announce(s election.Step) {
	epoch, add := uint64(s.Cluster.Epoch), r.n.events.Add
	switch s.Kind {
	case election.Form:
		add(adminapi.KindFormed, epoch, s.Reason, "cluster", s.Cluster.ID)
	case election.Register:
		add(adminapi.KindRegistered, epoch, s.Reason, "member", r.self.Node, "incarnation", r.self.Incarnation)
	case election.StartElection:
		add(adminapi.KindSealing, epoch, fmt.Sprintf("began the election of epoch %d: %s", epoch, s.Reason))
	case election.Elect:
		if m, ok := r.eidOf(s.Cluster.Leader); ok {
			r.wonFor = m
		}
		add(adminapi.KindElected, epoch, s.Reason, "leader", s.Cluster.Leader, "rule", s.Reason)
	}
}

func (r *role) eidOf(node string) (string, bool) {
	eid := ""
	for _, m := range r.snap.Members {
		if m.Data.Node == node {
			eid = m.Eid // the newest comes last
		}
	}
	return eid, eid != ""
}
