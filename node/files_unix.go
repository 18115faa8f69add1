//go:build unix

package node

import "syscall"

// filesLimit is how many files this process may have open, 0 if unknown. The
// Go runtime has raised the soft limit to the hard one at the start.
func filesLimit() int {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil || uint64(l.Cur) > 1<<30 {
		return 0
	}
	return int(l.Cur)
}
