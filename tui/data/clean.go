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

// CleanAll cleans every text of a snapshot that did not come from a Source.
func (s *Snapshot) CleanAll() {
	clean(&s.Cluster, &s.QueuesOf)
	for i := range s.Nodes {
		n := &s.Nodes[i]
		clean(&n.ID, &n.Admin, &n.Error)
		cleanStatus(&n.Status)
	}
	cleanTree(&s.Tree)
	for i := range s.Queues {
		clean(&s.Queues[i].Name)
	}
	s.Failovers = cleanRuns(s.Failovers)
	cleanProcesses(s.Processes)
	for i := range s.Servers {
		v := &s.Servers[i]
		clean(&v.Address, &v.Error, &v.Mode, &v.Version, &v.Zxid)
	}
	for i := range s.Links {
		clean(&s.Links[i].Kind, &s.Links[i].From, &s.Links[i].To)
	}
	if s.Lesson != nil {
		cleanLesson(s.Lesson)
	}
}

func cleanLesson(l *Lesson) {
	clean(&l.Name, &l.Title, &l.Failed)
	for i := range l.Steps {
		st := &l.Steps[i]
		clean(&st.Title, &st.Story, &st.Ask, &st.Do, &st.Did, &st.Hint, &st.Explain)
		for j := range st.Choices {
			clean(&st.Choices[j])
		}
		for j := range st.Checks {
			clean(&st.Checks[j].Text)
		}
	}
}
