//go:build !unix

package node

func filesLimit() int { return 0 }
