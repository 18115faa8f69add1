package record_test

import (
	"encoding/binary"
	"hash/crc32"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/store/record"
)

func sealed(fill func(b *record.Batch)) []byte {
	b := record.NewBatch(256)
	fill(b)
	return b.Seal(3, 1000, 900, time.UnixMicro(5), b.Prepare())
}

func samples() map[string][]byte {
	e := record.Enqueue{Queue: "orders", Message: record.Message{
		ID: "ID-n1-3-1", Timestamp: 1700000000000, Priority: 4, Transient: true,
		Headers: []record.HeaderField{{Name: "content-type", Value: "text/plain"}}, Body: []byte("hello"),
	}}
	a := record.Ack{Queue: "orders", Sequences: []record.Sequence{1, 2, 300}}
	full := e
	full.Message.Deadline, full.Message.DedupID, full.Message.Redeliveries = 1700000001000, "p1-7", 3
	s := record.EpochStart{ClusterID: "c", Leader: "n1", Replicas: 3, Members: map[string]string{"n1": "a", "n2": "b"}}
	return map[string][]byte{
		"enqueue": sealed(func(b *record.Batch) { b.Add(record.TypeEnqueue, e.AppendTo) }),
		"ack":     sealed(func(b *record.Batch) { b.Add(record.TypeAck, a.AppendTo) }),
		"epoch":   sealed(func(b *record.Batch) { b.Add(record.TypeEpochStart, s.AppendTo) }),
		"full":    sealed(func(b *record.Batch) { b.Add(record.TypeEnqueue, full.AppendTo) }),
		"broker": sealed(func(b *record.Batch) {
			for typ, body := range brokerBodies() {
				b.Add(typ, func(to []byte) []byte { return append(to, body...) })
			}
		}),
		"three": sealed(func(b *record.Batch) {
			b.Add(record.TypeEpochStart, s.AppendTo)
			b.Add(record.TypeEnqueue, e.AppendTo)
			b.Add(record.TypeAck, a.AppendTo)
		}),
	}
}

func TestEveryBitCounts(t *testing.T) {
	for name, b := range samples() {
		t.Run(name, func(t *testing.T) {
			_, err := record.Verify(b)
			require.NoError(t, err)
			for n := range b {
				_, err := record.Verify(b[:n])
				require.ErrorIs(t, err, record.ErrShort, "%d bytes", n)
			}
			for bit := range 8 * len(b) {
				b[bit/8] ^= 1 << (bit % 8)
				_, err := record.Verify(b)
				require.Error(t, err, "bit %d", bit)
				b[bit/8] ^= 1 << (bit % 8)
			}
		})
	}
}

func TestUrgent(t *testing.T) {
	nothing := func(b []byte) []byte { return b }
	for _, c := range []struct {
		types []record.Type
		want  bool
	}{
		{[]record.Type{record.TypeAck}, true}, {[]record.Type{record.TypeEpochStart, record.TypeAck}, true},
		{[]record.Type{record.TypeEnqueue}, false}, {[]record.Type{record.TypeAck, record.TypeEnqueue}, false},
		{[]record.Type{record.TypeForget, record.TypeAck}, true}, {[]record.Type{record.TypeRedeliver}, false},
		{[]record.Type{99}, false}, {[]record.Type{255, record.TypeAck}, false},
	} {
		var b record.Batch
		for _, typ := range c.types {
			b.Add(typ, nothing)
		}
		require.Equal(t, c.want, b.Urgent(), "%v", c.types)
	}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// mend sets all checksums right, so that the fuzzer gets past them.
func mend(b []byte) {
	if len(b) < record.HeaderSize {
		return
	}
	for rest := b[record.HeaderSize:]; len(rest) >= record.RecordHeaderSize; {
		n := int(binary.LittleEndian.Uint32(rest))
		if n < record.RecordHeaderSize || n > len(rest) {
			break
		}
		c := crc32.Update(0, castagnoli, rest[:8])
		binary.LittleEndian.PutUint32(rest[8:], crc32.Update(c, castagnoli, rest[record.RecordHeaderSize:n]))
		rest = rest[n:]
	}
	binary.LittleEndian.PutUint32(b[48:], crc32.Checksum(b[record.HeaderSize:], castagnoli))
	binary.LittleEndian.PutUint32(b[52:], crc32.Checksum(b[:52], castagnoli))
}

// FuzzBatch: whatever Verify accepts can be walked, and everything in it is
// inside it.
func FuzzBatch(f *testing.F) {
	for _, b := range samples() {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		mend(b)
		h, err := record.Verify(b)
		if err != nil {
			return
		}
		n := uint32(0)
		for r := range record.Records(b) {
			n++
			require.GreaterOrEqual(t, r.Position, h.Position+record.HeaderSize)
			at := int(r.Position - h.Position)
			one, err := record.ParseRecord(b[at:], r.Position)
			require.NoError(t, err)
			require.Equal(t, r.Body, one.Body)
		}
		require.Equal(t, h.Count, n)
		again, err := record.ParseHeader(b)
		require.NoError(t, err)
		require.Equal(t, h, again)
		for _, raw := range record.Batches(b[:h.Length]) {
			require.Len(t, raw, int(h.Length))
		}
	})
}

// FuzzRecord feeds the decoder of single records.
func FuzzRecord(f *testing.F) {
	for _, b := range samples() {
		f.Add(b[record.HeaderSize:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, lerr := record.RecordLength(b)
		if lerr == nil && n <= len(b) {
			c := crc32.Update(0, castagnoli, b[:8])
			binary.LittleEndian.PutUint32(b[8:], crc32.Update(c, castagnoli, b[record.RecordHeaderSize:n]))
		}
		r, err := record.ParseRecord(b, 7)
		if err != nil {
			return
		}
		require.NoError(t, lerr)
		require.Len(t, r.Body, n-record.RecordHeaderSize)
	})
}

// FuzzBody: a body that is accepted means the same when it is written anew.
func FuzzBody(f *testing.F) {
	for _, b := range samples() {
		for r := range record.Records(b) {
			f.Add(uint8(r.Type), r.Body)
		}
	}
	f.Fuzz(func(t *testing.T, typ uint8, b []byte) {
		v, again, err := parse(record.Type(typ), b)
		if err != nil {
			return
		}
		w, twice, err := parse(record.Type(typ), again)
		require.NoError(t, err)
		require.Equal(t, v, w)
		require.Equal(t, again, twice)
	})
}
