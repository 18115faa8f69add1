package data

import (
	"baton/node/adminapi"
	"baton/tui/component"
)

// Clean removes from text of the outside all that could move the cursor, hide
// or reorder what is drawn. Every string that a Source publishes went through it.
func Clean(s string) string { return component.Clean(s) }

func clean(fields ...*string) {
	for _, f := range fields {
		*f = Clean(*f)
	}
}

func cleanStatus(st *adminapi.Status) {
	clean(&st.Node, &st.ClusterID, &st.Incarnation, &st.Version, &st.Role, &st.State, &st.Reason, &st.Leader,
		&st.Sync, &st.Addresses.Stomp, &st.Addresses.Repl, &st.Addresses.Admin, &st.Chain.Hash,
		&st.ZooKeeper.Path, &st.ZooKeeper.Server, &st.ZooKeeper.SessionID, &st.ZooKeeper.Eid)
	for i := range st.ZooKeeper.Servers {
		clean(&st.ZooKeeper.Servers[i])
	}
	for i := range st.Quorum.Missing {
		clean(&st.Quorum.Missing[i])
	}
	for i := range st.Followers {
		f := &st.Followers[i]
		clean(&f.Node, &f.State, &f.Remote)
	}
	if l := st.Link; l != nil {
		clean(&l.Leader, &l.Address, &l.Error)
	}
	for i := range st.Chain.Recent {
		clean(&st.Chain.Recent[i].Hash)
	}
}

func cleanTree(t *Tree) {
	clean(&t.Error, &t.Path, &t.Server, &t.Phase, &t.Leader)
	for i := range t.Registered {
		clean(&t.Registered[i])
	}
	for i := range t.Members {
		m := &t.Members[i]
		clean(&m.Eid, &m.Node, &m.Session, &m.Elected, &m.State, &m.Address, &m.Clients, &m.Admin)
	}
}

func cleanProcesses(ps []Process) {
	for i := range ps {
		clean(&ps[i].Name, &ps[i].Kind, &ps[i].State, &ps[i].Exit, &ps[i].Mode)
	}
}
