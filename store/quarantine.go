package store

import (
	"errors"
	"fmt"
	"path/filepath"

	"baton/store/wal"
)

// damagedDir holds logs that could not be opened, for people to look at.
const damagedDir = "damaged-%d"

// canQuarantine tells whether the store may begin anew because of an error.
func (s *Store) canQuarantine(err error) bool {
	var c *wal.CorruptionError
	return s.cfg.Quarantine && s.lock != nil && errors.As(err, &c)
}

// quarantine moves the log aside and opens the store without one, which makes
// it a new incarnation: it cannot say what it acknowledged, so it must count in
// no quorum until a leader has brought it up to date.
func (s *Store) quarantine(damage error) (*Store, error) {
	err := s.shut() // before the directory moves: the log makes spare files in it
	var aside string
	if err == nil {
		aside, err = s.freeName()
	}
	if err == nil {
		err = s.cfg.FS.Rename(filepath.Join(s.cfg.Dir, logDir), aside)
	}
	if err == nil {
		err = s.cfg.FS.SyncDir(s.cfg.Dir)
	}
	if lerr := s.lock.Close(); err == nil {
		err = lerr
	}
	if err != nil {
		return nil, errors.Join(damage, fmt.Errorf("move the damaged log aside: %w", err))
	}
	s.cfg.Logger.Error("the log is damaged: it was moved aside, and this node joins as a new one", "to", aside, "err", damage)
	again := newStore(s.cfg)
	if err := again.open(); err != nil {
		return nil, errors.Join(err, again.release())
	}
	again.recovered.Quarantined = fmt.Sprintf("%v (moved to %s)", damage, aside)
	return again, nil
}

// freeName is where the log goes.
func (s *Store) freeName() (string, error) {
	infos, err := s.cfg.FS.List(s.cfg.Dir)
	if err != nil {
		return "", err
	}
	n := 1
	for _, info := range infos {
		var have int
		if _, err := fmt.Sscanf(info.Name, damagedDir, &have); err == nil {
			n = max(n, have+1)
		}
	}
	return filepath.Join(s.cfg.Dir, fmt.Sprintf(damagedDir, n)), nil
}
