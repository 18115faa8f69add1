package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// Errors of the journal.
var (
	// ErrCorrupt says that synced bytes are damaged. The directory is left as it
	// is for a look at it; a new server needs another or an empty directory.
	ErrCorrupt = errors.New("journal: data on disk is damaged")
	// ErrLocked says that another process uses the directory.
	ErrLocked = errors.New("journal: directory is in use by another server")
	// ErrTooLong says that a record is longer than MaxRecord.
	ErrTooLong = errors.New("journal: record is too long")
)

const (
	recordHeader   = 20
	snapshotHeader = 20
	recordMagic    = 0x524b5a42 // "BZKR"
	snapshotMagic  = "BZKSNAP1"
	// MaxRecord is the longest payload of a record, in bytes.
	MaxRecord = 4 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendRecord appends a record with a payload to a log.
func appendRecord(log, payload []byte, synced int64) []byte {
	start := len(log)
	log = binary.LittleEndian.AppendUint32(log, recordMagic)
	log = binary.LittleEndian.AppendUint32(log, 0)
	log = binary.LittleEndian.AppendUint32(log, uint32(len(payload)))
	log = binary.LittleEndian.AppendUint64(log, uint64(synced))
	log = append(log, payload...)
	binary.LittleEndian.PutUint32(log[start+4:], crc32.Checksum(log[start+8:], castagnoli))
	return log
}

// parseRecord reads the record at the start of log; ok is false if there is
// none, whole and undamaged.
func parseRecord(log []byte) (payload []byte, synced int64, ok bool) {
	if len(log) < recordHeader || binary.LittleEndian.Uint32(log) != recordMagic {
		return nil, 0, false
	}
	n := int64(binary.LittleEndian.Uint32(log[8:]))
	if n > MaxRecord || recordHeader+n > int64(len(log)) {
		return nil, 0, false
	}
	record := log[:recordHeader+n]
	if crc32.Checksum(record[8:], castagnoli) != binary.LittleEndian.Uint32(record[4:]) {
		return nil, 0, false
	}
	return record[recordHeader:], int64(binary.LittleEndian.Uint64(record[12:])), true
}

// scan calls apply with each record of a log and returns the length of the
// intact beginning. It fails with ErrCorrupt if the rest is not a torn end, and
// with what apply fails with.
func scan(log []byte, apply func(payload []byte) error) (intact int64, err error) {
	for int(intact) < len(log) {
		payload, _, ok := parseRecord(log[intact:])
		if !ok {
			break
		}
		if err := apply(payload); err != nil {
			return intact, fmt.Errorf("record at byte %d: %w", intact, err)
		}
		intact += recordHeader + int64(len(payload))
	}
	// Whatever intact record follows the damage knows how much was synced.
	for at := intact + 1; at < int64(len(log)); at++ {
		payload, synced, ok := parseRecord(log[at:])
		if !ok {
			continue
		}
		if synced > intact {
			return intact, fmt.Errorf("%w: the record at byte %d, although %d bytes were synced", ErrCorrupt, intact, synced)
		}
		at += recordHeader + int64(len(payload)) - 1
	}
	return intact, nil
}

// encodeSnapshot returns the bytes of a snapshot file.
func encodeSnapshot(payload []byte) []byte {
	file := make([]byte, 0, snapshotHeader+len(payload))
	file = append(file, snapshotMagic...)
	file = binary.LittleEndian.AppendUint32(file, crc32.Checksum(payload, castagnoli))
	file = binary.LittleEndian.AppendUint64(file, uint64(len(payload)))
	return append(file, payload...)
}

// decodeSnapshot returns the payload of a snapshot file.
func decodeSnapshot(file []byte) ([]byte, error) {
	if len(file) < snapshotHeader || string(file[:8]) != snapshotMagic {
		return nil, fmt.Errorf("%w: no snapshot header", ErrCorrupt)
	}
	payload := file[snapshotHeader:]
	if n := binary.LittleEndian.Uint64(file[12:]); n != uint64(len(payload)) {
		return nil, fmt.Errorf("%w: %d bytes, expected %d", ErrCorrupt, len(payload), n)
	}
	if sum, want := crc32.Checksum(payload, castagnoli), binary.LittleEndian.Uint32(file[8:]); sum != want {
		return nil, fmt.Errorf("%w: checksum %08x, expected %08x", ErrCorrupt, sum, want)
	}
	return payload, nil
}
