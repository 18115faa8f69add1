// Package record keeps runs of the console in files and gives them back. A
// recording holds every snapshot that a Source published, every event and every
// log line, so that a run can be watched again, stepped through and reported on
// without its cluster.
//
// # Format
//
// A recording is a gzip stream of lines of JSON. The first line is a Header; a
// reader refuses a version that it does not know. Every further line is a frame:
//
//	{"t":1250000000,"key":true,"parts":{"node/n1":{...},"tree":{...}},"events":[...],"logs":[...]}
//
// t is nanoseconds since Header.At. parts holds what changed since the frame
// before; a frame with key holds all parts, so that reading may begin there.
// A part that is null is gone. events and logs are those that were new. The
// parts are "node/ID", "tree", "queues", "ledger", "processes", "failovers",
// "servers", "links", "lesson", "chains", "self" (the console's own process) and "counts". What can be worked out from others
// (who leads, health, lag, trends) is not kept.
//
// The stream is flushed once a second: a console that was killed leaves a file
// that reads up to its last second. Bounds: a line has at most 16 MiB, a file at
// most 256 MiB by default, a recording that is read at most 2 GiB in memory.
package record

import (
	"errors"
	"time"

	"baton/tui/data"
)

// Version of the format that is written.
const Version = 1

// magic tells a recording from any other JSON.
const magic = "baton recording"

const (
	lineMax   = 16 << 20
	memoryMax = 2 << 30
	keyEvery  = 40 // frames
)

// Errors of reading.
var (
	ErrFormat  = errors.New("record: not a recording of this program")
	ErrVersion = errors.New("record: the recording is of a newer version")
	ErrEmpty   = errors.New("record: the recording holds no frame")
	ErrTooBig  = errors.New("record: the recording is too big")
)

// Header says what was recorded.
type Header struct {
	Magic    string    `json:"format"`
	Version  int       `json:"version"`
	Product  string    `json:"product,omitempty"` // version of the program
	Cluster  string    `json:"cluster"`
	Launched bool      `json:"launched"` // the nodes were the console's own
	At       time.Time `json:"at"`
	Command  string    `json:"command,omitempty"` // by which the run was started
}

// nodePart is what a frame keeps of a node. Its own fields hide those of Node
// that are worked out from others and may be no JSON.
type nodePart struct {
	data.Node
	Lag        *hidden `json:",omitempty"`
	State      *hidden `json:",omitempty"`
	Follower   *hidden `json:",omitempty"`
	Process    *hidden `json:",omitempty"`
	Member     *hidden `json:",omitempty"`
	Zombie     *hidden `json:",omitempty"`
	LagBytes   *hidden `json:",omitempty"`
	LagSeconds *hidden `json:",omitempty"`
}

type hidden struct{}
