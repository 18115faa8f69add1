package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// MaxFrame is the longest packet accepted, in bytes: the default of ZooKeeper's
// jute.maxbuffer.
const MaxFrame = 0xfffff

// frameChunk bounds what a mere length prefix makes the server allocate: the
// rest of a long frame is allocated as it arrives.
const frameChunk = 32 << 10

// FrameLengthError says that four bytes read as a length are not one. They may
// be a four-letter word.
type FrameLengthError struct {
	Prefix [4]byte
}

// Error names the length.
func (e *FrameLengthError) Error() string {
	return fmt.Sprintf("wire: frame length %d is not within 0..%d", int32(binary.BigEndian.Uint32(e.Prefix[:])), MaxFrame)
}

// ReadFrame reads one packet without its length. It returns io.EOF at a clean
// end, io.ErrUnexpectedEOF within a packet and *FrameLengthError for a length
// out of bounds.
func ReadFrame(r io.Reader) ([]byte, error) {
	var prefix [4]byte
	if _, err := io.ReadFull(r, prefix[:]); err != nil {
		return nil, err
	}
	n := int32(binary.BigEndian.Uint32(prefix[:]))
	if n < 0 || n > MaxFrame {
		return nil, &FrameLengthError{Prefix: prefix}
	}
	if n <= frameChunk {
		packet := make([]byte, n)
		if _, err := io.ReadFull(r, packet); err != nil {
			return nil, unexpected(err)
		}
		return packet, nil
	}
	var buf bytes.Buffer
	if _, err := io.CopyN(&buf, r, int64(n)); err != nil {
		return nil, unexpected(err)
	}
	return buf.Bytes(), nil
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Frame returns packet with its length in front.
func Frame(packet []byte) []byte {
	framed := make([]byte, 4, 4+len(packet))
	binary.BigEndian.PutUint32(framed, uint32(len(packet)))
	return append(framed, packet...)
}
