package stomp

import (
	"bytes"
	"io"
	"strconv"
	"strings"
)

const (
	bufferMin = 4 << 10  // first read buffer; idle connections keep it
	bufferMax = 64 << 10 // grown to while reads fill the buffer
	bodyStep  = 64 << 10 // a claimed length is believed in steps of this size
	bodyKeep  = 64 << 10 // a larger body buffer is not kept for the next frame
)

// Room is memory that large bodies share, whose decoders ask for it before they
// read them. A body of up to 64 KiB needs none.
type Room interface {
	// Take sets n bytes aside, beside held ones that the same body has. It may
	// block if held is 0. The decoder returns its errors, and is spent.
	Take(n, held int) error
	// Give takes n bytes back.
	Give(n int)
}

// Decoder reads frames from a stream. It is not safe for concurrent use. It
// calls Read of the stream only when it has no whole frame left in its buffer.
type Decoder struct {
	r       io.Reader
	version Version
	limits  Limits

	buf        []byte // unread bytes are buf[begin:end]
	begin, end int
	full       bool // the last read filled the buffer

	room Room // nil: any

	frame Frame
	used  int // bytes of the frame so far
	taken int // bytes of room for its body
	head  []byte
	spans []span
	body  []byte
}

// span is one header in head: name is [name, value), value is [value, end).
type span struct{ name, value, end int }

// NewDecoder returns a decoder of version 1.0 over r.
func NewDecoder(r io.Reader, l Limits) *Decoder {
	return &Decoder{r: r, limits: l.WithDefaults(), buf: make([]byte, bufferMin)}
}

// Configure sets version and limits for the frames that follow.
func (d *Decoder) Configure(v Version, l Limits) {
	d.version, d.limits = v, l.WithDefaults()
}

// Share makes the decoder ask for room before it reads large bodies. The owner
// must call Release when it is done with the decoder.
func (d *Decoder) Share(r Room) { d.room = r }

// Release gives the body of the last frame up, and its room back.
func (d *Decoder) Release() {
	if cap(d.body) > bodyKeep {
		d.body, d.frame.Body = nil, nil
	}
	if d.taken > 0 {
		d.room.Give(d.taken)
		d.taken = 0
	}
}

// take makes sure that there is room for a body of n bytes. What is not known
// in advance is asked for in steps.
func (d *Decoder) take(n int) error {
	if d.room == nil || n <= max(bodyKeep, d.taken) {
		return nil
	}
	more := n - d.taken
	if err := d.room.Take(more, d.taken); err != nil {
		return err
	}
	d.taken += more
	return nil
}

// Next returns the next frame, skipping heart-beats. The frame's header list
// and body are valid until the next call; its strings stay valid. Errors:
// io.EOF between frames, io.ErrUnexpectedEOF within one, ErrMalformed,
// ErrTooLarge, and those of the stream and of Room. After an error the decoder
// is spent.
func (d *Decoder) Next() (*Frame, error) {
	d.Release()
	d.used = 0
	if err := d.skipBeats(); err != nil {
		return nil, err
	}
	if err := d.readFrame(); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return &d.frame, nil
}

func (d *Decoder) skipBeats() error {
	for {
		for d.begin < d.end {
			if c := d.buf[d.begin]; c != '\n' && c != '\r' {
				return nil
			}
			d.begin++
		}
		if err := d.fill(); err != nil {
			return err
		}
	}
}

func (d *Decoder) readFrame() error {
	line, err := d.line("command line", d.limits.Command)
	if err != nil {
		return err
	}
	d.frame.Command = commandName(line)
	if d.frame.Command == "" {
		return malformed("empty command")
	}
	if err := d.readHeaders(); err != nil {
		return err
	}
	return d.readBody()
}

// readHeaders collects the unescaped headers in one buffer and turns them into
// one string, of which all names and values are parts.
func (d *Decoder) readHeaders() error {
	d.head, d.spans = d.head[:0], d.spans[:0]
	version := d.version
	if c := d.frame.Command; c == CmdConnect || c == CmdConnected || c == CmdStomp {
		version = V10
	}
	for total := 0; ; {
		line, err := d.line("header line", d.limits.HeaderLine)
		if err != nil {
			return err
		}
		if len(line) == 0 {
			break
		}
		if total += len(line) + 1; total > d.limits.HeaderBytes {
			return tooLarge("bytes of headers", d.limits.HeaderBytes)
		}
		if len(d.spans) == d.limits.Headers {
			return tooLarge("number of headers", d.limits.Headers)
		}
		if err := d.addHeader(version, line); err != nil {
			return err
		}
	}
	text := string(d.head)
	d.frame.Headers = d.frame.Headers[:0]
	for _, s := range d.spans {
		d.frame.Headers = append(d.frame.Headers, Header{text[s.name:s.value], text[s.value:s.end]})
	}
	return nil
}

