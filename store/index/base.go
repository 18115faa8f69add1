package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/syndtr/goleveldb/leveldb"

	"baton/store/record"
)

// Base is what must be known at a position of the log to apply what comes
// behind it: everything that is not a live message. With it an index can be
// made from a log whose beginning is gone.
type Base struct {
	Position record.Position
	Epoch    record.Epoch // of the batch before Position
	Chain    uint64       // running hash up to Position
	// Start is the newest epoch-start record before Position and StartEpoch
	// its epoch; 0 if there was none.
	Start      record.EpochStart
	StartEpoch record.Epoch
	Queues     []BaseQueue // by rising id
}

// BaseQueue is a queue as of a Base.
type BaseQueue struct {
	Name     string
	ID       uint64
	Next     record.Sequence
	Enqueued uint64
}

// Trim is why the log may begin at a position: the index was at Applied when
// no live message lay below Base. Void are those move records from Base up to
// Applied which were to move a message from below Base and did not find it
// there; the other ones did. Ascending.
type Trim struct {
	Base, Applied record.Position
	Void          []record.Position
}

const (
	baseMagic   = "BTNBASE1"
	trimMagic   = "BTNTRIM1"
	baseVersion = 1
	frameSize   = 16 // magic, version, CRC
)

// ErrBase means that an encoded Base or Trim is not what was written.
var ErrBase = errors.New("index: damaged base")

