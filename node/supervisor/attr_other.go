//go:build unix && !linux

package supervisor

import "syscall"

// Without a parent-death signal the pipe alone tells the child.
func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
