package vfs

import (
	"errors"
	"os"
	"syscall"
)

// datasync skips the times of the inode, which fsync would write as well.
func datasync(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if err == nil {
			return nil
		}
		// Interrupted before it began: not a failed sync.
		if !errors.Is(err, syscall.EINTR) {
			return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
		}
	}
}
