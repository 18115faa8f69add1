package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"baton/store/index"
	"baton/store/vfs"
)

// Commit decides that the log in incoming, which a Receiver has finished,
// replaces the log of the directory. When it returns without error that is
// durable; after an error it may be or not. Resume carries it out. Nobody may
// have the old log open for appending from here on.
func Commit(fsys vfs.FS, dir string) error {
	if err := fsys.Rename(filepath.Join(dir, IncomingDir), filepath.Join(dir, installDir)); err != nil {
		return fmt.Errorf("install received log: %w", err)
	}
	if err := fsys.SyncDir(dir); err != nil {
		return fmt.Errorf("install received log: %w", err)
	}
	return nil
}

// Resume carries out an installation that was decided, and tidies up after
// one. It does nothing in a directory that has neither. It is called with the
// directory locked and nothing open in it, before anybody looks at the log. It
// tells whether the log was replaced.
func Resume(fsys vfs.FS, dir string) (installed bool, err error) {
	path := func(name string) string { return filepath.Join(dir, name) }
	decided, err := exists(fsys, path(installDir))
	if err != nil {
		return false, err
	}
	if decided {
		// The name may be there without being durable, after a kill.
		if err := fsys.SyncDir(dir); err != nil {
			return false, err
		}
		if err := replace(fsys, path); err != nil {
			return false, fmt.Errorf("replace the log by the received one: %w", err)
		}
		if err := fsys.SyncDir(dir); err != nil {
			return false, fmt.Errorf("replace the log by the received one: %w", err)
		}
	}
	// Only now that the new log is durable in its place.
	if err := removeAll(fsys, path(replacedDir)); err != nil {
		return decided, fmt.Errorf("remove the replaced log: %w", err)
	}
	return decided, nil
}

// replace can begin again after any of its steps.
func replace(fsys vfs.FS, path func(string) string) error {
	if err := index.Wipe(fsys, path(indexDir)); err != nil {
		return err
	}
	old, err := exists(fsys, path(logDir))
	if err != nil {
		return err
	}
	if old {
		// A log that is in the way here was replaced by the one in logDir, and
		// that one is now on its way out as well.
		if err := removeAll(fsys, path(replacedDir)); err != nil {
			return err
		}
		if err := fsys.Rename(path(logDir), path(replacedDir)); err != nil {
			return err
		}
		if err := fsys.SyncDir(filepath.Dir(path(logDir))); err != nil {
			return err
		}
	}
	return fsys.Rename(path(installDir), path(logDir))
}

// Discard removes what was received and not installed.
func Discard(fsys vfs.FS, dir string) error {
	return removeAll(fsys, filepath.Join(dir, IncomingDir))
}

func exists(fsys vfs.FS, name string) (bool, error) {
	_, err := fsys.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// removeAll removes a directory that holds only files.
func removeAll(fsys vfs.FS, dir string) error {
	infos, err := fsys.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, info := range infos {
		if err := fsys.Remove(filepath.Join(dir, info.Name)); err != nil {
			return err
		}
	}
	if err := fsys.SyncDir(dir); err != nil {
		return err
	}
	if err := fsys.Remove(dir); err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(dir))
}
