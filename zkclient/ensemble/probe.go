package ensemble

import (
	"context"
	"io"
	"net"
	"strings"
	"time"
)

// Mode is what a server does, in its own words.
type Mode string

// Modes of a server.
const (
	ModeUnknown    Mode = ""           // it is not there, or does not answer
	ModeNoQuorum   Mode = "no quorum"  // it answers, and waits for others or for its data
	ModeStandalone Mode = "standalone" // alone by configuration
	ModeFollower   Mode = "follower"
	ModeLeader     Mode = "leader"
)

// Serves says that a server in this mode serves clients.
func (m Mode) Serves() bool { return m != ModeUnknown && m != ModeNoQuorum }

const (
	probeTimeout    = 150 * time.Millisecond
	probeStarting   = 50 * time.Millisecond  // between two questions to a server that starts
	probeRunning    = 500 * time.Millisecond // and to one that serves
	answerMax       = 64 << 10
	notServingReply = "not currently serving requests"
)

// Ask puts a four-letter word to a server and returns all that it says, at
// most 64 KiB, in at most timeout.
func Ask(ctx context.Context, address, word string, timeout time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := io.WriteString(conn, word); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(io.LimitReader(conn, answerMax))
	return string(answer), err
}

// ModeOf asks a server for its mode.
func ModeOf(ctx context.Context, address string) Mode {
	answer, err := Ask(ctx, address, "srvr", probeTimeout)
	if err != nil {
		return ModeUnknown
	}
	return parseMode(answer)
}

func parseMode(srvr string) Mode {
	if strings.Contains(srvr, notServingReply) {
		return ModeNoQuorum
	}
	for line := range strings.Lines(srvr) {
		if mode, ok := strings.CutPrefix(line, "Mode: "); ok {
			return Mode(strings.TrimSpace(mode))
		}
	}
	return ModeUnknown
}
