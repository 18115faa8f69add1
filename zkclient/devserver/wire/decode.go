package wire

import (
	"encoding/binary"
	"errors"
)

// Errors of decoding.
var (
	// ErrShort says that a record ends before its last field.
	ErrShort = errors.New("wire: record is shorter than its fields")
	// ErrLength says that a record contains an impossible length or count.
	ErrLength = errors.New("wire: record contains a length that does not fit in it")
)

// Decoder reads jute fields from one packet. The first failure sticks: later
// reads return zero values, so a caller reads a whole record and asks Err once.
// No length taken from the packet is ever allocated before it was compared
// with the bytes that are left.
type Decoder struct {
	rest []byte
	err  error
}

// NewDecoder returns a decoder of packet, which it never modifies.
func NewDecoder(packet []byte) *Decoder { return &Decoder{rest: packet} }

// Err returns the first failure, ErrShort or ErrLength.
func (d *Decoder) Err() error { return d.err }

// Len returns the number of bytes not read yet.
func (d *Decoder) Len() int { return len(d.rest) }

func (d *Decoder) take(n int) []byte {
	if d.err != nil {
		return nil
	}
	if len(d.rest) < n {
		d.fail(ErrShort)
		return nil
	}
	field := d.rest[:n:n]
	d.rest = d.rest[n:]
	return field
}

func (d *Decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
	d.rest = nil
}

// Int32 reads a 4-byte integer.
func (d *Decoder) Int32() int32 {
	field := d.take(4)
	if field == nil {
		return 0
	}
	return int32(binary.BigEndian.Uint32(field))
}

// Int64 reads an 8-byte integer.
func (d *Decoder) Int64() int64 {
	field := d.take(8)
	if field == nil {
		return 0
	}
	return int64(binary.BigEndian.Uint64(field))
}

// Bool reads one byte; all but zero is true, as in Java's readBoolean.
func (d *Decoder) Bool() bool {
	field := d.take(1)
	return field != nil && field[0] != 0
}

// Buffer reads a byte string into memory of its own. Null gives nil, empty
// gives an empty slice: ZooKeeper keeps the two apart in node data.
func (d *Decoder) Buffer() []byte {
	field, ok := d.bytes()
	if !ok {
		return nil
	}
	return append(make([]byte, 0, len(field)), field...)
}

// String reads a string; null gives "".
func (d *Decoder) String() string {
	field, _ := d.bytes()
	return string(field)
}

func (d *Decoder) bytes() (field []byte, ok bool) {
	n := d.Int32()
	if d.err != nil || n == -1 {
		return nil, false
	}
	if n < -1 || int(n) > len(d.rest) {
		d.fail(ErrLength)
		return nil, false
	}
	return d.take(int(n)), true
}

// count reads the count of a vector whose items take at least itemMin bytes.
func (d *Decoder) count(itemMin int) int {
	n := d.Int32()
	if d.err != nil || n == -1 {
		return 0
	}
	if n < -1 || int(n) > len(d.rest)/itemMin {
		d.fail(ErrLength)
		return 0
	}
	return int(n)
}

// Strings reads a vector of strings.
func (d *Decoder) Strings() []string {
	n := d.count(4)
	items := make([]string, 0, n)
	for range n {
		items = append(items, d.String())
	}
	return items
}

// ACLs reads a vector of access rules.
func (d *Decoder) ACLs() []ACL {
	n := d.count(12)
	items := make([]ACL, 0, n)
	for range n {
		items = append(items, ACL{Perms: d.Int32(), Scheme: d.String(), ID: d.String()})
	}
	return items
}
