package vfs

import (
	"errors"
	"syscall"
)

// ErrFull is what a call gets that needs space when there is none. Test with
// IsFull, which knows quotas as well.
var ErrFull error = syscall.ENOSPC

// IsFull tells whether an error means that the disk or a quota is full. Unlike
// others such an error says nothing about the data that is there, unless Sync
// returned it.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// Final hides from IsFull that an error says that the disk is full: it is for
// what must not be tried again, such as a failed sync.
func Final(err error) error {
	if IsFull(err) {
		return finalError{err}
	}
	return err
}

type finalError struct{ cause error }

func (e finalError) Error() string { return e.cause.Error() }
