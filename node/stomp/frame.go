package stomp

// Commands of clients and of the server.
const (
	CmdConnect     = "CONNECT"
	CmdStomp       = "STOMP"
	CmdSend        = "SEND"
	CmdSubscribe   = "SUBSCRIBE"
	CmdUnsubscribe = "UNSUBSCRIBE"
	CmdAck         = "ACK"
	CmdNack        = "NACK"
	CmdBegin       = "BEGIN"
	CmdCommit      = "COMMIT"
	CmdAbort       = "ABORT"
	CmdDisconnect  = "DISCONNECT"
	CmdConnected   = "CONNECTED"
	CmdMessage     = "MESSAGE"
	CmdReceipt     = "RECEIPT"
	CmdError       = "ERROR"
)

// Header is one header of a frame, unescaped.
type Header struct{ Name, Value string }

// Frame is one frame. Repeated headers are kept, in their order.
type Frame struct {
	Command string
	Headers []Header
	Body    []byte
}

// Get returns the value of a header, the first one if it is repeated, or "".
func (f *Frame) Get(name string) string {
	v, _ := f.Lookup(name)
	return v
}

// Lookup is Get that also tells whether the header is there.
func (f *Frame) Lookup(name string) (string, bool) {
	for i := range f.Headers {
		if f.Headers[i].Name == name {
			return f.Headers[i].Value, true
		}
	}
	return "", false
}

// commandName returns the command without allocating for those that exist.
func commandName(line []byte) string {
	switch string(line) {
	case CmdSend:
		return CmdSend
	case CmdAck:
		return CmdAck
	case CmdMessage:
		return CmdMessage
	case CmdReceipt:
		return CmdReceipt
	case CmdNack:
		return CmdNack
	}
	return string(line)
}
