package snapshot

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"baton/store/record"
	"baton/store/vfs"
	"baton/store/wal"
)

// Names in the data directory.
const (
	IncomingDir = "incoming"
	installDir  = "install"
	replacedDir = "replaced"
	logDir      = "log"
	baseExt     = ".base"
	indexDir    = "index"
	scanChunk   = 1 << 20
)

// Receiver takes in a snapshot. It is for one goroutine at a time, which closes
// it.
type Receiver struct {
	cfg      wal.Config
	dir      string
	m        Manifest
	log      *wal.Log
	base     vfs.File // open while it is not complete
	baseAt   int64
	end      record.Position
	chain    uint64
	finished bool
}

// Receive begins or resumes to take in a snapshot below a data directory, whose
// lock the caller holds: what an earlier attempt received is kept if it is part
// of this snapshot, and removed if not. cfg is that of the log which is to be
// replaced.
func Receive(cfg wal.Config, m Manifest) (*Receiver, error) {
	if cfg.FS == nil {
		cfg.FS = vfs.OS{}
	}
	cfg.Name, cfg.Start, cfg.Boundaries = IncomingDir, m.Start, m.before(m.Start)
	r := &Receiver{cfg: cfg, dir: filepath.Join(cfg.Dir, IncomingDir), m: m}
	err := r.open()
	if err == nil && r.fits() {
		return r, nil
	}
	// What is there is of another snapshot, or damaged: from the beginning.
	r.Close()
	if err := removeAll(cfg.FS, r.dir); err != nil {
		return nil, fmt.Errorf("remove what was received before: %w", err)
	}
	*r = Receiver{cfg: cfg, dir: r.dir, m: m}
	if err := r.open(); err != nil {
		r.Close()
		return nil, fmt.Errorf("receive snapshot: %w", err)
	}
	return r, nil
}

// open opens what is in incoming and finds out how far it is.
func (r *Receiver) open() (err error) {
	if r.log, _, err = wal.Open(r.cfg); err != nil {
		return err
	}
	if err := r.openBase(); err != nil {
		return err
	}
	r.end, r.chain = r.log.Positions().Start, r.m.StartChain
	for end := r.log.Positions().Append; r.end < end; {
		b, err := r.log.Read(r.end, scanChunk)
		if err != nil {
			return err
		}
		if err := r.fold(b); err != nil {
			return err
		}
	}
	return nil
}

// fold moves over batches that are in the log.
func (r *Receiver) fold(b []byte) error {
	for h, batch := range record.Batches(b) {
		r.end, r.chain = h.End(), record.Chain(r.chain, batch)
		if r.end == r.m.Check && r.chain != r.m.Chain {
			return fmt.Errorf("%w: at position %d its running hash is %016x, here it is %016x", ErrDiffers, r.end, r.m.Chain, r.chain)
		}
	}
	return nil
}

// fits tells whether the log that was opened is the beginning of the snapshot.
// Two logs that have the same epoch at the same position are equal up to it.
func (r *Receiver) fits() bool {
	p := r.log.Positions()
	if p.Start != r.m.Start || p.Append > r.m.End {
		return false
	}
	return p.Append == p.Start || p.Epoch == r.m.epochAt(p.Append) && p.Epoch != 0
}

func (r *Receiver) basePath() string {
	return filepath.Join(r.dir, fmt.Sprintf("%016x%s", uint64(r.m.Start), baseExt))
}

