package index

import (
	"cmp"
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
	IDs        uint64          // queue ids given, those of deleted queues too
	Floor      record.Sequence // no deleted queue gave this sequence or a higher one
	Queues     []BaseQueue     // by rising id
	// Subscriptions are the durable ones, by client id and name.
	Subscriptions []Subscription
}

// BaseQueue is a queue as of a Base.
type BaseQueue struct {
	Name     string
	ID       uint64
	Next     record.Sequence
	Enqueued uint64

	Duplicates uint64
}

// Trim is why the log may begin at a position: the index was at Applied when
// no live message lay below Base, and no id that suppresses duplicates. Void
// are those records from Base up to Applied that did nothing because of what
// was or was not below Base, so that the rest of the log does not tell:
//
//   - moves of a message from below Base which did not find it there; the other
//     moves from below did;
//   - enqueues of a message whose DedupID came with a record below Base;
//   - deletes of a queue that was not empty.
//
// Ascending.
type Trim struct {
	Base, Applied record.Position
	Void          []record.Position
}

const (
	baseMagic   = "BTNBASE1"
	trimMagic   = "BTNTRIM1"
	baseVersion = 2
	trimVersion = 1
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
	b := Base{Position: s.applied, Epoch: s.epoch, Chain: s.chain, IDs: s.queues, Floor: s.floor,
		Queues: make([]BaseQueue, 0, len(ix.mu.queues))}
	for _, q := range ix.mu.queues {
		b.Queues = append(b.Queues, BaseQueue{q.Name, q.ID, q.Next, q.Enqueued, q.Duplicates})
	}
	ix.mu.RUnlock()
	slices.SortFunc(b.Queues, func(x, y BaseQueue) int { return cmp.Compare(x.ID, y.ID) })
	b.Subscriptions = ix.Subscriptions()
	b.Start, b.StartEpoch, _ = ix.LastEpochStart()
	return b
}

// Encode returns b as bytes: magic "BTNBASE1", version (4, little-endian),
// uvarints position, epoch, chain, epoch of the epoch start, length of its
// body, the body, queue ids given, floor, number of queues; of each id, next,
// enqueued, duplicates, length of the name, name; number of subscriptions; of
// each the position, length of its record's body, the body; CRC-32C of all
// before (4). Version 1 had no queue ids given, floor, duplicates and
// subscriptions: no queue was ever deleted then.
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
	for _, v := range []uint64{b.IDs, uint64(b.Floor), uint64(len(b.Queues))} {
		out = binary.AppendUvarint(out, v)
	}
	for _, q := range b.Queues {
		for _, v := range []uint64{q.ID, uint64(q.Next), q.Enqueued, q.Duplicates, uint64(len(q.Name))} {
			out = binary.AppendUvarint(out, v)
		}
		out = append(out, q.Name...)
	}
	out = binary.AppendUvarint(out, uint64(len(b.Subscriptions)))
	for _, s := range b.Subscriptions {
		body := s.AppendTo(nil)
		out = binary.AppendUvarint(binary.AppendUvarint(out, uint64(s.Position)), uint64(len(body)))
		out = append(out, body...)
	}
	return binary.LittleEndian.AppendUint32(out, crc32.Checksum(out, castagnoli))
}

// DecodeBase checks and decodes what Encode returned, or an earlier version of
// it. ErrBase.
func DecodeBase(data []byte) (Base, error) {
	body, version, err := unframe(data, baseMagic, baseVersion)
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
	if version > 1 {
		b.IDs, b.Floor = d.next(), record.Sequence(d.next())
	}
	if err := b.decodeQueues(&d, version); err != nil {
		return b, err
	}
	if version == 1 {
		b.IDs = uint64(len(b.Queues))
	} else if err := b.decodeSubscriptions(&d); err != nil {
		return b, err
	}
	if err := d.close("base"); err != nil {
		return b, fmt.Errorf("%w: %w", ErrBase, err)
	}
	return b, nil
}

func (b *Base) decodeQueues(d *fields, version uint32) error {
	n := d.next()
	if n > uint64(len(d.b))/4 {
		return fmt.Errorf("%w: %d queues in %d bytes", ErrBase, n, len(d.b))
	}
	b.Queues = make([]BaseQueue, 0, n)
	last := uint64(0)
	for range n {
		q := BaseQueue{ID: d.next(), Next: record.Sequence(d.next()), Enqueued: d.next()}
		if version > 1 {
			q.Duplicates = d.next()
		}
		q.Name = string(d.take(d.next()))
		if d.err == nil && (q.ID <= last || version > 1 && q.ID > b.IDs || q.Next == 0) {
			return fmt.Errorf("%w: queue %q has id %d of %d after %d, next sequence %d", ErrBase, q.Name, q.ID, b.IDs, last, q.Next)
		}
		last = q.ID
		b.Queues = append(b.Queues, q)
	}
	if version == 1 && d.err == nil && last != n {
		return fmt.Errorf("%w: %d queues with ids up to %d", ErrBase, n, last)
	}
	return nil
}

