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
	side     []byte // what came of the side files, until they are written
	sideAt   int64
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
	if err := r.openSide(); err != nil {
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

// openSide goes on with side files of an earlier attempt if they are complete.
func (r *Receiver) openSide() error {
	if r.m.SideSize == 0 {
		return nil
	}
	side, err := ReadSide(r.cfg.FS, r.dir, r.m.Start)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if b := side.encode(); int64(len(b)) != r.m.SideSize || sha256.Sum256(b) != r.m.SideSum {
		return nil // they are replaced
	}
	r.sideAt = r.m.SideSize
	return nil
}

// Next says which chunk is wanted: everything before it is here. At the end of
// the log nothing is.
func (r *Receiver) Next() (Part, record.Position) {
	if r.sideAt < r.m.SideSize {
		return PartSide, record.Position(r.sideAt)
	}
	return PartLog, r.end
}

// Complete tells whether everything was written.
func (r *Receiver) Complete() bool {
	return r.sideAt == r.m.SideSize && r.end == r.m.End
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
	if part == PartSide {
		return r.writeSide(b)
	}
	return r.writeLog(b)
}

func (r *Receiver) writeSide(b []byte) error {
	if r.sideAt+int64(len(b)) > r.m.SideSize {
		return fmt.Errorf("%w: side files are longer than %d bytes", ErrChunk, r.m.SideSize)
	}
	r.side = append(r.side, b...)
	if r.sideAt += int64(len(b)); r.sideAt < r.m.SideSize {
		return nil
	}
	whole := r.side
	r.side = nil
	if sha256.Sum256(whole) != r.m.SideSum {
		r.sideAt = 0
		return fmt.Errorf("%w: side files have another checksum", ErrDiffers)
	}
	side, err := decodeSide(whole)
	if err == nil {
		err = side.write(r.cfg.FS, r.dir, r.m.Start)
	}
	if err != nil {
		r.sideAt = 0
	}
	return err
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
	if r.log != nil {
		errs = append(errs, r.log.Close())
		r.log = nil
	}
	return errors.Join(errs...)
}
