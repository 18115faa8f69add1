package wire

import "fmt"

// Op is an operation number.
type Op int32

// Operations a client can ask for.
const (
	OpNotification         Op = 0
	OpCreate               Op = 1
	OpDelete               Op = 2
	OpExists               Op = 3
	OpGetData              Op = 4
	OpSetData              Op = 5
	OpGetACL               Op = 6
	OpSetACL               Op = 7
	OpGetChildren          Op = 8
	OpSync                 Op = 9
	OpPing                 Op = 11
	OpGetChildren2         Op = 12
	OpCheck                Op = 13
	OpMulti                Op = 14
	OpCreate2              Op = 15
	OpReconfig             Op = 16
	OpCheckWatches         Op = 17
	OpRemoveWatches        Op = 18
	OpCreateContainer      Op = 19
	OpDeleteContainer      Op = 20
	OpCreateTTL            Op = 21
	OpMultiRead            Op = 22
	OpAuth                 Op = 100
	OpSetWatches           Op = 101
	OpSASL                 Op = 102
	OpGetEphemerals        Op = 103
	OpGetAllChildrenNumber Op = 104
	OpSetWatches2          Op = 105
	OpAddWatch             Op = 106
	OpWhoAmI               Op = 107
	OpCreateSession        Op = -10
	OpCloseSession         Op = -11
	OpError                Op = -1
)

// String returns the four letters that ZooKeeper's cons prints for the
// operation.
func (op Op) String() string {
	names := map[Op]string{
		OpCreate: "CREA", OpDelete: "DELE", OpExists: "EXIS", OpGetData: "GETD", OpSetData: "SETD",
		OpGetACL: "GETA", OpSetACL: "SETA", OpGetChildren: "GETC", OpSync: "SYNC", OpPing: "PING",
		OpGetChildren2: "GETC", OpCheck: "CHEC", OpMulti: "MULT", OpCreate2: "CREA", OpCheckWatches: "CHKW",
		OpRemoveWatches: "REMW", OpCreateContainer: "CREA", OpCreateTTL: "CREA", OpMultiRead: "MLTR",
		OpAuth: "AUTH", OpSetWatches: "SETW", OpGetEphemerals: "GETE", OpGetAllChildrenNumber: "GETACN",
		OpSetWatches2: "STW2", OpAddWatch: "ADDW", OpWhoAmI: "WHOM", OpCreateSession: "SESS", OpCloseSession: "CLOS",
	}
	if name, ok := names[op]; ok {
		return name
	}
	return fmt.Sprintf("OP%d", int32(op))
}

// Code is an error code of a reply; zero is success.
type Code int32

// Codes this server answers with.
const (
	OK                      Code = 0
	RuntimeInconsistency    Code = -2
	MarshallingError        Code = -5
	Unimplemented           Code = -6
	BadArguments            Code = -8
	NoNode                  Code = -101
	NoAuth                  Code = -102
	BadVersion              Code = -103
	NoChildrenForEphemerals Code = -108
	NodeExists              Code = -110
	NotEmpty                Code = -111
	SessionExpired          Code = -112
	InvalidACL              Code = -114
	AuthFailed              Code = -115
	NoWatcher               Code = -121
)

// Transaction ids of packets that answer no numbered request.
const (
	XidNotification int32 = -1
	XidPing         int32 = -2
	XidAuth         int32 = -4
)

// EventType is what happened to a watched node.
type EventType int32

// Event types.
const (
	EventNodeCreated         EventType = 1
	EventNodeDeleted         EventType = 2
	EventNodeDataChanged     EventType = 3
	EventNodeChildrenChanged EventType = 4
)

// StateSyncConnected is the session state in every notification.
const StateSyncConnected int32 = 3

// Permission bits of an ACL.
const (
	PermRead   int32 = 1
	PermWrite  int32 = 2
	PermCreate int32 = 4
	PermDelete int32 = 8
	PermAdmin  int32 = 16
)

// Create modes, the flags of a create request.
const (
	ModePersistent              int32 = 0
	ModeEphemeral               int32 = 1
	ModePersistentSequential    int32 = 2
	ModeEphemeralSequential     int32 = 3
	ModeContainer               int32 = 4
	ModePersistentTTL           int32 = 5
	ModePersistentSequentialTTL int32 = 6
)

// Watch modes of addWatch.
const (
	WatchPersistent          int32 = 0
	WatchPersistentRecursive int32 = 1
)

// Watch kinds of checkWatches and removeWatches.
const (
	WatchKindChildren            int32 = 1
	WatchKindData                int32 = 2
	WatchKindAny                 int32 = 3
	WatchKindPersistent          int32 = 4
	WatchKindPersistentRecursive int32 = 5
)
