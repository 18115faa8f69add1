package devserver

import (
	"errors"
	"fmt"
	"time"

	"baton/zkclient/devserver/session"
	"baton/zkclient/devserver/tree"
	"baton/zkclient/devserver/wire"
)

// database is what a snapshot and the journal hold: the tree and the sessions.
type database struct {
	tree        *tree.Tree
	sessions    *session.Tracker
	zxid        int64 // of the last change
	nextSession int64
}

var errUnreadable = errors.New("content is not what this version writes")

// Kinds of journal records. The numbers are on disk.
const (
	recordOpenSession  int32 = 1
	recordCloseSession int32 = 2
	recordTimeout      int32 = 3
	recordChanges      int32 = 4
)

const snapshotVersion int32 = 1

func newDatabase(now time.Time) *database {
	return &database{tree: tree.New(), sessions: session.NewTracker(now)}
}

// beginEpoch makes all zxids and session ids from now on greater than all
// before, also than those of a former server without a data directory: the
// microsecond of the start leaves room for 4096 changes and 32 sessions in each
// microsecond that the former server has lived.
func (db *database) beginEpoch(now time.Time) {
	stored := (db.zxid>>32 + 1) << 32
	if db.zxid == 0 {
		stored = 0
	}
	clock := now.Unix()<<32 | int64(now.Nanosecond()/int(time.Microsecond))<<12
	db.zxid = max(stored, clock)
	const server = 1 << 56 // top byte of a session id: number of the server
	db.nextSession = max(db.nextSession, server|(now.UnixMicro()<<5)&(server-1))
}

// touchAll gives every session its full timeout.
func (db *database) touchAll(now time.Time) {
	for s := range db.sessions.All {
		s.Heard(now)
	}
}

// openSession, closeSession and setTimeout change the sessions and return the
// journal's record of it.

func (db *database) openSession(password []byte, timeout time.Duration, now time.Time) (*session.Session, []byte) {
	db.zxid++
	s := db.sessions.Add(db.nextSession, password, timeout, now)
	db.nextSession++
	var e wire.Encoder
	e.Int32(recordOpenSession)
	e.Int64(db.zxid)
	encodeSession(&e, s)
	return s, e.Bytes()
}

func (db *database) closeSession(s *session.Session) (deleted []string, record []byte, err error) {
	db.zxid++
	deleted = db.tree.Ephemerals(s.ID)
	for _, path := range deleted {
		if _, err := db.tree.Apply(tree.Change{Kind: tree.Delete, Path: path}, db.zxid, 0); err != nil {
			return nil, nil, err
		}
	}
	db.sessions.Remove(s)
	var e wire.Encoder
	e.Int32(recordCloseSession)
	e.Int64(db.zxid)
	e.Int64(s.ID)
	return deleted, e.Bytes(), nil
}

func (db *database) setTimeout(s *session.Session, timeout time.Duration, now time.Time) []byte {
	db.sessions.SetTimeout(s, timeout, now)
	var e wire.Encoder
	e.Int32(recordTimeout)
	e.Int64(db.zxid)
	encodeSession(&e, s)
	return e.Bytes()
}

func encodeSession(e *wire.Encoder, s *session.Session) {
	e.Int64(s.ID)
	e.Buffer(s.Password)
	e.Int64(s.Timeout.Milliseconds())
}

func (db *database) decodeSession(d *wire.Decoder, now time.Time) error {
	id, password, timeout := d.Int64(), d.Buffer(), time.Duration(d.Int64())*time.Millisecond
	if d.Err() != nil {
		return d.Err()
	}
	if db.sessions.Get(id) != nil {
		return fmt.Errorf("%w: session %s twice", errUnreadable, sessionName(id))
	}
	db.sessions.Add(id, password, timeout, now)
	db.nextSession = max(db.nextSession, id+1)
	return nil
}

