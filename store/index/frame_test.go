package index_test

import (
	"encoding/binary"
	"hash/crc32"
)

// framed puts magic, version and checksum around what a fuzzer made, so that
// it comes to the fields.
func framed(magic string, version uint32, body []byte) []byte {
	b := binary.LittleEndian.AppendUint32([]byte(magic), version)
	b = append(b, body...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}
