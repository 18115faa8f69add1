package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
)

// Errors of this package. A missing file is fs.ErrNotExist.
var (
	// ErrLocked means that another holder has the lock; the text says who.
	ErrLocked = errors.New("vfs: locked by another process")
	// ErrCrashed is what a Mem answers after its Crash: its machine is off.
	ErrCrashed = errors.New("vfs: the machine has crashed")
)

// FS is a file system. Names are slash-separated paths. All methods may be
// called from several goroutines.
type FS interface {
	// Create makes or empties a file and opens it for reading and writing.
	Create(name string) (File, error)
	// Open opens an existing file for reading and writing.
	Open(name string) (File, error)
	// Rename gives a file another name, atomically replacing its holder.
	Rename(from, to string) error
	// Remove removes a file or an empty directory.
	Remove(name string) error
	// Mkdir makes one directory; one that exists is no error.
	Mkdir(name string) error
	// List returns what a directory holds, sorted by name.
	List(dir string) ([]Info, error)
	// Stat describes one file or directory.
	Stat(name string) (Info, error)
	// SyncDir makes the names in a directory durable.
	SyncDir(dir string) error
	// Lock takes an exclusive lock on a file, made if it is missing, until the
	// Closer is closed or the process ends. It never waits: ErrLocked.
	Lock(name string) (io.Closer, error)
}

// File is an open file. ReadAt and WriteAt may be called from several
// goroutines, also while Sync runs; Close must be the last call.
type File interface {
	io.ReaderAt
	io.WriterAt
	// Truncate sets the size; a file that grows is filled with zeros.
	Truncate(size int64) error
	// Sync makes content and size durable (fdatasync on Linux).
	Sync() error
	// Size is the size in bytes.
	Size() (int64, error)
	Close() error
}

// Info describes a directory entry.
type Info struct {
	Name string // without its directory
	Size int64
	Dir  bool
}

// MkdirAll makes a directory and those above it that are missing, and makes
// each new name durable. One that exists may have been made by a process that
// was killed before it came to sync the name, so that is done again.
func MkdirAll(fsys FS, dir string) error {
	parent := filepath.Dir(dir)
	if info, err := fsys.Stat(dir); err == nil {
		if !info.Dir {
			return fmt.Errorf("make directory %s: a file has that name", dir)
		}
		if err := fsys.SyncDir(parent); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if parent != dir {
		if err := MkdirAll(fsys, parent); err != nil {
			return err
		}
	}
	if err := fsys.Mkdir(dir); err != nil {
		return err
	}
	return fsys.SyncDir(parent)
}

// ReadFile returns the content of a file of at most limit bytes.
func ReadFile(fsys FS, name string, limit int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > limit {
		return nil, fmt.Errorf("read %s: %d bytes, expected at most %d", name, size, limit)
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return b, nil
}

// TempSuffix ends the names of files that are not complete yet. Whoever opens
// a directory may remove them.
const TempSuffix = ".tmp"

// WriteFile replaces a file durably and atomically: it writes aside, syncs,
// renames, and syncs the directory. After an error that IsFull knows the file is
// as it was.
func WriteFile(fsys FS, name string, data []byte) error {
	return WriteAside(fsys, name, func(f File) error {
		_, err := f.WriteAt(data, 0)
		return err
	})
}

// WriteAside is WriteFile for content that fill writes piece by piece.
func WriteAside(fsys FS, name string, fill func(File) error) error {
	f, err := fsys.Create(name + TempSuffix)
	if err != nil {
		return fmt.Errorf("create %s: %w", name+TempSuffix, err)
	}
	err = fill(f)
	if err == nil {
		err = Final(f.Sync())
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		// On a full disk the rest of it would be in the way.
		return errors.Join(fmt.Errorf("write %s: %w", name+TempSuffix, err), fsys.Remove(name+TempSuffix))
	}
	if err := fsys.Rename(name+TempSuffix, name); err != nil {
		return fmt.Errorf("rename %s: %w", name+TempSuffix, Final(err))
	}
	return Final(fsys.SyncDir(filepath.Dir(name)))
}

// IsTemp tells whether name is that of an incomplete file.
func IsTemp(name string) bool { return strings.HasSuffix(name, TempSuffix) }

// DiskBytes is the sum of the sizes of all files below dir.
func DiskBytes(fsys FS, dir string) (int64, error) {
	infos, err := fsys.List(dir)
	if err != nil {
		return 0, err
	}
	var sum int64
	for _, info := range infos {
		if !info.Dir {
			sum += info.Size
			continue
		}
		n, err := DiskBytes(fsys, filepath.Join(dir, info.Name))
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}
