//go:build !linux

package node

// residentBytes is known on Linux only; 0 means unknown.
func residentBytes() uint64 { return 0 }
