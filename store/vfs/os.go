package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
)

// OS is the operating system's file system.
type OS struct{}

var _ FS = OS{}

func (OS) Create(name string) (File, error) {
	return osOpen(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
}

func (OS) Open(name string) (File, error) { return osOpen(name, os.O_RDWR) }

func osOpen(name string, flag int) (File, error) {
	f, err := os.OpenFile(name, flag, 0o640)
	if err != nil {
		return nil, err
	}
	return &osFile{f: f}, nil
}

func (OS) Rename(from, to string) error { return os.Rename(from, to) }
func (OS) Remove(name string) error     { return os.Remove(name) }

func (OS) Mkdir(name string) error {
	err := os.Mkdir(name, 0o750)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

func (OS) List(dir string) ([]Info, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	infos := make([]Info, 0, len(entries))
	for _, e := range entries {
		st, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		infos = append(infos, Info{Name: e.Name(), Size: st.Size(), Dir: st.IsDir()})
	}
	return infos, nil
}

func (OS) Stat(name string) (Info, error) {
	st, err := os.Stat(name)
	if err != nil {
		return Info{}, err
	}
	return Info{Name: st.Name(), Size: st.Size(), Dir: st.IsDir()}, nil
}

func (OS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

// Lock holds an flock, which the kernel releases when the process ends
// however it ends, and leaves the process id in the file for the message that
// the next one gets.
func (OS) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", name, err)
		}
		who := make([]byte, 32)
		n, _ := f.ReadAt(who, 0)
		return nil, fmt.Errorf("lock %s: %w, pid %s", name, ErrLocked, strings.TrimSpace(string(who[:n])))
	}
	pid := fmt.Sprintf("%d\n", os.Getpid())
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt([]byte(pid), 0)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("write pid to %s: %w", name, err)
	}
	return f, nil
}

type osFile struct {
	f *os.File
	// resized asks the next Sync for a full fsync: what fdatasync does for a
	// file that became shorter is not written down anywhere.
	resized atomic.Bool
}

func (f *osFile) ReadAt(p []byte, off int64) (int, error)  { return f.f.ReadAt(p, off) }
func (f *osFile) WriteAt(p []byte, off int64) (int, error) { return f.f.WriteAt(p, off) }
func (f *osFile) Close() error                             { return f.f.Close() }

func (f *osFile) Truncate(size int64) error {
	f.resized.Store(true)
	return f.f.Truncate(size)
}

func (f *osFile) Sync() error {
	if f.resized.Swap(false) {
		return f.f.Sync()
	}
	return datasync(f.f)
}

func (f *osFile) Size() (int64, error) {
	st, err := f.f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}
