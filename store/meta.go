package store

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"

	"baton/store/record"
	"baton/store/vfs"
)

const (
	metaFile    = "META"
	metaVersion = 1
	metaLimit   = 64 << 10
)

// Meta is what a node must remember besides its log.
type Meta struct {
	ClusterID string `json:"clusterId"` // "" until the node joined a cluster
	Node      string `json:"node"`      // node id, "" until set
	// Incarnation names the content of this directory: random, made with it,
	// and made anew if the log was lost. What a node promised under another
	// incarnation is forgotten.
	Incarnation string `json:"incarnation"`
	// Sealed is the highest epoch that the node promised: it accepts nothing
	// of a lower one.
	Sealed record.Epoch `json:"sealed"`
	// HasLog tells that the log was created: if there is none, it was lost.
	HasLog bool `json:"hasLog"`
}

type metaEnvelope struct {
	Version int             `json:"version"`
	CRC     uint32          `json:"crc32c"`
	Meta    json.RawMessage `json:"meta"`
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func encodeMeta(m Meta) ([]byte, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(metaEnvelope{metaVersion, crc32.Checksum(body, castagnoli), body})
	return append(b, '\n'), err
}

func decodeMeta(b []byte) (Meta, error) {
	var m Meta
	var e metaEnvelope
	if err := json.Unmarshal(b, &e); err != nil {
		return m, fmt.Errorf("%w: %w", ErrMeta, err)
	}
	if e.Version > metaVersion {
		return m, fmt.Errorf("%w %d, this program knows %d", ErrVersion, e.Version, metaVersion)
	}
	if crc := crc32.Checksum(e.Meta, castagnoli); e.Version < 1 || crc != e.CRC {
		return m, fmt.Errorf("%w: version %d, checksum %#x where the file says %#x", ErrMeta, e.Version, crc, e.CRC)
	}
	d := json.NewDecoder(bytes.NewReader(e.Meta))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return m, fmt.Errorf("%w: %w", ErrMeta, err)
	}
	if m.Incarnation == "" {
		return m, fmt.Errorf("%w: no incarnation", ErrMeta)
	}
	return m, nil
}

// loadMeta returns the META of a directory; false if there is none.
func loadMeta(fsys vfs.FS, dir string) (Meta, bool, error) {
	path := filepath.Join(dir, metaFile)
	b, err := vfs.ReadFile(fsys, path, metaLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return Meta{}, false, nil
	}
	if err != nil {
		return Meta{}, false, fmt.Errorf("read %s: %w", path, err)
	}
	m, err := decodeMeta(b)
	if err != nil {
		return Meta{}, false, fmt.Errorf("read %s: %w", path, err)
	}
	return m, true, nil
}

func saveMeta(fsys vfs.FS, dir string, m Meta) error {
	b, err := encodeMeta(m)
	if err == nil {
		err = vfs.WriteFile(fsys, filepath.Join(dir, metaFile), b)
	}
	if err != nil {
		return fmt.Errorf("save %s: %w", metaFile, err)
	}
	return nil
}

func newIncarnation() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// ParseMeta decodes a META file. Errors: ErrMeta, ErrVersion.
func ParseMeta(b []byte) (Meta, error) {
	if len(b) > metaLimit {
		return Meta{}, fmt.Errorf("%w: %d bytes, at most %d", ErrMeta, len(b), metaLimit)
	}
	return decodeMeta(b)
}
