package supervisor

import (
	"fmt"
	"os"
	"syscall"
)

// ParentFD is the descriptor at which a child finds the pipe to its parent.
const ParentFD = 3

// WatchParent returns a channel that is closed when the parent at the other
// end of the pipe fd (0: ParentFD) is gone, however it went. The child should
// then stop; nobody will ask it to. The watch lasts as long as the process.
func WatchParent(fd int) (<-chan struct{}, error) {
	if fd == 0 {
		fd = ParentFD
	}
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return nil, fmt.Errorf("watch parent at descriptor %d: %w", fd, err)
	}
	syscall.CloseOnExec(fd)
	f := os.NewFile(uintptr(fd), "parent")
	gone := make(chan struct{})
	go runWatch(f, gone)
	return gone, nil
}

func runWatch(f *os.File, gone chan<- struct{}) {
	defer close(gone)
	defer f.Close()
	b := make([]byte, 64)
	for {
		if _, err := f.Read(b); err != nil {
			return
		}
	}
}
