package vfs

// Free returns how many bytes the file system that holds dir can still take;
// false if it cannot tell.
func Free(fsys FS, dir string) (int64, bool) {
	switch f := fsys.(type) {
	case interface {
		Free(dir string) (int64, bool)
	}:
		return f.Free(dir)
	case interface{ Unwrap() FS }:
		return Free(f.Unwrap(), dir)
	}
	return 0, false
}

// Free is what is left of the capacity.
func (d *Disk) Free(string) (int64, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return max(0, d.mu.capacity-d.mu.used), true
}

// Unwrap returns what is behind the faults.
func (f *Faults) Unwrap() FS { return f.fs }

// Unwrap returns what is behind the hook.
func (h *Hook) Unwrap() FS { return h.fs }