func (d *Decoder) addHeader(v Version, line []byte) error {
	colon := bytes.IndexByte(line, ':')
	if colon < 0 {
		return malformed("header line without a colon")
	}
	if colon == 0 {
		return malformed("header without a name")
	}
	name, value := line[:colon], line[colon+1:]
	if d.version == V10 && v == V10 {
		name, value = bytes.TrimSpace(name), bytes.TrimSpace(value)
	}
	s := span{name: len(d.head)}
	var err error
	if d.head, err = appendUnescaped(d.head, v, name); err != nil {
		return err
	}
	s.value = len(d.head)
	if d.head, err = appendUnescaped(d.head, v, value); err != nil {
		return err
	}
	s.end = len(d.head)
	d.spans = append(d.spans, s)
	return nil
}

// line returns the next line without its end. It aliases the read buffer.
func (d *Decoder) line(what string, limit int) ([]byte, error) {
	for seen := 0; ; {
		i := bytes.IndexByte(d.buf[d.begin+seen:d.end], '\n')
		seen += max(i, 0)
		if i < 0 {
			seen = d.end - d.begin
		}
		if seen > limit+1 { // one more for a carriage return
			return nil, tooLarge("bytes of "+what, limit)
		}
		if i < 0 {
			if err := d.fill(); err != nil {
				return nil, err
			}
			continue
		}
		line := d.buf[d.begin : d.begin+seen]
		d.begin += seen + 1
		if err := d.count(seen + 1); err != nil {
			return nil, err
		}
		if n := len(line); n > 0 && line[n-1] == '\r' && d.version != V11 {
			line = line[:n-1]
		}
		if len(line) > limit {
			return nil, tooLarge("bytes of "+what, limit)
		}
		if bytes.IndexByte(line, 0) >= 0 {
			return nil, malformed("NUL in %s", what)
		}
		return line, nil
	}
}

func (d *Decoder) readBody() error {
	d.body = d.body[:0]
	err := error(nil)
	if length, ok := d.frame.Lookup("content-length"); ok {
		err = d.sizedBody(length)
	} else {
		err = d.openBody()
	}
	d.frame.Body = d.body
	return err
}

// sizedBody reads as many bytes as the header claims, and the NUL after them.
func (d *Decoder) sizedBody(length string) error {
	claimed, err := strconv.ParseUint(strings.TrimSpace(length), 10, 62)
	if err != nil {
		return malformed("content-length is not a number")
	}
	if claimed > uint64(d.limits.Body) {
		return tooLarge("bytes of body", d.limits.Body)
	}
	n := int(claimed)
	if err := d.count(n + 1); err != nil {
		return err
	}
	if err := d.take(n); err != nil {
		return err
	}
	for len(d.body) < n {
		if d.begin < d.end {
			take := min(d.end-d.begin, n-len(d.body))
			d.body = append(grow(d.body, n), d.buf[d.begin:d.begin+take]...)
			d.begin += take
			continue
		}
		if n-len(d.body) < bufferMin { // the frame's end and the next frame come with it
			if err := d.fill(); err != nil {
				return err
			}
			continue
		}
		d.body = grow(d.body, n)
		got, err := d.r.Read(d.body[len(d.body):min(cap(d.body), n)])
		d.body = d.body[:len(d.body)+got]
		if got == 0 && err != nil {
			return err
		}
	}
	for d.begin == d.end {
		if err := d.fill(); err != nil {
			return err
		}
	}
	if d.buf[d.begin] != 0 {
		return malformed("no NUL after the body of content-length bytes")
	}
	d.begin++
	return nil
}

// grow makes room for more bytes of a body that claims n: never much more than
// twice what has arrived.
func grow(body []byte, n int) []byte {
	if len(body) < cap(body) {
		return body
	}
	bigger := make([]byte, len(body), min(n, max(bodyStep, 2*cap(body))))
	copy(bigger, body)
	return bigger
}

// openBody reads up to the first NUL.
func (d *Decoder) openBody() error {
	for {
		chunk := d.buf[d.begin:d.end]
		i := bytes.IndexByte(chunk, 0)
		if i >= 0 {
			chunk = chunk[:i]
		}
		if len(d.body)+len(chunk) > d.limits.Body {
			return tooLarge("bytes of body", d.limits.Body)
		}
		if err := d.count(len(chunk)); err != nil {
			return err
		}
		if n := len(d.body) + len(chunk); n > max(d.taken, bodyKeep) {
			if err := d.take(min(2*n, d.limits.Body)); err != nil { // append doubles
				return err
			}
		}
		d.body = append(d.body, chunk...)
		d.begin += len(chunk)
		if i >= 0 {
			d.begin++
			return nil
		}
		if err := d.fill(); err != nil {
			return err
		}
	}
}

func (d *Decoder) count(n int) error {
	if d.used += n; d.used > d.limits.Frame {
		return tooLarge("bytes of frame", d.limits.Frame)
	}
	return nil
}

// fill reads at least one byte into the buffer. The buffer doubles while reads
// fill it, and whenever a single line needs more.
func (d *Decoder) fill() error {
	if d.begin > 0 {
		d.end = copy(d.buf, d.buf[d.begin:d.end])
		d.begin = 0
	}
	if d.end == len(d.buf) || d.full && len(d.buf) < bufferMax {
		bigger := make([]byte, 2*len(d.buf))
		copy(bigger, d.buf[:d.end])
		d.buf = bigger
	}
	for range 100 {
		n, err := d.r.Read(d.buf[d.end:])
		d.end += n
		d.full = d.end == len(d.buf)
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}
