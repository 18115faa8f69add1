package node

import (
	"runtime"

	"golang.org/x/sys/unix"

	"baton/node/adminapi"
)

// processFigures reads what the operating system says about this process and
// about the file system below dir. Figures that cannot be read stay 0.
func processFigures(dir string) adminapi.Process {
	p := adminapi.Process{Goroutines: runtime.NumGoroutine(), RSSBytes: residentBytes()}
	var ru unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &ru) == nil {
		p.CPUSeconds = seconds(ru.Utime) + seconds(ru.Stime)
	}
	var fs unix.Statfs_t
	if unix.Statfs(dir, &fs) == nil {
		p.DiskFree = fs.Bavail * uint64(fs.Bsize)
		p.DiskTotal = fs.Blocks * uint64(fs.Bsize)
	}
	return p
}

func seconds(t unix.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
