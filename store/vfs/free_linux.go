package vfs

import (
	"errors"
	"syscall"
)

// Free asks the operating system; quotas are not known to it.
func (OS) Free(dir string) (int64, bool) {
	var st syscall.Statfs_t
	for {
		err := syscall.Statfs(dir, &st)
		if !errors.Is(err, syscall.EINTR) {
			return int64(st.Bavail) * st.Bsize, err == nil
		}
	}
}
