package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"baton/store/index"
	"baton/store/record"
	"baton/store/snapshot"
	"baton/store/vfs"
	"baton/store/wal"
)

const (
	lockFile   = "lock"
	logDir     = "log"
	indexDir   = "index"
	applyChunk = 1 << 20
)

// Errors. Test with errors.Is.
var (
	// ErrLocked means that another process has the directory open.
	ErrLocked = errors.New("store: data directory is in use")
	// ErrNoMeta means that the directory has a log, but not what it promised.
	ErrNoMeta = errors.New("store: data directory has a log but no META")
	// ErrMeta means that META is damaged.
	ErrMeta = errors.New("store: META is damaged")
	// ErrVersion means that a newer program wrote META.
	ErrVersion = errors.New("store: unknown META version")
	// ErrForeign means that the directory belongs to another cluster or node.
	ErrForeign = errors.New("store: data directory belongs to another")
	// ErrSealed means that a higher epoch was promised.
	ErrSealed = errors.New("store: a higher epoch is sealed")
	// ErrTrimmed means that records cannot be cut off, because segments were
	// removed on the strength of them.
	ErrTrimmed = errors.New("store: the start of the log stands on these records")
	// ErrClosed means that Close was called.
	ErrClosed = errors.New("store: closed")
)

// Config says where the store is. Dir is required.
type Config struct {
	Dir           string
	FS            vfs.FS        // nil: the operating system's
	SegmentSize   int64         // see wal.Config
	FlushInterval time.Duration // see wal.Config
	ReserveBytes  int64         // see wal.Config
	// Quarantine lets Open move a damaged log aside and begin anew, as a new
	// incarnation: for a node whose peers hold what it held.
	Quarantine bool
	Logger     *slog.Logger // nil: silent
	Now        func() time.Time
}