// openBase goes on with a base file of an earlier attempt, which is verified as
// a whole when it is complete.
func (r *Receiver) openBase() (err error) {
	if r.m.BaseSize == 0 {
		return nil
	}
	info, err := r.cfg.FS.Stat(r.basePath())
	if err == nil && info.Size == r.m.BaseSize {
		return r.checkBase()
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	r.base, err = r.cfg.FS.Create(r.basePath() + vfs.TempSuffix)
	return err
}

func (r *Receiver) checkBase() error {
	b, err := vfs.ReadFile(r.cfg.FS, r.basePath(), r.m.BaseSize)
	if err != nil {
		return err
	}
	if sha256.Sum256(b) != r.m.BaseSum {
		return fmt.Errorf("%w: base file has another checksum", ErrDiffers)
	}
	r.baseAt = r.m.BaseSize
	return nil
}

// Next says which chunk is wanted: everything before it is here. At the end of
// the log nothing is.
func (r *Receiver) Next() (Part, record.Position) {
	if r.baseAt < r.m.BaseSize {
		return PartBase, record.Position(r.baseAt)
	}
	return PartLog, r.end
}

// Complete tells whether everything was written.
func (r *Receiver) Complete() bool {
	return r.baseAt == r.m.BaseSize && r.end == r.m.End
}

// Write takes the chunk that Next asks for. Nothing of a chunk that does not
// fit is kept. Errors: ErrChunk, ErrDiffers, those of the log and the disk.
func (r *Receiver) Write(part Part, at record.Position, b []byte, sum [sha256.Size]byte) error {
	if want, next := r.Next(); part != want || at != next {
		return fmt.Errorf("%w: part %d at %d came, part %d at %d is next", ErrChunk, part, at, want, next)
	}
	if len(b) == 0 || sha256.Sum256(b) != sum {
		return fmt.Errorf("%w: %d bytes at %d do not have the checksum that came with them", ErrChunk, len(b), at)
	}
	if part == PartBase {
		return r.writeBase(b)
	}
	return r.writeLog(b)
}

func (r *Receiver) writeBase(b []byte) error {
	if r.baseAt+int64(len(b)) > r.m.BaseSize {
		return fmt.Errorf("%w: base file is longer than %d bytes", ErrChunk, r.m.BaseSize)
	}
	if _, err := r.base.WriteAt(b, r.baseAt); err != nil {
		return fmt.Errorf("write base file: %w", err)
	}
	if r.baseAt += int64(len(b)); r.baseAt < r.m.BaseSize {
		return nil
	}
	err := r.base.Sync()
	if cerr := r.base.Close(); err == nil {
		err = cerr
	}
	r.base = nil
	if err == nil {
		err = r.cfg.FS.Rename(r.basePath()+vfs.TempSuffix, r.basePath())
	}
	if err == nil {
		err = r.cfg.FS.SyncDir(r.dir)
	}
	if err != nil {
		return fmt.Errorf("write base file: %w", err)
	}
	return r.checkBase()
}

func (r *Receiver) writeLog(b []byte) error {
	for at := 0; at < len(b); {
		h, err := record.Verify(b[at:])
		if err != nil {
			return fmt.Errorf("%w: %w", ErrChunk, err)
		}
		if h.End() > r.m.End || h.Epoch > r.m.Epoch {
			return fmt.Errorf("%w: batch of epoch %d up to %d, the snapshot ends at %d in epoch %d", ErrChunk, h.Epoch, h.End(), r.m.End, r.m.Epoch)
		}
		at += int(h.Length)
	}
	if _, err := r.log.AppendRaw(b); err != nil {
		return fmt.Errorf("write received log: %w", err)
	}
	return r.fold(b)
}

// Err is why the log can take no more, nil while it can.
func (r *Receiver) Err() error { return r.log.Err() }

// Finish makes what was received durable. Then Commit may be called. Errors:
// ErrIncomplete, ErrDiffers, those of the disk.
func (r *Receiver) Finish(ctx context.Context) error {
	if !r.Complete() {
		return fmt.Errorf("%w: up to %d of %d", ErrIncomplete, r.end, r.m.End)
	}
	if err := r.log.WaitFlushed(ctx, r.end); err != nil {
		return fmt.Errorf("flush received log: %w", err)
	}
	err := r.log.Close()
	r.log = nil
	if err != nil {
		return fmt.Errorf("finish received log: %w", err)
	}
	r.finished = true
	return nil
}

// Finished tells whether Finish has succeeded.
func (r *Receiver) Finished() bool { return r.finished }

// Close leaves what was received for the next attempt.
func (r *Receiver) Close() error {
	var errs []error
	if r.base != nil {
		errs = append(errs, r.base.Close())
		r.base = nil
	}
	if r.log != nil {
		errs = append(errs, r.log.Close())
		r.log = nil
	}
	return errors.Join(errs...)
}
