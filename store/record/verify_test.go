package record_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/store/record"
)

func TestVerifyAgainLeavesOutWhatTheBodysChecksumCovers(t *testing.T) {
	b := record.NewBatch(100)
	for range 2 {
		b.Add(record.TypeForget, record.Forget{Below: 7}.AppendTo)
	}
	good := b.Seal(1, 0, 0, time.UnixMicro(1), b.Prepare())
	want, err := record.Verify(good)
	require.NoError(t, err)
	got, err := record.VerifyAgain(good)
	require.NoError(t, err)
	require.Equal(t, want, got)

	for i := range good { // any damaged byte is found
		bad := bytes.Clone(good)
		bad[i] ^= 0x10
		_, err := record.VerifyAgain(bad)
		require.True(t, record.Invalid(err), "byte %d: %v", i, err)
	}

	// A record that was damaged before the batch was sealed: its own checksum
	// tells, where the batch is verified first.
	late := bytes.Clone(good)
	late[len(late)-1] ^= 0x10
	table := crc32.MakeTable(crc32.Castagnoli)
	binary.LittleEndian.PutUint32(late[48:], crc32.Checksum(late[record.HeaderSize:], table))
	binary.LittleEndian.PutUint32(late[52:], crc32.Checksum(late[:52], table))
	_, err = record.VerifyAgain(late)
	require.NoError(t, err)
	_, err = record.Verify(late)
	require.ErrorIs(t, err, record.ErrCorrupt)
}
