package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"baton/repl/wire"
	"baton/store/record"
)

func bodies() []wire.Body {
	return []wire.Body{
		wire.Hello{ClusterID: "c", Node: "n1", Incarnation: "i", Leader: "n2", Nonce: [32]byte{1, 31: 2}},
		wire.Challenge{ClusterID: "c", Node: "n2", Nonce: [32]byte{3}},
		wire.Proof{MAC: [32]byte{4}},
		wire.Welcome{MAC: [32]byte{5}},
		wire.Refuse{Code: wire.CodeStranger, Epoch: 7, Text: "no such member"},
		wire.Attach{Start: 1, End: 99, Boundaries: []record.EpochBoundary{{Epoch: 1, Start: 1}, {Epoch: 4, Start: 50}}},
		wire.Attach{},
		wire.Position{Truncate: true, AckWrites: true, At: 10, LeaderEnd: 20, Commit: 5},
		wire.Position{At: 11},
		wire.Append{Commit: 9, Batches: []byte("whole batches")},
		wire.Ack{Received: 3, Flushed: 2, Applied: 1},
		wire.Heartbeat{Commit: 1, LeaderEnd: 2, Time: -3},
		wire.HeartbeatAck{Time: 1 << 60},
		wire.Attach{Start: 1, End: 99, Boundaries: []record.EpochBoundary{{Epoch: 1, Start: 1}}, Whole: true},
		wire.Attach{Whole: true},
		wire.Snapshot{LeaderEnd: 9, Commit: 8, Start: 3, End: 7, Manifest: []byte("what comes")},
		wire.Want{Part: 2, At: 1 << 40},
		wire.Chunk{Part: 1, At: 5, Sum: [32]byte{6}, Data: []byte("a piece")},
	}
}

func encodeAll() (stream []byte) {
	for i, b := range bodies() {
		stream = wire.AppendFrame(stream, record.Epoch(i), b)
	}
	return stream
}

func TestFramesRoundTripInAnyPieces(t *testing.T) {
	for name, split := range map[string]func(io.Reader) io.Reader{
		"whole": func(r io.Reader) io.Reader { return r }, "halved": iotest.HalfReader,
		"byte by byte": iotest.OneByteReader, "data with EOF": iotest.DataErrReader,
	} {
		t.Run(name, func(t *testing.T) {
			r := wire.NewReader(split(bytes.NewReader(encodeAll())))
			for i, want := range bodies() {
				f, err := r.Next()
				require.NoError(t, err)
				require.Equal(t, record.Epoch(i), f.Epoch)
				got, err := f.Parse()
				require.NoError(t, err)
				require.Equal(t, want, got)
			}
			_, err := r.Next()
			require.Equal(t, io.EOF, err)
		})
	}
}

func TestAppendHeadIsTheSameFrame(t *testing.T) {
	batches := bytes.Repeat([]byte("abc"), 1000)
	whole := wire.AppendFrame(nil, 3, wire.Append{Commit: 5, Batches: batches})
	require.Equal(t, whole, append(wire.AppendHead(nil, 3, 5, batches), batches...))
}

func TestAppendChunkHeadIsTheSameFrame(t *testing.T) {
	c := wire.Chunk{Part: 2, At: 77, Sum: [32]byte{1}, Data: bytes.Repeat([]byte("abc"), 1000)}
	require.Equal(t, wire.AppendFrame(nil, 3, c), append(wire.AppendChunkHead(nil, 3, c), c.Data...))
}

func TestBodyOfAppendIsTheCallersToKeep(t *testing.T) {
	s := wire.AppendFrame(nil, 1, wire.Append{Batches: []byte("first")})
	s = wire.AppendFrame(s, 1, wire.Append{Batches: []byte("other")})
	r := wire.NewReader(bytes.NewReader(s))
	f, err := r.Next()
	require.NoError(t, err)
	_, err = r.Next()
	require.NoError(t, err)
	require.Equal(t, "first", string(f.Body[8:]))
}

func TestCutAnywhere(t *testing.T) {
	whole := wire.AppendFrame(nil, 3, wire.Ack{Received: 3})
	for n := 1; n < len(whole); n++ {
		_, err := wire.NewReader(bytes.NewReader(whole[:n])).Next()
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, "cut at %d", n)
	}
}

func TestEveryFlippedBitIsNoticed(t *testing.T) {
	whole := wire.AppendFrame(nil, 3, wire.Ack{Received: 3})
	for bit := range len(whole) * 8 {
		b := bytes.Clone(whole)
		b[bit/8] ^= 1 << (bit % 8)
		_, err := wire.NewReader(bytes.NewReader(b)).Next()
		require.Error(t, err, "bit %d", bit)
	}
}

func TestHeaderChecks(t *testing.T) {
	frame := func(change func([]byte)) error {
		b := wire.AppendFrame(nil, 3, wire.Ack{})
		change(b)
		_, err := wire.NewReader(bytes.NewReader(b)).Next()
		return err
	}
	t.Run("another version is named, whatever else changed", func(t *testing.T) {
		err := frame(func(b []byte) { b[5] = 9; b[6] = 1; b[17] ^= 1; binary.LittleEndian.PutUint32(b, 1<<31) })
		var v *wire.VersionError
		require.ErrorAs(t, err, &v)
		require.EqualValues(t, 9, v.Theirs)
		require.Contains(t, err.Error(), "upgrade")
	})
	t.Run("reserved bytes", func(t *testing.T) {
		require.ErrorIs(t, frame(func(b []byte) { b[6] = 1 }), wire.ErrCorrupt)
		require.ErrorIs(t, frame(func(b []byte) { b[7] = 1 }), wire.ErrCorrupt)
	})
	t.Run("too short to be a frame", func(t *testing.T) {
		require.ErrorIs(t, frame(func(b []byte) { binary.LittleEndian.PutUint32(b, 19) }), wire.ErrCorrupt)
	})
}

