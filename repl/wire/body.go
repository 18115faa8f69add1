package wire

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode"

	"baton/store/record"
)

// NonceSize and MACSize are in bytes.
const (
	NonceSize = 32
	MACSize   = 32
)

// Hello begins a session.
type Hello struct {
	ClusterID, Node, Incarnation string
	Leader                       string // node that the follower means to reach
	Nonce                        [NonceSize]byte
}

// Challenge answers a Hello.
type Challenge struct {
	ClusterID, Node string
	Nonce           [NonceSize]byte
}

// Proof shows that the follower knows the token.
type Proof struct{ MAC [MACSize]byte }

// Welcome shows that the leader knows the token.
type Welcome struct{ MAC [MACSize]byte }

// Code says why a peer was refused.
type Code uint16

// Codes. A number is never reused.
const (
	CodeNotLeader Code = 1  // the node reached does not lead; Epoch is what it sealed
	CodeFenced    Code = 2  // the sender has sealed Epoch, which is higher
	CodeCluster   Code = 3  // another cluster id
	CodeToken     Code = 4  // the proof does not fit the token
	CodeVersion   Code = 5  // another protocol version
	CodeStranger  Code = 6  // not a member of the cluster
	CodeWrongNode Code = 7  // the address belongs to another node
	CodeSnapshot  Code = 8  // the leader no longer retains what the follower needs
	CodeDiverged  Code = 9  // the follower's log cannot be explained
	CodeProtocol  Code = 10 // the peer broke the protocol
	CodeReceive   Code = 11 // the follower cannot take in the snapshot
)

var codeNames = [...]string{"", "not leader", "fenced", "other cluster", "wrong token", "protocol version",
	"stranger", "wrong node", "snapshot needed", "diverged", "protocol error", "cannot take in the snapshot"}

func (c Code) String() string {
	if int(c) < len(codeNames) && c != 0 {
		return codeNames[c]
	}
	return fmt.Sprintf("code-%d", uint16(c))
}

// Refuse ends a connection with one sentence for people.
type Refuse struct {
	Code  Code
	Epoch record.Epoch
	Text  string
}

// Attach tells the leader what the follower's log holds.
type Attach struct {
	Start, End record.Position
	Boundaries []record.EpochBoundary
	// Whole asks for a snapshot, whatever the log holds: it is damaged.
	Whole bool
}

// Position answers an Attach.
type Position struct {
	Truncate  bool // cut the log at At first; otherwise At is the follower's end
	AckWrites bool // acknowledge writes at once
	At        record.Position
	LeaderEnd record.Position
	Commit    record.Position
}

// Append carries whole batches that continue the log.
type Append struct {
	Commit  record.Position
	Batches []byte
}

// Ack says how far the follower's own log got.
type Ack struct{ Received, Flushed, Applied record.Position }

// Heartbeat says that the leader lives, and where it is.
type Heartbeat struct {
	Commit, LeaderEnd record.Position
	Time              int64 // comes back in the answer, means nothing to others
}

// HeartbeatAck answers a Heartbeat.
type HeartbeatAck struct{ Time int64 }

// Types of the bodies.
func (Hello) Type() Type        { return TypeHello }
func (Challenge) Type() Type    { return TypeChallenge }
func (Proof) Type() Type        { return TypeProof }
func (Welcome) Type() Type      { return TypeWelcome }
func (Refuse) Type() Type       { return TypeRefuse }
func (Attach) Type() Type       { return TypeAttach }
func (Position) Type() Type     { return TypePosition }
func (Append) Type() Type       { return TypeAppend }
func (Ack) Type() Type          { return TypeAck }
func (Heartbeat) Type() Type    { return TypeHeartbeat }
func (HeartbeatAck) Type() Type { return TypeHeartbeatAck }

func (h Hello) appendTo(b []byte) []byte {
	b = appendStrings(b, h.ClusterID, h.Node, h.Incarnation, h.Leader)
	return append(b, h.Nonce[:]...)
}

func (c Challenge) appendTo(b []byte) []byte {
	return append(appendStrings(b, c.ClusterID, c.Node), c.Nonce[:]...)
}

func (p Proof) appendTo(b []byte) []byte   { return append(b, p.MAC[:]...) }
func (w Welcome) appendTo(b []byte) []byte { return append(b, w.MAC[:]...) }

func (r Refuse) appendTo(b []byte) []byte {
	b = binary.LittleEndian.AppendUint16(b, uint16(r.Code))
	b = appendU64(b, uint64(r.Epoch))
	return appendStrings(b, r.Text)
}

func (a Attach) appendTo(b []byte) []byte {
	b = appendU64(b, uint64(a.Start), uint64(a.End))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(a.Boundaries)))
	for _, e := range a.Boundaries {
		b = appendU64(b, uint64(e.Epoch), uint64(e.Start))
	}
	if a.Whole {
		return append(b, attachWhole)
	}
	return append(b, 0)
}

const flagAckWrites = 1

func (p Position) appendTo(b []byte) []byte {
	verdict, flags := byte(1), byte(0)
	if p.Truncate {
		verdict = 2
	}
	if p.AckWrites {
		flags = flagAckWrites
	}
	return appendU64(append(b, verdict, flags), uint64(p.At), uint64(p.LeaderEnd), uint64(p.Commit))
}

func (a Append) appendTo(b []byte) []byte {
	return append(appendU64(b, uint64(a.Commit)), a.Batches...)
}

func (a Ack) appendTo(b []byte) []byte {
	return appendU64(b, uint64(a.Received), uint64(a.Flushed), uint64(a.Applied))
}

