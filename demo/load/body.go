package load

import (
	"bytes"

	"baton/demo/ledger"
)

// body is the content of a message: its key and a pattern that depends on it,
// so that a swapped or damaged body is noticed.
func body(k ledger.Key, size int) []byte {
	b := make([]byte, 0, max(size, 32))
	b = append(b, k.String()...)
	b = append(b, ' ')
	x := k.Seq*0x9e3779b97f4a7c15 + uint64(k.Producer)
	for len(b) < size {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b = append(b, byte(x))
	}
	return b
}

func bodyIs(b []byte, k ledger.Key, size int) bool { return bytes.Equal(b, body(k, size)) }