var (
	trimKey    = []byte("mtrim")
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// Base returns the base at the applied position.
func (ix *Index) Base() Base {
	ix.mu.RLock()
	s := ix.mu.state
	b := Base{Position: s.applied, Epoch: s.epoch, Chain: s.chain, Queues: make([]BaseQueue, len(ix.mu.queues))}
	for _, q := range ix.mu.queues {
		b.Queues[q.ID-1] = BaseQueue{q.Name, q.ID, q.Next, q.Enqueued} // ids are given without gaps
	}
	ix.mu.RUnlock()
	b.Start, b.StartEpoch, _ = ix.LastEpochStart()
	return b
}

// Encode returns b as bytes: magic "BTNBASE1", version (4, little-endian),
// uvarints position, epoch, chain, epoch of the epoch start, length of its
// body, the body, number of queues; of each id, next, enqueued, length of the
// name, name; CRC-32C of all before (4).
func (b Base) Encode() []byte {
	out := make([]byte, 0, 256+32*len(b.Queues))
	out = binary.LittleEndian.AppendUint32(append(out, baseMagic...), baseVersion)
	for _, v := range []uint64{uint64(b.Position), uint64(b.Epoch), b.Chain, uint64(b.StartEpoch)} {
		out = binary.AppendUvarint(out, v)
	}
	var start []byte
	if b.StartEpoch != 0 {
		start = b.Start.AppendTo(nil)
	}
	out = append(binary.AppendUvarint(out, uint64(len(start))), start...)
	out = binary.AppendUvarint(out, uint64(len(b.Queues)))
	for _, q := range b.Queues {
		for _, v := range []uint64{q.ID, uint64(q.Next), q.Enqueued, uint64(len(q.Name))} {
			out = binary.AppendUvarint(out, v)
		}
		out = append(out, q.Name...)
	}
	return binary.LittleEndian.AppendUint32(out, crc32.Checksum(out, castagnoli))
}

// DecodeBase checks and decodes what Encode returned. ErrBase.
func DecodeBase(data []byte) (Base, error) {
	body, err := unframe(data, baseMagic)
	if err != nil {
		return Base{}, err
	}
	d := fields{b: body}
	b := Base{Position: record.Position(d.next()), Epoch: record.Epoch(d.next()), Chain: d.next(), StartEpoch: record.Epoch(d.next())}
	if start := d.take(d.next()); b.StartEpoch != 0 && d.err == nil {
		if b.Start, err = record.ParseEpochStart(start); err != nil {
			return b, fmt.Errorf("%w: %w", ErrBase, err)
		}
	} else if len(start) > 0 {
		return b, fmt.Errorf("%w: an epoch start without epoch", ErrBase)
	}
	n := d.next()
	if n > uint64(len(d.b))/4 {
		return b, fmt.Errorf("%w: %d queues in %d bytes", ErrBase, n, len(d.b))
	}
	b.Queues = make([]BaseQueue, 0, n)
	for i := range n {
		q := BaseQueue{ID: d.next(), Next: record.Sequence(d.next()), Enqueued: d.next()}
		q.Name = string(d.take(d.next()))
		if d.err == nil && (q.ID != i+1 || q.Next == 0) {
			return b, fmt.Errorf("%w: queue %q has id %d, next sequence %d", ErrBase, q.Name, q.ID, q.Next)
		}
		b.Queues = append(b.Queues, q)
	}
	if err := d.close("base"); err != nil {
		return b, fmt.Errorf("%w: %w", ErrBase, err)
	}
	return b, nil
}

// Encode returns t as bytes, framed as Base.Encode does with the magic
// "BTNTRIM1": uvarints base, applied, number of void moves, each of them.
func (t Trim) Encode() []byte {
	out := binary.LittleEndian.AppendUint32([]byte(trimMagic), baseVersion)
	for _, v := range append([]record.Position{t.Base, t.Applied, record.Position(len(t.Void))}, t.Void...) {
		out = binary.AppendUvarint(out, uint64(v))
	}
	return binary.LittleEndian.AppendUint32(out, crc32.Checksum(out, castagnoli))
}

// DecodeTrim checks and decodes what Encode returned. ErrBase.
func DecodeTrim(data []byte) (Trim, error) {
	body, err := unframe(data, trimMagic)
	if err != nil {
		return Trim{}, err
	}
	d := fields{b: body}
	t := Trim{Base: record.Position(d.next()), Applied: record.Position(d.next())}
	n := d.next()
	if n > uint64(len(d.b)) {
		return t, fmt.Errorf("%w: %d void moves in %d bytes", ErrBase, n, len(d.b))
	}
	for range n {
		t.Void = append(t.Void, record.Position(d.next()))
	}
	if err := d.close("trim"); err != nil {
		return t, fmt.Errorf("%w: %w", ErrBase, err)
	}
	if t.Base > t.Applied || !slices.IsSorted(t.Void) {
		return t, fmt.Errorf("%w: base %d, applied %d, void moves out of order", ErrBase, t.Base, t.Applied)
	}
	return t, nil
}

func unframe(data []byte, magic string) ([]byte, error) {
	if len(data) < frameSize || string(data[:8]) != magic {
		return nil, fmt.Errorf("%w: %d bytes that do not begin with %s", ErrBase, len(data), magic)
	}
	body := data[:len(data)-4]
	if want, got := binary.LittleEndian.Uint32(data[len(body):]), crc32.Checksum(body, castagnoli); want != got {
		return nil, fmt.Errorf("%w: checksum %#x where it says %#x", ErrBase, got, want)
	}
	if v := binary.LittleEndian.Uint32(body[8:]); v != baseVersion {
		return nil, fmt.Errorf("%w: version %d, this program knows %d", ErrBase, v, baseVersion)
	}
	return body[12:], nil
}

// take returns the next n bytes.
func (d *fields) take(n uint64) []byte {
	if d.err != nil || n > uint64(len(d.b)) {
		d.b, d.err = nil, errField
		return nil
	}
	out := d.b[:n]
	d.b = d.b[n:]
	return out
}

// Begin makes an empty index one of the log from t.Base on, where b is the
// base. It speaks the truth when the log is applied to t.Applied or beyond:
// before that, messages below t.Base which were still there are missing.
func (ix *Index) Begin(b Base, t Trim) error {
	if at, _ := ix.Applied(); at != 0 || b.Position != t.Base {
		panic(fmt.Sprintf("index: begin at position %d with a trim at %d, applied %d", b.Position, t.Base, at))
	}
	s := state{applied: b.Position, epoch: b.Epoch, chain: b.Chain, queues: uint64(len(b.Queues))}
	queues := make(map[string]*QueueInfo, len(b.Queues))
	var kv leveldb.Batch
	for _, q := range b.Queues {
		// All that is gone counts as acknowledged, until a move says otherwise.
		info := &QueueInfo{Name: q.Name, ID: q.ID, Next: q.Next, Head: q.Next, Enqueued: q.Enqueued, Acked: q.Enqueued}
		queues[q.Name] = info
		kv.Put(queueKey(q.Name), info.encode())
	}
	var start *epochStart
	if b.StartEpoch != 0 {
		start = &epochStart{b.Start, b.StartEpoch}
		kv.Put(epochStartKey, append(binary.AppendUvarint(nil, uint64(b.StartEpoch)), b.Start.AppendTo(nil)...))
	}
	kv.Put(trimKey, t.Encode())
	kv.Put(stateKey, s.encode())
	if err := ix.db.Write(&kv, nil); err != nil {
		return fmt.Errorf("begin index at position %d: %w", b.Position, classify(err))
	}
	ix.trim = &t
	ix.mu.Lock()
	defer ix.mu.Unlock()
	ix.mu.state, ix.mu.queues, ix.mu.start = s, queues, start
	ix.mu.points.add(b.Position, b.Chain)
	return nil
}

func (ix *Index) loadTrim() error {
	value, err := ix.db.Get(trimKey, nil)
	if errors.Is(err, leveldb.ErrNotFound) {
		return nil
	}
	if err != nil {
		return classify(err)
	}
	t, err := DecodeTrim(value)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	ix.trim = &t
	return nil
}
