package record_test

import (
	"encoding/hex"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/store/record"
)

var errNoBody = errors.New("no body of this type")

// appender is what each body can do.
type appender interface{ AppendTo([]byte) []byte }

// parse decodes a body of any type and encodes it again.
func parse(typ record.Type, b []byte) (v appender, again []byte, err error) {
	switch typ {
	case record.TypeEpochStart:
		v, err = record.ParseEpochStart(b)
	case record.TypeEnqueue:
		v, err = record.ParseEnqueue(b)
	case record.TypeAck:
		v, err = record.ParseAck(b)
	case record.TypeMove:
		v, err = record.ParseMove(b)
	case record.TypeRedeliver:
		v, err = record.ParseRedeliver(b)
	case record.TypeDeleteQueue:
		v, err = record.ParseDeleteQueue(b)
	case record.TypeSubscribe:
		v, err = record.ParseSubscribe(b)
	case record.TypeUnsubscribe:
		v, err = record.ParseUnsubscribe(b)
	case record.TypeForget:
		v, err = record.ParseForget(b)
	default:
		err = errNoBody
	}
	if err != nil {
		return nil, nil, err
	}
	return v, v.AppendTo(nil), nil
}

// sampleBodies are one of each type that ends where its last field does.
func sampleBodies() map[record.Type]appender {
	return map[record.Type]appender{
		record.TypeRedeliver:   record.Redeliver{Queue: "orders", Messages: []record.Redelivered{{Sequence: 7, Count: 1}, {Sequence: 300, Count: 1<<32 - 1}}},
		record.TypeDeleteQueue: record.DeleteQueue{Queue: "orders"},
		record.TypeSubscribe:   record.Subscribe{ClientID: "c1", Name: "prices", Destination: "stocks.>", Selector: "price > 10", NoLocal: true},
		record.TypeUnsubscribe: record.Unsubscribe{ClientID: "c1", Name: "prices"},
		record.TypeForget:      record.Forget{Below: 1 << 40},
	}
}

func brokerBodies() map[record.Type][]byte {
	out := map[record.Type][]byte{}
	for typ, v := range sampleBodies() {
		out[typ] = v.AppendTo(nil)
	}
	return out
}

func TestBodies(t *testing.T) {
	for typ, want := range sampleBodies() {
		t.Run(typ.String(), func(t *testing.T) {
			require.NotContains(t, typ.String(), "type-")
			b := want.AppendTo(nil)
			got, again, err := parse(typ, b)
			require.NoError(t, err)
			require.Equal(t, want, got)
			require.Equal(t, b, again)
			for n := range b {
				_, _, err := parse(typ, b[:n])
				require.Error(t, err, "cut to %d of %d bytes", n, len(b))
			}
			_, _, err = parse(typ, append(b, 0))
			require.ErrorIs(t, err, record.ErrCorrupt)
		})
	}
}

// TestEncodings pins the bytes: logs that exist must stay readable.
func TestEncodings(t *testing.T) {
	plain := record.Enqueue{Queue: "q", Message: record.Message{ID: "i", Timestamp: 5, Priority: 4, Transient: true,
		Headers: []record.HeaderField{{Name: "a", Value: "b"}}, Body: []byte("x")}}
	full := plain
	full.Message.Deadline, full.Message.DedupID, full.Message.Redeliveries = 6, "d", 7
	bodies := sampleBodies()
	for want, v := range map[string]appender{
		"0171" + "0169" + "01" + "04" + "05" + "01" + "0161" + "0162" + "78":                        plain,
		"0171" + "0169" + "0f" + "04" + "05" + "06" + "0164" + "07" + "01" + "0161" + "0162" + "78": full,
		"066f7264657273" + "02" + "0701" + "ac02ffffffff0f":                                         bodies[record.TypeRedeliver],
		"066f7264657273": bodies[record.TypeDeleteQueue],
		"026331" + "06707269636573" + "01" + "0873746f636b732e3e" + "0a7072696365203e203130": bodies[record.TypeSubscribe],
		"026331" + "06707269636573": bodies[record.TypeUnsubscribe],
		"808080808020":              bodies[record.TypeForget],
	} {
		require.Equal(t, want, hex.EncodeToString(v.AppendTo(nil)), "%#v", v)
	}
}

func TestMessageFields(t *testing.T) {
	for name, m := range map[string]record.Message{
		"none":         {ID: "i"},
		"deadline":     {ID: "i", Deadline: 1},
		"dedup id":     {ID: "i", DedupID: "d"},
		"redeliveries": {ID: "i", Redeliveries: 1},
		"all":          {ID: "i", Deadline: 1<<63 - 1, DedupID: "d", Redeliveries: 1<<32 - 1, Transient: true},
	} {
		t.Run(name, func(t *testing.T) {
			want := record.Enqueue{Queue: "q", Message: m}
			want.Message.Body = []byte{}
			got, err := record.ParseEnqueue(want.AppendTo(nil))
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
}

func TestFlags(t *testing.T) {
	body := func(flags byte, fields ...byte) []byte {
		return append(append([]byte{1, 'q', 1, 'i', flags, 4, 5}, fields...), 0)
	}
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"unknown":                      {body(16), record.ErrVersion},
		"a deadline of 0":              {body(2, 0), record.ErrCorrupt},
		"an empty dedup id":            {body(4, 0), record.ErrCorrupt},
		"redeliveries of 0":            {body(8, 0), record.ErrCorrupt},
		"a deadline above the limit":   {body(2, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1), record.ErrTooLarge},
		"redeliveries above the limit": {body(8, 0x80, 0x80, 0x80, 0x80, 0x10), record.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := record.ParseEnqueue(c.b)
			require.ErrorIs(t, err, c.want)
		})
	}
	_, err := record.ParseSubscribe([]byte{1, 'c', 1, 'n', 2, 0, 0})
	require.ErrorIs(t, err, record.ErrVersion)
	_, err = record.ParseRedeliver([]byte{1, 'q', 0xff, 0xff, 0xff, 0x7f, 1, 1})
	require.ErrorIs(t, err, record.ErrTooLarge, "nothing is allocated for messages that cannot be there")
}