// encodeChanges returns the journal's record of changes that were made with
// one zxid.
func encodeChanges(zxid, nowMillis int64, changes []tree.Change) []byte {
	var e wire.Encoder
	e.Int32(recordChanges)
	e.Int64(zxid)
	e.Int64(nowMillis)
	e.Int32(int32(len(changes)))
	for _, c := range changes {
		e.Int32(int32(c.Kind))
		e.String(c.Path)
		e.Buffer(c.Data)
		e.ACLs(c.ACL)
		e.Int64(int64(c.Owner))
	}
	return e.Bytes()
}

// replay applies one record of the journal.
func (db *database) replay(record []byte) error {
	now := time.Now()
	d := wire.NewDecoder(record)
	kind, zxid := d.Int32(), d.Int64()
	if d.Err() == nil && zxid < db.zxid {
		return fmt.Errorf("%w: zxid 0x%x after 0x%x", errUnreadable, zxid, db.zxid)
	}
	db.zxid = zxid
	switch kind {
	case recordOpenSession:
		return db.decodeSession(d, now)
	case recordTimeout:
		if s := db.sessions.Get(d.Int64()); s != nil {
			d.Buffer()
			db.sessions.SetTimeout(s, time.Duration(d.Int64())*time.Millisecond, now)
		}
		return d.Err()
	case recordCloseSession:
		s := db.sessions.Get(d.Int64())
		if d.Err() != nil || s == nil {
			return fmt.Errorf("%w: end of an unknown session", errUnreadable)
		}
		db.zxid-- // closeSession counts it again
		_, _, err := db.closeSession(s)
		return err
	case recordChanges:
		return db.replayChanges(d, zxid)
	}
	return fmt.Errorf("%w: record kind %d", errUnreadable, kind)
}

func (db *database) replayChanges(d *wire.Decoder, zxid int64) error {
	nowMillis, count := d.Int64(), d.Int32()
	for range count {
		c := tree.Change{
			Kind: tree.Kind(d.Int32()), Path: d.String(), Data: d.Buffer(),
			ACL: d.ACLs(), Owner: tree.Owner(d.Int64()),
		}
		if d.Err() != nil {
			return d.Err()
		}
		if _, err := db.tree.Apply(c, zxid, nowMillis); err != nil {
			return err
		}
	}
	return d.Err()
}

// encode returns the payload of a snapshot.
func (db *database) encode() []byte {
	var e wire.Encoder
	e.Int32(snapshotVersion)
	e.Int64(db.zxid)
	e.Int64(db.nextSession)
	e.Int32(int32(db.sessions.Len()))
	for s := range db.sessions.All {
		encodeSession(&e, s)
	}
	e.Int32(int32(db.tree.Len()))
	for path, n := range db.tree.All {
		e.String(path)
		e.Buffer(n.Data)
		e.ACLs(n.ACL)
		e.Int64(int64(n.Owner))
		for _, v := range []int64{n.Czxid, n.Mzxid, n.Pzxid, n.Ctime, n.Mtime} {
			e.Int64(v)
		}
		for _, v := range []int32{n.Version, n.Aversion, n.Creates} {
			e.Int32(v)
		}
	}
	return e.Bytes()
}

// load fills an empty database from the payload of a snapshot.
func (db *database) load(snapshot []byte) error {
	now := time.Now()
	d := wire.NewDecoder(snapshot)
	if version := d.Int32(); version != snapshotVersion {
		return fmt.Errorf("%w: snapshot version %d, expected %d", errUnreadable, version, snapshotVersion)
	}
	db.zxid, db.nextSession = d.Int64(), d.Int64()
	for range d.Int32() {
		if err := db.decodeSession(d, now); err != nil {
			return err
		}
	}
	for range d.Int32() {
		path := d.String()
		n := &tree.Node{
			Data: d.Buffer(), ACL: d.ACLs(), Owner: tree.Owner(d.Int64()),
			Czxid: d.Int64(), Mzxid: d.Int64(), Pzxid: d.Int64(), Ctime: d.Int64(), Mtime: d.Int64(),
			Version: d.Int32(), Aversion: d.Int32(), Creates: d.Int32(),
		}
		if d.Err() != nil {
			return d.Err()
		}
		if err := db.tree.Restore(path, n); err != nil {
			return err
		}
	}
	return d.Err()
}
