// Package supervisor runs the nodes of a local cluster as real child processes
// and breaks them on request: kill, pause, stop, restart, and, through Proxy,
// cut and slow down the network links between them.
//
// No child outlives its parent. On Linux the kernel kills it when the thread
// that started it dies (which is therefore kept for as long as the child
// runs), and everywhere the child holds the read end of a pipe as descriptor
// ParentFD that reports end of file when the parent is gone; the child watches
// it with WatchParent. Children have a process group of their own, so an
// interrupt typed at the terminal reaches the parent alone, which then stops
// them in order.
//
// Threads: per running child one runChild and the two copiers of os/exec; per
// proxy one runAccept, and per proxied connection four pump goroutines. All
// end in Close.
package supervisor
