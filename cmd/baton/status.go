package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"baton/node/adminapi"
	"baton/zkclient/group"
)

// clusterStatus is what baton status --json prints.
type clusterStatus struct {
	Health  string             `json:"health"` // healthy, degraded or no leader
	Reason  string             `json:"reason,omitempty"`
	Leader  string             `json:"leader,omitempty"`
	Epoch   uint64             `json:"epoch"`
	Cluster *group.ClusterData `json:"cluster,omitempty"`
	Nodes   []nodeStatus       `json:"nodes"`
}

type nodeStatus struct {
	Node   string           `json:"node"`
	Eid    string           `json:"eid"`
	Error  string           `json:"error,omitempty"`
	Status *adminapi.Status `json:"status,omitempty"`
}

func statusCommand() *cobra.Command {
	var servers []string
	var path string
	var asJSON bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Show a cluster's health: exit 0 healthy, 1 degraded, 2 no leader",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := discover(cmd.Context(), servers, path)
			if err != nil {
				return err
			}
			s := judge(d)
			if asJSON {
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				if err := enc.Encode(s); err != nil {
					return err
				}
			} else if err := s.print(cmd.OutOrStdout()); err != nil {
				return err
			}
			switch s.Health {
			case "healthy":
				return nil
			case "degraded":
				return exitError{code: exitFailure}
			}
			return exitError{code: exitUsage}
		},
	}
	zkFlags(c, &servers, &path)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// judge derives the health: without a leader that serves nobody can send;
// without all replicas in sync the next failure may stop the cluster.
func judge(d discovered) clusterStatus {
	s := clusterStatus{Health: "no leader", Cluster: d.snap.Cluster, Nodes: []nodeStatus{}}
	for _, n := range d.nodes {
		ns := nodeStatus{Node: n.member.Data.Node, Eid: n.member.Eid}
		if n.err != nil {
			ns.Error = n.err.Error()
		} else {
			ns.Status = &n.status
		}
		s.Nodes = append(s.Nodes, ns)
	}
	l, ok := d.leader()
	switch {
	case !ok:
		s.Reason = "no node says that it leads"
		for _, n := range d.nodes {
			if n.err == nil && n.status.Reason != "" {
				s.Reason = n.status.Reason
			}
		}
		return s
	case l.status.State == adminapi.StatePromoting:
		s.Leader, s.Epoch, s.Reason = l.status.Node, l.status.Epoch, l.status.Node+" was elected and waits for its quorum"
		return s
	}
	s.Leader, s.Epoch = l.status.Node, l.status.Epoch
	q := l.status.Quorum
	switch {
	case !q.OK:
		s.Health, s.Reason = "no leader", fmt.Sprintf("%s leads without a quorum (%d of %d): producers wait", l.status.Node, q.Have, q.Size)
	case q.Have < q.Replicas:
		s.Health, s.Reason = "degraded", fmt.Sprintf("%d of %d replicas are in sync", q.Have, q.Replicas)
	case !l.status.ZooKeeper.Connected:
		s.Health, s.Reason = "degraded", "the leader cannot reach ZooKeeper: no failover is possible"
	default:
		s.Health = "healthy"
	}
	return s
}

func (s clusterStatus) print(w io.Writer) error {
	fmt.Fprintf(w, "%s", s.Health)
	if s.Reason != "" {
		fmt.Fprintf(w, ": %s", s.Reason)
	}
	fmt.Fprintf(w, "\n\n")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NODE\tROLE\tSTATE\tEPOCH\tAPPEND\tCOMMIT\tLAG\tCLIENTS\tADMIN")
	for _, n := range s.Nodes {
		if n.Status == nil {
			fmt.Fprintf(t, "%s\t?\tdoes not answer\n", n.Node)
			continue
		}
		st := n.Status
		lag := "-"
		if st.Link != nil {
			lag = fmt.Sprintf("%d B", st.Link.LagBytes)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d\t%d\t%s\t%s\t%s\n", st.Node, st.Role, st.State, st.Epoch,
			st.Positions.Append, st.Positions.Commit, lag, st.Addresses.Stomp, st.Addresses.Admin)
	}
	return t.Flush()
}
