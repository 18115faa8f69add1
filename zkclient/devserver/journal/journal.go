package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Journal is an open directory. It is used by one goroutine. After any error
// of Flush or Snapshot it must only be closed: what is on disk is unknown until
// the next recovery.
type Journal struct {
	dir        string
	lock       *os.File
	log        *os.File
	generation uint64
	pending    []byte // records not written yet
	written    int64  // length of the log file
	synced     int64  // of which on stable storage
	failed     bool   // a write failed: never write again
	syncs      int64
	syncTotal  time.Duration
	syncMax    time.Duration
}

// Open takes a directory, which is made if needed, and recovers the state: load
// is called with the payload of the snapshot, or not at all in a new directory,
// and then apply with each record. Snapshot must be called before anything is
// appended.
func Open(dir string, load, apply func(payload []byte) error) (*Journal, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create data directory: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	j := &Journal{dir: dir, lock: lock}
	if err := j.recover(load, apply); err != nil {
		lock.Close()
		return nil, err
	}
	return j, nil
}

func lockDir(dir string) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock file: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s: stop that server or choose another directory", ErrLocked, dir)
		}
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return lock, nil
}

func (j *Journal) recover(load, apply func([]byte) error) error {
	generation, found, err := j.newest()
	if err != nil || !found {
		return err
	}
	j.generation = generation
	path := j.path("snapshot", generation)
	file, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read snapshot: %w", err)
	}
	payload, err := decodeSnapshot(file)
	if err == nil {
		err = load(payload)
	}
	if err != nil {
		return fmt.Errorf("recover from %s: %w", path, err)
	}
	path = j.path("log", generation)
	log, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read log: %w", err)
	}
	if _, err := scan(log, apply); err != nil {
		return fmt.Errorf("recover from %s: %w", path, err)
	}
	return nil
}

// newest finds the highest complete snapshot.
func (j *Journal) newest() (generation uint64, found bool, err error) {
	entries, err := os.ReadDir(j.dir)
	if err != nil {
		return 0, false, fmt.Errorf("list data directory: %w", err)
	}
	for _, entry := range entries {
		digits, isSnapshot := strings.CutPrefix(entry.Name(), "snapshot.")
		if n, err := strconv.ParseUint(digits, 16, 64); isSnapshot && err == nil && (!found || n > generation) {
			generation, found = n, true
		}
	}
	return generation, found, nil
}

func (j *Journal) path(kind string, generation uint64) string {
	return filepath.Join(j.dir, fmt.Sprintf("%s.%016x", kind, generation))
}

// Append adds a record. Nothing is written before Flush.
func (j *Journal) Append(payload []byte) error {
	if len(payload) > MaxRecord {
		return fmt.Errorf("%w: %d bytes", ErrTooLong, len(payload))
	}
	j.pending = appendRecord(j.pending, payload, j.synced)
	return nil
}

// Flush writes the appended records to the file, so that they outlive this
// process; with sync also to stable storage, so that they outlive the machine.
func (j *Journal) Flush(sync bool) error {
	err := j.flush(sync)
	j.failed = j.failed || err != nil
	return err
}

func (j *Journal) flush(sync bool) error {
	if len(j.pending) > 0 {
		if _, err := j.log.Write(j.pending); err != nil {
			return fmt.Errorf("write log: %w", err)
		}
		j.written += int64(len(j.pending))
		j.pending = j.pending[:0]
	}
	if !sync || j.synced == j.written {
		return nil
	}
	start := time.Now()
	if err := j.log.Sync(); err != nil {
		return fmt.Errorf("sync log: %w", err)
	}
	took := time.Since(start)
	j.synced = j.written
	j.syncs++
	j.syncTotal += took
	j.syncMax = max(j.syncMax, took)
	return nil
}

// LogBytes returns the length of the log since the last snapshot.
func (j *Journal) LogBytes() int64 { return j.written + int64(len(j.pending)) }

// Syncs returns the number of syncs of the log, their time in all and the
// longest.
func (j *Journal) Syncs() (count int64, total, longest time.Duration) {
	return j.syncs, j.syncTotal, j.syncMax
}

// Snapshot makes payload the state from which the next recovery starts, and
// empties the log. Records that were appended and not flushed are dropped: the
// payload must have them.
func (j *Journal) Snapshot(payload []byte) error {
	err := j.snapshot(payload)
	j.failed = j.failed || err != nil
	return err
}

func (j *Journal) snapshot(payload []byte) error {
	next := j.generation + 1
	path := j.path("snapshot", next)
	if err := writeSynced(path+".tmp", encodeSnapshot(payload)); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return fmt.Errorf("publish snapshot: %w", err)
	}
	log, err := os.OpenFile(j.path("log", next), os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("create log: %w", err)
	}
	if err := syncDir(j.dir); err != nil {
		log.Close()
		return fmt.Errorf("sync data directory: %w", err)
	}
	if j.log != nil {
		j.log.Close() // replaced by the snapshot; nothing in it is needed
	}
	j.log, j.generation = log, next
	j.pending, j.written, j.synced = nil, 0, 0
	return j.removeOld()
}

// removeOld removes what a newer generation has replaced, and what a crash
// left unfinished.
func (j *Journal) removeOld() error {
	entries, err := os.ReadDir(j.dir)
	if err != nil {
		return fmt.Errorf("list data directory: %w", err)
	}
	keep := map[string]bool{
		filepath.Base(j.path("snapshot", j.generation)): true,
		filepath.Base(j.path("log", j.generation)):      true,
	}
	for _, entry := range entries {
		name := entry.Name()
		if keep[name] || !strings.HasPrefix(name, "snapshot.") && !strings.HasPrefix(name, "log.") {
			continue
		}
		if err := os.Remove(filepath.Join(j.dir, name)); err != nil {
			return fmt.Errorf("remove old generation: %w", err)
		}
	}
	return nil
}

// Close writes and syncs what was appended and gives the directory free.
func (j *Journal) Close() error {
	var err error
	if j.log != nil {
		if !j.failed { // after a failed sync a second one proves nothing
			err = j.Flush(true)
		}
		err = errors.Join(err, j.log.Close())
	}
	return errors.Join(err, j.lock.Close())
}

func writeSynced(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := file.Write(content); err != nil {
		file.Close()
		return err
	}
	if err := file.Sync(); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