func (b *Base) decodeSubscriptions(d *fields) error {
	for n := d.next(); n > 0 && d.err == nil; n-- {
		s := Subscription{Position: record.Position(d.next())}
		body := d.take(d.next())
		if d.err != nil {
			return nil // close tells
		}
		var err error
		if s.Subscribe, err = record.ParseSubscribe(body); err != nil {
			return fmt.Errorf("%w: %w", ErrBase, err)
		}
		b.Subscriptions = append(b.Subscriptions, s)
	}
	return nil
}

// Encode returns t as bytes, framed as Base.Encode does with the magic
// "BTNTRIM1": uvarints base, applied, number of void records, each of them.
func (t Trim) Encode() []byte {
	out := binary.LittleEndian.AppendUint32([]byte(trimMagic), trimVersion)
	for _, v := range append([]record.Position{t.Base, t.Applied, record.Position(len(t.Void))}, t.Void...) {
		out = binary.AppendUvarint(out, uint64(v))
	}
	return binary.LittleEndian.AppendUint32(out, crc32.Checksum(out, castagnoli))
}

// DecodeTrim checks and decodes what Encode returned. ErrBase.
func DecodeTrim(data []byte) (Trim, error) {
	body, _, err := unframe(data, trimMagic, trimVersion)
	if err != nil {
		return Trim{}, err
	}
	d := fields{b: body}
	t := Trim{Base: record.Position(d.next()), Applied: record.Position(d.next())}
	n := d.next()
	if n > uint64(len(d.b)) {
		return t, fmt.Errorf("%w: %d void records in %d bytes", ErrBase, n, len(d.b))
	}
	for range n {
		t.Void = append(t.Void, record.Position(d.next()))
	}
	if err := d.close("trim"); err != nil {
		return t, fmt.Errorf("%w: %w", ErrBase, err)
	}
	if t.Base > t.Applied || !slices.IsSorted(t.Void) {
		return t, fmt.Errorf("%w: base %d, applied %d, void records out of order", ErrBase, t.Base, t.Applied)
	}
	return t, nil
}

// unframe checks the frame, and that the version is from 1 up to the newest.
func unframe(data []byte, magic string, newest uint32) (body []byte, version uint32, err error) {
	if len(data) < frameSize || string(data[:8]) != magic {
		return nil, 0, fmt.Errorf("%w: %d bytes that do not begin with %s", ErrBase, len(data), magic)
	}
	body = data[:len(data)-4]
	if want, got := binary.LittleEndian.Uint32(data[len(body):]), crc32.Checksum(body, castagnoli); want != got {
		return nil, 0, fmt.Errorf("%w: checksum %#x where it says %#x", ErrBase, got, want)
	}
	if version = binary.LittleEndian.Uint32(body[8:]); version == 0 || version > newest {
		return nil, 0, fmt.Errorf("%w: version %d, this program knows %d", ErrBase, version, newest)
	}
	return body[12:], version, nil
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
	s := state{applied: b.Position, epoch: b.Epoch, chain: b.Chain, queues: b.IDs, deleted: b.IDs - uint64(len(b.Queues)), floor: b.Floor}
	queues := make([]*QueueInfo, 0, len(b.Queues))
	var kv leveldb.Batch
	for _, q := range b.Queues {
		// All that is gone counts as acknowledged, until a move says otherwise.
		info := &QueueInfo{Name: q.Name, ID: q.ID, Next: q.Next, Head: q.Next, Enqueued: q.Enqueued, Acked: q.Enqueued,
			Duplicates: q.Duplicates}
		queues = append(queues, info)
		kv.Put(queueKey(q.Name), info.encode())
	}
	var start *epochStart
	if b.StartEpoch != 0 {
		start = &epochStart{b.Start, b.StartEpoch}
		kv.Put(epochStartKey, append(binary.AppendUvarint(nil, uint64(b.StartEpoch)), b.Start.AppendTo(nil)...))
	}
	for _, sub := range b.Subscriptions {
		kv.Put(sub.subscriber().key(), sub.encode())
	}
	kv.Put(trimKey, t.Encode())
	kv.Put(stateKey, s.encode())
	err := ix.mu.db.Write(&kv, nil)
	if err == nil {
		err = ix.storage.flush()
	}
	if err != nil {
		return fmt.Errorf("begin index at position %d: %w", b.Position, classify(err))
	}
	ix.trim = &t
	ix.written, ix.synced = b.Position, b.Position
	ix.mu.Lock()
	defer ix.mu.Unlock()
	ix.mu.state, ix.mu.start = s, start
	for _, q := range queues {
		ix.setQueue(q.Name, q)
	}
	for _, sub := range b.Subscriptions {
		ix.mu.subs[sub.subscriber()] = sub
	}
	ix.mu.points.add(b.Position, b.Chain)
	return nil
}

func (ix *Index) loadTrim() error {
	value, err := ix.mu.db.Get(trimKey, nil)
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
