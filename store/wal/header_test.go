package wal

import (
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/store/record"
)

func TestHeader(t *testing.T) {
	h := segmentHeader{Base: 10_000, Commit: 9_000}
	for i := range 300 {
		h.Boundaries = append(h.Boundaries, record.EpochBoundary{Epoch: record.Epoch(i + 1), Start: record.Position(10 * i)})
	}
	b := h.encode()
	require.Len(t, b, headerBlock)
	got, err := decodeHeader(b)
	require.NoError(t, err)
	require.Equal(t, h.Boundaries[300-maxBoundaries:], got.Boundaries, "the newest are kept")
	require.Equal(t, mark{}, decodeMarks(b))
	for n := range headerBlock {
		_, err := decodeHeader(b[:n])
		require.Error(t, err)
	}
	for i := range headerCRC + 4 {
		b[i] ^= 4
		_, err := decodeHeader(b)
		require.Error(t, err, "byte %d", i)
		require.NotErrorIs(t, err, ErrVersion, "a flipped bit is damage, not another version")
		b[i] ^= 4
	}
	reserved := segmentHeader{Base: 5}.encode()
	reserved[2000] = 1
	binary.LittleEndian.PutUint32(reserved[headerCRC:], crc32.Checksum(reserved[:headerCRC], castagnoli))
	_, err = decodeHeader(reserved)
	require.ErrorIs(t, err, ErrVersion)
}

func TestMarks(t *testing.T) {
	b := segmentHeader{}.encode()
	copy(b[markA:], mark{Position: 7}.encode())
	require.Equal(t, mark{Position: 7}, decodeMarks(b))
	copy(b[markB:], mark{Position: 9, Sealed: true}.encode())
	require.Equal(t, mark{Position: 9, Sealed: true}, decodeMarks(b))
	b[markB+3] ^= 1 // torn
	require.Equal(t, mark{Position: 7}, decodeMarks(b))
}

func FuzzDecodeHeader(f *testing.F) {
	f.Add(segmentHeader{}.encode())
	f.Add(segmentHeader{Base: 9, Commit: 3, Boundaries: []record.EpochBoundary{{Epoch: 1}, {Epoch: 4, Start: 8}}}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= headerCRC+4 { // let it get past the checksum
			binary.LittleEndian.PutUint32(b[headerCRC:], crc32.Checksum(b[:headerCRC], castagnoli))
		}
		h, err := decodeHeader(b)
		if err != nil {
			return
		}
		again, err := decodeHeader(h.encode())
		require.NoError(t, err)
		require.Equal(t, h, again)
		decodeMarks(b)
	})
}
