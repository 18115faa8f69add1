package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"baton/zkclient/devserver/wire"
)

func TestReadFrame(t *testing.T) {
	packets := [][]byte{{}, []byte("x"), bytes.Repeat([]byte("long"), 20000), bytes.Repeat([]byte{7}, wire.MaxFrame), []byte("last")}
	var stream []byte
	for _, packet := range packets {
		stream = append(stream, wire.Frame(packet)...)
	}
	readers := map[string]func(io.Reader) io.Reader{
		"whole":        func(r io.Reader) io.Reader { return r },
		"halved":       iotest.HalfReader,
		"byte by byte": iotest.OneByteReader,
		"data and EOF": iotest.DataErrReader,
	}
	for name, wrap := range readers {
		t.Run(name, func(t *testing.T) {
			r := wrap(bytes.NewReader(stream))
			for _, want := range packets {
				got, err := wire.ReadFrame(r)
				require.NoError(t, err)
				require.True(t, bytes.Equal(want, got))
			}
			_, err := wire.ReadFrame(r)
			require.Equal(t, io.EOF, err)
		})
	}
	t.Run("cut short", func(t *testing.T) {
		short := wire.Frame([]byte("abcdef"))
		for n := 1; n < len(short); n++ {
			_, err := wire.ReadFrame(bytes.NewReader(short[:n]))
			require.ErrorIs(t, err, io.ErrUnexpectedEOF, "%d bytes", n)
		}
	})
	for _, n := range []uint32{wire.MaxFrame + 1, 1 << 31, 1<<32 - 1, binary.BigEndian.Uint32([]byte("ruok"))} {
		_, err := wire.ReadFrame(bytes.NewReader(binary.BigEndian.AppendUint32(nil, n)))
		var length *wire.FrameLengthError
		require.ErrorAs(t, err, &length)
		require.Equal(t, n, binary.BigEndian.Uint32(length.Prefix[:]))
	}
}

// TestClaimedLengthIsNotAllocated reads frames that claim a megabyte and bring
// nothing.
func TestClaimedLengthIsNotAllocated(t *testing.T) {
	claim := binary.BigEndian.AppendUint32(nil, wire.MaxFrame)
	result := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			_, err := wire.ReadFrame(bytes.NewReader(claim))
			require.ErrorIs(b, err, io.ErrUnexpectedEOF)
		}
	})
	require.Less(t, result.AllocedBytesPerOp(), int64(8<<10))
}

func TestDecoderRefusesImpossibleLengths(t *testing.T) {
	reads := map[string]func(*wire.Decoder){
		"buffer":  func(d *wire.Decoder) { d.Buffer() },
		"string":  func(d *wire.Decoder) { _ = d.String() },
		"strings": func(d *wire.Decoder) { d.Strings() },
		"rules":   func(d *wire.Decoder) { d.ACLs() },
	}
	for name, read := range reads {
		for _, n := range []uint32{1, 100, 1 << 30, 1<<31 - 1, 1 << 31, 1<<32 - 2} {
			d := wire.NewDecoder(binary.BigEndian.AppendUint32(nil, n))
			read(d)
			require.ErrorIs(t, d.Err(), wire.ErrLength, "%s %d", name, n)
			require.Zero(t, d.Int64(), "reads after a failure give zeros")
		}
		d := wire.NewDecoder([]byte{0, 0})
		read(d)
		require.ErrorIs(t, d.Err(), wire.ErrShort, name)
		d = wire.NewDecoder([]byte{0xff, 0xff, 0xff, 0xff})
		read(d)
		require.NoError(t, d.Err(), "null %s", name)
	}
}

func TestNullAndEmptyDiffer(t *testing.T) {
	var e wire.Encoder
	e.Buffer(nil)
	e.Buffer([]byte{})
	d := wire.NewDecoder(e.Bytes())
	require.Nil(t, d.Buffer())
	require.NotNil(t, d.Buffer())
	require.NoError(t, d.Err())
}

func TestRoundTrip(t *testing.T) {
	request := wire.ConnectRequest{
		ProtocolVersion: 1, LastZxidSeen: -2, TimeoutMillis: 3, SessionID: 4, Password: []byte("0123456789abcdef"), ReadOnly: true, HasReadOnly: true,
	}
	got, err := wire.DecodeConnectRequest(request.Encode())
	require.NoError(t, err)
	require.Equal(t, request, got)
	response := wire.ConnectResponse{TimeoutMillis: 1, SessionID: 2, Password: []byte("p"), HasReadOnly: true}
	gotResponse, err := wire.DecodeConnectResponse(response.Encode())
	require.NoError(t, err)
	require.Equal(t, response, gotResponse)
	stat := wire.Stat{Czxid: 1, Mzxid: 2, Ctime: 3, Mtime: 4, Version: 5, Cversion: 6, Aversion: 7, EphemeralOwner: 8, DataLength: 9, NumChildren: 10, Pzxid: 11}
	var e wire.Encoder
	e.Stat(stat)
	require.Equal(t, stat, wire.NewDecoder(e.Bytes()).Stat())
}

var changes = []wire.Op{
	wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL, wire.OpDelete, wire.OpSetData, wire.OpSetACL, wire.OpCheck,
}

// FuzzDecode feeds every decoder: none may panic, read beyond the packet or
// return more than the packet holds.
func FuzzDecode(f *testing.F) {
	var e wire.Encoder
	e.String("/path")
	e.Buffer([]byte("data"))
	e.ACLs([]wire.ACL{{Perms: 31, Scheme: "world", ID: "anyone"}})
	e.Int32(0)
	e.Int64(1)
	f.Add(e.Bytes())
	f.Add(wire.ConnectRequest{Password: make([]byte, 16), HasReadOnly: true}.Encode())
	f.Add([]byte(strings.Repeat("\xff", 40)))
	f.Fuzz(func(t *testing.T, packet []byte) {
		for _, op := range changes {
			d := wire.NewDecoder(packet)
			c, ok := wire.DecodeChange(op, d)
			require.True(t, ok)
			require.LessOrEqual(t, len(c.Path)+len(c.Data)+12*len(c.ACL), len(packet))
		}
		if r, err := wire.DecodeConnectRequest(packet); err == nil {
			again, err := wire.DecodeConnectRequest(r.Encode())
			require.NoError(t, err)
			require.Equal(t, r, again)
		}
		d := wire.NewDecoder(packet)
		require.LessOrEqual(t, 4*len(d.Strings()), len(packet))
		for d.Err() == nil {
			d.MultiHeader()
		}
		frames := bytes.NewReader(packet)
		for {
			frame, err := wire.ReadFrame(frames)
			if err != nil {
				var length *wire.FrameLengthError
				require.True(t, err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &length), err)
				break
			}
			require.LessOrEqual(t, len(frame), len(packet))
		}
	})
}