func (h Heartbeat) appendTo(b []byte) []byte {
	return appendU64(b, uint64(h.Commit), uint64(h.LeaderEnd), uint64(h.Time))
}

func (h HeartbeatAck) appendTo(b []byte) []byte { return appendU64(b, uint64(h.Time)) }

// Parse decodes the body of any frame. Errors are ErrBody and ErrTooLarge. The
// batches of an Append alias the frame.
func (f Frame) Parse() (Body, error) {
	d := decoder{b: f.Body}
	var body Body
	switch f.Type {
	case TypeHello:
		h := Hello{ClusterID: d.str(), Node: d.str(), Incarnation: d.str(), Leader: d.str()}
		copy(h.Nonce[:], d.take(NonceSize))
		body = h
	case TypeChallenge:
		c := Challenge{ClusterID: d.str(), Node: d.str()}
		copy(c.Nonce[:], d.take(NonceSize))
		body = c
	case TypeProof:
		body = Proof{MAC: d.mac()}
	case TypeWelcome:
		body = Welcome{MAC: d.mac()}
	case TypeRefuse:
		body = Refuse{Code: Code(d.uint(2)), Epoch: record.Epoch(d.uint(8)), Text: printable(d.str())}
	case TypeAttach:
		body = d.attach()
	case TypePosition:
		body = d.position()
	case TypeAppend:
		a := Append{Commit: d.position8()}
		a.Batches, d.b = d.b, nil
		body = a
	case TypeAck:
		body = Ack{Received: d.position8(), Flushed: d.position8(), Applied: d.position8()}
	case TypeHeartbeat:
		body = Heartbeat{Commit: d.position8(), LeaderEnd: d.position8(), Time: int64(d.uint(8))}
	case TypeHeartbeatAck:
		body = HeartbeatAck{Time: int64(d.uint(8))}
	case TypeSnapshot:
		body = d.snapshot()
	case TypeWant:
		body = Want{Part: Part(d.uint(1)), At: d.position8()}
	case TypeChunk:
		body = d.chunk()
	default:
		return nil, fmt.Errorf("%w: unknown frame %s", ErrBody, f.Type)
	}
	if d.err == nil && len(d.b) != 0 {
		d.err = fmt.Errorf("%w: %d bytes left over", ErrBody, len(d.b))
	}
	if d.err != nil {
		return nil, fmt.Errorf("decode %s frame: %w", f.Type, d.err)
	}
	return body, nil
}

func appendU64(b []byte, vs ...uint64) []byte {
	for _, v := range vs {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return b
}

// appendStrings cuts a string that is too long, which only a sentence can be:
// ids are checked where they are configured.
func appendStrings(b []byte, ss ...string) []byte {
	for _, s := range ss {
		s = s[:min(len(s), MaxString)]
		b = binary.LittleEndian.AppendUint16(b, uint16(len(s)))
		b = append(b, s...)
	}
	return b
}

// printable keeps a peer's sentence from playing tricks with a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '.'
	}, s)
}

// decoder reads fields; after the first error it returns zero values.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) take(n int) []byte {
	if d.err != nil {
		return nil
	}
	if n > len(d.b) {
		d.err = fmt.Errorf("%w: %d bytes where %d are needed", ErrBody, len(d.b), n)
		return nil
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) uint(size int) uint64 {
	var v uint64
	for i, c := range d.take(size) {
		v |= uint64(c) << (8 * i)
	}
	return v
}

// position8 refuses what cannot be added to without overflow.
func (d *decoder) position8() record.Position {
	v := d.uint(8)
	if v > 1<<62 && d.err == nil {
		d.err = fmt.Errorf("%w: position %d", ErrTooLarge, v)
	}
	return record.Position(v)
}

func (d *decoder) str() string {
	n := int(d.uint(2))
	if n > MaxString && d.err == nil {
		d.err = fmt.Errorf("%w: string of %d bytes, at most %d", ErrTooLarge, n, MaxString)
	}
	return string(d.take(n))
}

func (d *decoder) mac() (m [MACSize]byte) {
	copy(m[:], d.take(MACSize))
	return m
}

func (d *decoder) attach() Attach {
	a := Attach{Start: d.position8(), End: d.position8()}
	n := int(d.uint(4))
	if n > MaxEpochs && d.err == nil {
		d.err = fmt.Errorf("%w: %d epochs, at most %d", ErrTooLarge, n, MaxEpochs)
	}
	if n*16+1 != len(d.b) && d.err == nil {
		d.err = fmt.Errorf("%w: %d epochs in %d bytes", ErrBody, n, len(d.b))
	}
	if d.err != nil {
		return a
	}
	for range n {
		a.Boundaries = append(a.Boundaries, record.EpochBoundary{Epoch: record.Epoch(d.uint(8)), Start: d.position8()})
	}
	flags := d.uint(1)
	if flags&^attachWhole != 0 && d.err == nil {
		d.err = fmt.Errorf("%w: attach flags %#x", ErrBody, flags)
	}
	a.Whole = flags&attachWhole != 0
	return a
}

func (d *decoder) position() Position {
	verdict, flags := d.uint(1), d.uint(1)
	if d.err == nil && (verdict < 1 || verdict > 2 || flags&^flagAckWrites != 0) {
		d.err = fmt.Errorf("%w: verdict %d, flags %#x", ErrBody, verdict, flags)
	}
	return Position{Truncate: verdict == 2, AckWrites: flags&flagAckWrites != 0,
		At: d.position8(), LeaderEnd: d.position8(), Commit: d.position8()}
}
