package index

// Write writes what is unwritten, as if enough of it had come together.
func (ix *Index) Write() error { return ix.write() }