func (c Config) withDefaults() Config {
	if c.FS == nil {
		c.FS = vfs.OS{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate reports the first setting that cannot work.
func (c Config) Validate() error {
	if c.Dir == "" {
		return errors.New("store: no data directory given")
	}
	return c.wal().Validate()
}

func (c Config) wal() wal.Config {
	return wal.Config{
		Dir: c.Dir, FS: c.FS, SegmentSize: c.SegmentSize, FlushInterval: c.FlushInterval,
		ReserveBytes: c.ReserveBytes, Logger: c.Logger, Now: c.Now,
	}
}

// Recovered tells what Open found.
type Recovered struct {
	Log wal.Recovery
	// LogLost means that the directory had a log and it is gone: the store is
	// empty and has a new incarnation.
	LogLost bool
	// Quarantined is the damage because of which the log was moved aside, ""
	// if it was not. LogLost is set then.
	Quarantined string
	// IndexRebuilt is why the index was made anew from the log, "" if it was
	// not.
	IndexRebuilt string
	// Applied is the position that the index had reached before Open brought
	// it up to Log.Commit.
	Applied record.Position
	Took    time.Duration
}

// Store is an open data directory. Its methods may be called from several
// goroutines.
type Store struct {
	cfg       Config
	lock      io.Closer
	log       *wal.Log // replaced by Install; for those who hold applying
	recovered Recovered

	meta struct {
		saving     sync.Mutex // held while META is written; comes before the other
		sync.Mutex            // guards the rest, never held over I/O
		Meta
		err error // META may be the old or the new one; nothing is written after it; guarded by saving
	}

	trimming sync.Mutex // held by Trim; comes before applying
	applying sync.Mutex // held by Apply, Truncate, Trim and Close, which take turns

	// Guarded by applying, or nobody else is there yet.
	start index.Trim      // why the log begins where it does; zero if it is whole
	kept  record.Position // the base that keepBase saw last

	applyBuf []byte // what Apply read last, to be used again; at most applyChunk

	checkpoint atomic.Uint64 // newest durable base

	reserves struct {
		sync.Mutex  // held across I/O on the two files; comes after all but mu
		index, meta *reserve
		refilling   bool // runRefill runs
		held        bool // the log takes no space until they are whole
		closed      bool
		closing     chan struct{}
		wg          sync.WaitGroup
	}

	mu struct {
		sync.Mutex
		log    *wal.Log // the same, for everybody
		index  *index.Index
		closed bool

		pins     map[uint64]record.Position // the log from there on is kept for a snapshot
		pinID    uint64
		receiver *snapshot.Receiver // the last one begun, nil if none since Install
	}
}

// Open opens or creates the data directory: lock, META, log, index, in this
// order. When it returns the index reflects the log up to the highest commit
// position that the log itself tells of. The caller closes the Store.
func Open(cfg Config) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	began := time.Now()
	s := newStore(cfg)
	err := s.open()
	if s.canQuarantine(err) {
		if s, err = s.quarantine(err); s == nil {
			return nil, fmt.Errorf("open store %s: %w", cfg.Dir, err)
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", cfg.Dir, err), s.release())
	}
	s.recovered.Took = time.Since(began)
	return s, nil
}

func newStore(cfg Config) *Store {
	s := &Store{cfg: cfg.withDefaults()}
	s.reserves.closing = make(chan struct{})
	s.initReserves()
	return s
}

func (s *Store) open() error {
	if err := vfs.MkdirAll(s.cfg.FS, s.cfg.Dir); err != nil {
		return err
	}
	lock, err := s.cfg.FS.Lock(filepath.Join(s.cfg.Dir, lockFile))
	if errors.Is(err, vfs.ErrLocked) {
		return fmt.Errorf("%w: stop the other process or choose another directory: %w", ErrLocked, err)
	}
	if err != nil {
		return err
	}
	s.lock = lock
	if _, err := snapshot.Resume(s.cfg.FS, s.cfg.Dir); err != nil {
		return err
	}
	if err := s.openMeta(); err != nil {
		return err
	}
	if err := s.openReserves(); err != nil {
		return err
	}
	if s.recovered.Log, err = s.openLog(); err != nil {
		return err
	}
	s.mu.log = s.log
	s.holdLog()
	if !s.meta.HasLog {
		if err := s.updateMeta(func(m *Meta) { m.HasLog = true }); err != nil {
			return err
		}
	}
	return s.openIndex()
}

// openMeta loads META or makes it, and finds out whether it and the log belong
// together.
func (s *Store) openMeta() error {
	hasLog, err := s.hasSegments()
	if err != nil {
		return err
	}
	m, found, err := loadMeta(s.cfg.FS, s.cfg.Dir)
	if err != nil {
		return err
	}
	if !found && hasLog {
		return fmt.Errorf("%w: restore %s from a copy, or empty the directory so that the node joins as a new one",
			ErrNoMeta, filepath.Join(s.cfg.Dir, metaFile))
	}
	s.meta.Meta = m
	if found && m.HasLog && !hasLog {
		s.recovered.LogLost = true
		s.cfg.Logger.Warn("the log is gone: starting empty, as a new incarnation", "dir", s.cfg.Dir)
	}
	if !found || s.recovered.LogLost {
		return s.updateMeta(func(m *Meta) { m.Incarnation, m.HasLog = newIncarnation(), false })
	}
	// The name may not be durable yet if the process was killed while saving.
	return s.cfg.FS.SyncDir(s.cfg.Dir)
}

func (s *Store) hasSegments() (bool, error) {
	infos, err := s.cfg.FS.List(filepath.Join(s.cfg.Dir, logDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	for _, info := range infos {
		if wal.IsSegmentName(info.Name) {
			return true, nil
		}
	}
	return false, nil
}

// Meta returns what META holds. It does not wait for one that is being written:
// what that says is not promised yet.
func (s *Store) Meta() Meta {
	s.meta.Lock()
	defer s.meta.Unlock()
	return s.meta.Meta
}

// updateMeta changes META durably. After an error, other than of a full disk,
// nobody knows what the disk holds, so every later change fails with it.
func (s *Store) updateMeta(change func(*Meta)) error {
	s.meta.saving.Lock()
	defer s.meta.saving.Unlock()
	return s.saveMeta(change)
}

// saveMeta is updateMeta with meta.saving held.
func (s *Store) saveMeta(change func(*Meta)) error {
	if s.meta.err != nil { // written with saving held alone
		return s.meta.err
	}
	was := s.Meta()
	m := was
	if change(&m); m == was {
		return nil
	}
	err := s.withReserve(0, func() error { return saveMeta(s.cfg.FS, s.cfg.Dir, m) })
	if vfs.IsFull(err) {
		return err // META is as it was, and may be written when there is space
	}
	if err != nil {
		s.meta.err = err
		return err
	}
	s.meta.Lock()
	defer s.meta.Unlock()
	s.meta.Meta = m
	return nil
}

// SetIdentity sets cluster id and node id durably where they are not set yet.
// "" leaves one as it is. A different value that is set already is ErrForeign.
func (s *Store) SetIdentity(clusterID, node string) error {
	s.meta.saving.Lock()
	defer s.meta.saving.Unlock()
	if has := s.meta.ClusterID; has != "" && clusterID != "" && has != clusterID {
		return fmt.Errorf("%w cluster: %s holds data of cluster %s, not of %s; give this node a directory of its own",
			ErrForeign, s.cfg.Dir, has, clusterID)
	}
	if has := s.meta.Node; has != "" && node != "" && has != node {
		return fmt.Errorf("%w node: %s holds data of node %s, not of %s; give this node a directory of its own",
			ErrForeign, s.cfg.Dir, has, node)
	}
	return s.saveMeta(func(m *Meta) {
		if clusterID != "" {
			m.ClusterID = clusterID
		}
		if node != "" {
			m.Node = node
		}
	})
}

// Seal promises an epoch: it is durable when Seal returns. ErrSealed if a
// higher one was promised.
func (s *Store) Seal(e record.Epoch) error {
	s.meta.saving.Lock()
	defer s.meta.saving.Unlock()
	if e < s.meta.Sealed {
		return fmt.Errorf("%w: %d, asked to seal %d", ErrSealed, s.meta.Sealed, e)
	}
	return s.saveMeta(func(m *Meta) { m.Sealed = e })
}

// Log returns the log. The Store closes it. Truncate the Store, not the Log.
// After an Install it is another one: do not keep it.
func (s *Store) Log() *wal.Log {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.log
}

// Recovered tells what Open found and did.
func (s *Store) Recovered() Recovered { return s.recovered }

// DiskBytes is the size of everything in the directory.
func (s *Store) DiskBytes() (int64, error) { return vfs.DiskBytes(s.cfg.FS, s.cfg.Dir) }

// Close flushes the log, closes everything and releases the directory. It
// waits for an Apply in progress.
func (s *Store) Close() error {
	s.mu.Lock()
	closed := s.mu.closed
	s.mu.closed = true
	s.mu.Unlock()
	if closed {
		return ErrClosed
	}
	return s.release()
}

// release closes everything, the lock last.
func (s *Store) release() error {
	err := s.shut()
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	return err
}

// shut closes all that reads or writes the directory, and keeps the lock.
func (s *Store) shut() error {
	s.closeReserves()
	s.applying.Lock()
	defer s.applying.Unlock()
	var errs []error
	if ix := s.Index(); ix != nil {
		errs = append(errs, ix.Close())
	}
	if s.log != nil {
		errs = append(errs, s.log.Close())
	}
	return errors.Join(errs...)
}
