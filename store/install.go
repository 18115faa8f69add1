package store

import (
	"context"
	"fmt"
	"path/filepath"

	"baton/store/index"
	"baton/store/record"
	"baton/store/snapshot"
)

// Snapshot holds the log for another node to copy: from its start up to its
// append position, when that is on stable storage; ctx bounds the wait for it.
// It takes no copy and does not hold up appends. The caller releases it.
func (s *Store) Snapshot(ctx context.Context) (*snapshot.Snapshot, error) {
	// The index first: what it has applied is below the end that is read next.
	check, chain := s.Applied()
	s.trimming.Lock() // the pin is there before a trim looks for it, or after it has ended
	log := s.Log()
	release := s.pin(0) // of any start that the log has when it is read next
	s.trimming.Unlock()
	p := log.Positions()
	m := snapshot.Manifest{ClusterID: s.Meta().ClusterID, Start: p.Start, End: p.Append, Epoch: p.Epoch, Check: check, Chain: chain}
	for _, b := range log.EpochBoundaries() {
		if b.Start < p.Append && b.Epoch <= p.Epoch {
			m.Boundaries = append(m.Boundaries, b)
		}
	}
	var side snapshot.Side
	var err error
	if p.Start > 0 {
		if side, err = snapshot.ReadSide(s.cfg.FS, filepath.Join(s.cfg.Dir, logDir), p.Start); err == nil {
			m.StartChain, err = baseChain(side.Base)
		}
	}
	if err == nil {
		err = log.WaitFlushed(ctx, p.Append)
	}
	if check < p.Start {
		m.Check, m.Chain = p.Start, m.StartChain
	}
	var snap *snapshot.Snapshot
	if err == nil {
		snap, err = snapshot.New(m, log, side, release)
	}
	if err != nil {
		release()
		return nil, fmt.Errorf("make snapshot of the log from %d: %w", p.Start, err)
	}
	return snap, nil
}

// Receive begins or resumes to take in a snapshot of another node's log, aside
// from this one's, which stays in use. Install puts it in place. The caller
// closes the Receiver.
func (s *Store) Receive(m snapshot.Manifest) (*snapshot.Receiver, error) {
	if has := s.Meta().ClusterID; has != m.ClusterID {
		return nil, fmt.Errorf("%w: the snapshot is of cluster %q, this directory of %q", snapshot.ErrForeign, m.ClusterID, has)
	}
	r, err := snapshot.Receive(s.cfg.wal(), m)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.receiver = r
	return r, err
}

// Install replaces the log by the one that a Receiver has finished, atomically
// and durably, and begins a new index, which the next Apply fills. What META
// promises stays. No role may be using the log, and nobody may keep what Log
// and Index returned before.
//
// ErrIncomplete, of package snapshot, means that there is none and nothing was
// changed. After another error the store is of no more use; the directory holds the old log
// or the new one, and is opened as usual.
func (s *Store) Install() error {
	s.trimming.Lock()
	defer s.trimming.Unlock()
	s.applying.Lock()
	defer s.applying.Unlock()
	ix := s.Index()
	if ix == nil {
		return ErrClosed
	}
	s.mu.Lock()
	r := s.mu.receiver
	s.mu.receiver = nil
	s.mu.Unlock()
	if r == nil || !r.Finished() {
		return fmt.Errorf("install snapshot: %w", snapshot.ErrIncomplete)
	}
	ix.Close()    // it is wiped next
	s.log.Close() // it may have failed, or be damaged: that is why it goes
	if err := snapshot.Commit(s.cfg.FS, s.cfg.Dir); err != nil {
		return fmt.Errorf("install snapshot: %w", err)
	}
	if _, err := snapshot.Resume(s.cfg.FS, s.cfg.Dir); err != nil {
		return fmt.Errorf("install snapshot: %w", err)
	}
	s.start = index.Trim{}
	s.checkpoint.Store(0)
	rec, err := s.openLog()
	if err != nil {
		return fmt.Errorf("open installed log: %w", err)
	}
	log := s.log
	ix, err = index.Open(s.cfg.FS, s.indexPath())
	if err == nil {
		err = s.beginIndex(ix)
	}
	if err != nil {
		log.Close()
		return fmt.Errorf("open new index: %w", err)
	}
	s.mu.Lock()
	s.mu.log, s.mu.index = log, ix
	s.mu.Unlock()
	s.cfg.Logger.Warn("installed a snapshot", "start", rec.Start, "position", rec.Append)
	return nil
}

// baseChain is the running hash of the log below its start, which the base
// file knows.
func baseChain(base []byte) (uint64, error) {
	b, err := index.DecodeBase(base)
	return b.Chain, err
}

// pin keeps the log from a position on until the function is called.
func (s *Store) pin(from record.Position) (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.pinID++
	id := s.mu.pinID
	if s.mu.pins == nil {
		s.mu.pins = map[uint64]record.Position{}
	}
	s.mu.pins[id] = from
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.mu.pins, id)
	}
}

// Pinned is the lowest position that a snapshot still needs, or limit if that
// is lower: nothing at or above it may be freed.
func (s *Store) Pinned(limit record.Position) record.Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.mu.pins {
		limit = min(limit, p)
	}
	return limit
}
