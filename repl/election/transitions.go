package election

import "baton/store/record"

// What carrying out a step makes of a node. Whoever carries steps out calls
// these, in the order that the package comment gives; they are the part of it
// that promises depend on.

// DidSeal: epoch is promised on disk, this node neither leads nor follows any
// more, and its log is flushed. A node that must not lead promised, but is no
// candidate.
func (s *Self) DidSeal(epoch record.Epoch, ballot string) {
	s.Sealed, s.SealedHere, s.SealedFor, s.LinkDead = epoch, epoch, ballot, 0
	if s.unable() != "" {
		s.SealedHere, s.SealedFor = 0, ""
	}
}

// DidDamage: the log turned out to be damaged, and this node left every role.
// What it may have published of the log's end does not make it a leader any
// more.
func (s *Self) DidDamage(why string) { s.Damaged = why }

// DidInstall: the log was replaced as a whole by that of the leader of the day.
func (s *Self) DidInstall() {
	if s.Damaged != "" {
		s.Damaged, s.Unfit = "", ""
	}
}

// MayInstall says whether a log that came from the leader of epoch may take the
// place of this node's own: if nothing was promised since, for the end of the
// old log may have been published with it.
func MayInstall(epoch, sealed record.Epoch) bool { return sealed == epoch }

// unable is why this node must not lead, "" if it may.
func (s Self) unable() string {
	if s.Damaged != "" {
		return s.Damaged
	}
	return s.Unfit
}

// DidPromise: epoch is promised on disk.
func (s *Self) DidPromise(epoch record.Epoch) {
	s.Sealed, s.SealedHere, s.SealedFor = epoch, 0, ""
}

// DidFollow: this node begins to follow. What it promised and published for an
// election is used up by it.
func (s *Self) DidFollow(st Step) {
	s.Following, s.FollowingAt = st.Epoch, st.Address
	s.LinkUp, s.LinkDead, s.SealedHere, s.SealedFor = false, 0, 0, ""
}

// DidUnfollow: the link is closed and writes no more. It may have promised its
// leader's epoch: sealed is what the disk promised.
func (s *Self) DidUnfollow(sealed record.Epoch) {
	s.Following, s.FollowingAt, s.LinkUp = 0, "", false
	s.Sealed = sealed
}

// DidPromote: this node leads, with these voters. The promise is used up even if
// it could not begin to: then epoch is 0.
func (s *Self) DidPromote(epoch record.Epoch, voters map[string]string) {
	s.SealedHere, s.SealedFor = 0, ""
	s.Leading, s.Voters = epoch, voters
}

// DidStepDown: this node leads no more.
func (s *Self) DidStepDown() { s.Leading, s.Voters = 0, nil }

// LinkIsUp: the leader has said where the log goes on, and the log is there.
func (s *Self) LinkIsUp(sealed record.Epoch) {
	s.LinkUp, s.LinkDead, s.Sealed = true, 0, sealed
}

// LinkIsDead: the leader of epoch cannot be reached, or its epoch is over.
func (s *Self) LinkIsDead(epoch record.Epoch) { s.LinkUp, s.LinkDead = false, epoch }

// Candidacy is what is published of a log that ends at end: the position that
// counts in the election begun by ballot, or -1.
func (s Self) Candidacy(end record.Position) (position int64, ballot string) {
	if s.SealedHere == 0 {
		return -1, ""
	}
	return int64(end), s.SealedFor
}

// MayRegister says whether a leader may still register disks: while ZooKeeper
// shows that it leads.
func MayRegister(c Cluster, s Self) bool {
	return s.Leading != 0 && c.Epoch == s.Leading && c.Phase == PhaseElected && c.Leader == s.Node
}

// Once says that the write of a step must be sent once, on the connection that
// its view is from, or not at all: see Cluster.Ballot.
func (k Kind) Once() bool { return k == StartElection || k == Elect }

// Wrote takes the outcome of a write that succeeded. The view is what was
// written until the watch brings the same, which saves a round trip; not if the
// watch was faster, for it may have brought something newer, which it would not
// bring again; nor after another connection, which may have found a ZooKeeper
// that was wiped after the write. version and reads are those of the view that
// the step was decided on.
func (v *View) Wrote(st Step, version int32, reads uint64) {
	switch {
	case v.Reads != reads:
	case st.Kind == Form && !v.Exists:
		v.Version, v.Exists, v.Cluster = 0, true, st.Cluster
	case st.Kind != Form && v.Exists && v.Version == version:
		v.Version, v.Cluster = version+1, st.Cluster
	}
}
