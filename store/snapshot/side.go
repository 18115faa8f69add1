package snapshot

import (
	"encoding/binary"
	"fmt"
	"path/filepath"

	"baton/store/record"
	"baton/store/vfs"
)

// Side is what a log that begins above 0 needs besides its segments. Both are
// opaque here; they belong to package store.
type Side struct {
	Start []byte // log/START: why the log begins where it does
	Base  []byte // log/<start>.base: what the records below it add up to
}

const startFile = "START"

func baseFile(start record.Position) string { return fmt.Sprintf("%016x.base", uint64(start)) }

// ReadSide reads the side files of a log that begins at start, which is above
// 0, from the log's directory. fs.ErrNotExist if one is missing.
func ReadSide(fsys vfs.FS, dir string, start record.Position) (s Side, err error) {
	if s.Start, err = vfs.ReadFile(fsys, filepath.Join(dir, startFile), MaxSideSize/2); err == nil {
		s.Base, err = vfs.ReadFile(fsys, filepath.Join(dir, baseFile(start)), MaxSideSize/2)
	}
	return s, err
}

// write makes the files, durably.
func (s Side) write(fsys vfs.FS, dir string, start record.Position) error {
	if err := vfs.WriteFile(fsys, filepath.Join(dir, baseFile(start)), s.Base); err != nil {
		return err
	}
	return vfs.WriteFile(fsys, filepath.Join(dir, startFile), s.Start)
}

// encode returns both as one run of bytes, none if there is nothing.
func (s Side) encode() []byte {
	if len(s.Start)+len(s.Base) == 0 {
		return nil
	}
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(s.Start)))
	return append(append(b, s.Start...), s.Base...)
}

func decodeSide(b []byte) (Side, error) {
	if len(b) < 8 || binary.LittleEndian.Uint64(b) > uint64(len(b)-8) {
		return Side{}, fmt.Errorf("%w: side files of %d bytes", ErrChunk, len(b))
	}
	n := binary.LittleEndian.Uint64(b)
	return Side{Start: b[8 : 8+n], Base: b[8+n:]}, nil
}