// endless yields a header and fails when the body is asked for.
type endless struct{ head []byte }

func (e *endless) Read(b []byte) (int, error) {
	if len(e.head) > 0 {
		n := copy(b, e.head)
		e.head = e.head[n:]
		return n, nil
	}
	return 0, errors.New("body was read")
}

func TestLengthIsCheckedBeforeMemoryIsSpent(t *testing.T) {
	head := func(size uint32) *endless {
		b := wire.AppendFrame(nil, 3, wire.Append{})[:wire.HeaderSize]
		binary.LittleEndian.PutUint32(b, size)
		return &endless{b}
	}
	r := wire.NewReader(head(wire.MaxHandshake + 1))
	_, err := r.Next()
	require.ErrorIs(t, err, wire.ErrTooLarge)

	r = wire.NewReader(head(wire.MaxHandshake + 1))
	r.Proven()
	_, err = r.Next()
	require.EqualError(t, err, "body was read")

	r = wire.NewReader(head(wire.MaxFrame + 1))
	r.Proven()
	_, err = r.Next()
	require.ErrorIs(t, err, wire.ErrTooLarge)

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 10 {
		r := wire.NewReader(head(wire.MaxFrame))
		r.Proven()
		_, err := r.Next()
		require.EqualError(t, err, "body was read")
	}
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(20<<20), "a claimed length alone costs no more than a step each")
}

func TestLargeFrameGrowsInSteps(t *testing.T) {
	big := bytes.Repeat([]byte("0123456789abcdef"), 5<<16) // 5 MiB
	s := wire.AppendFrame(nil, 1, wire.Append{Commit: 1, Batches: big})
	r := wire.NewReader(bytes.NewReader(s))
	r.Proven()
	f, err := r.Next()
	require.NoError(t, err)
	require.True(t, bytes.Equal(big, f.Body[8:]))
}

func TestBadBodies(t *testing.T) {
	for i, b := range bodies() {
		switch b.Type() {
		case wire.TypeAppend, wire.TypeSnapshot, wire.TypeChunk:
			continue // the rest of the frame is theirs
		}
		whole := wire.AppendFrame(nil, 0, b)[wire.HeaderSize:]
		for n := range len(whole) {
			_, err := wire.Frame{Type: b.Type(), Body: whole[:n]}.Parse()
			require.Error(t, err, "body %d cut at %d", i, n)
		}
		_, err := wire.Frame{Type: b.Type(), Body: append(bytes.Clone(whole), 0)}.Parse()
		require.ErrorIs(t, err, wire.ErrBody, "body %d with a byte left over", i)
	}
	_, err := wire.Frame{Type: 99}.Parse()
	require.ErrorIs(t, err, wire.ErrBody)
	_, err = wire.Frame{Type: wire.TypeAck, Body: bytes.Repeat([]byte{0xff}, 24)}.Parse()
	require.ErrorIs(t, err, wire.ErrTooLarge, "a position that would overflow")
}

func TestSentencesArePrintableAndBounded(t *testing.T) {
	s := wire.AppendFrame(nil, 0, wire.Refuse{Code: 99, Text: "a\x1b[2Jb\n" + strings.Repeat("x", 5000)})
	f, err := wire.NewReader(bytes.NewReader(s)).Next()
	require.NoError(t, err)
	b, err := f.Parse()
	require.NoError(t, err)
	text := b.(wire.Refuse).Text
	require.True(t, strings.HasPrefix(text, "a.[2Jb."), text[:10])
	require.Len(t, text, wire.MaxString)
	require.Equal(t, "code-99", b.(wire.Refuse).Code.String())
}

func FuzzReader(f *testing.F) {
	f.Add(encodeAll())
	for _, b := range bodies() {
		f.Add(wire.AppendFrame(nil, 1, b))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		one, two := wire.NewReader(bytes.NewReader(in)), wire.NewReader(iotest.OneByteReader(bytes.NewReader(in)))
		for {
			a, errA := one.Next()
			b, errB := two.Next()
			require.Equal(t, errA == nil, errB == nil)
			if errA != nil {
				return
			}
			require.Equal(t, a, b)
			body, err := a.Parse()
			if err != nil {
				continue
			}
			if _, text := body.(wire.Refuse); !text {
				again := wire.AppendFrame(nil, a.Epoch, body)
				require.Equal(t, a.Body, again[wire.HeaderSize:])
			}
		}
	})
}

// FuzzBodies reaches the bodies without having to guess a checksum.
func FuzzBodies(f *testing.F) {
	for _, b := range bodies() {
		f.Add(uint8(b.Type()), wire.AppendFrame(nil, 1, b)[wire.HeaderSize:])
	}
	f.Fuzz(func(t *testing.T, typ uint8, in []byte) {
		body, err := wire.Frame{Type: wire.Type(typ), Body: in}.Parse()
		if err != nil {
			return
		}
		if _, text := body.(wire.Refuse); !text && !bytes.Equal(in, wire.AppendFrame(nil, 1, body)[wire.HeaderSize:]) {
			t.Fatalf("%T %+v does not encode to what it was read from", body, body)
		}
	})
}
