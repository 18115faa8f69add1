package stomp

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// HeartBeat is the value of a heart-beat header. Zero means none.
type HeartBeat struct {
	Offer time.Duration // the sender can send one at least this often
	Want  time.Duration // the sender wants to receive one at least this often
}

// ParseHeartBeat decodes "x,y" in milliseconds; "" is 0,0. Error: ErrMalformed.
func ParseHeartBeat(s string) (HeartBeat, error) {
	if s == "" {
		return HeartBeat{}, nil
	}
	a, b, ok := strings.Cut(s, ",")
	x, errX := strconv.ParseUint(strings.TrimSpace(a), 10, 31)
	y, errY := strconv.ParseUint(strings.TrimSpace(b), 10, 31)
	if !ok || errX != nil || errY != nil {
		return HeartBeat{}, malformed("heart-beat is not two numbers of milliseconds")
	}
	return HeartBeat{Offer: time.Duration(x) * time.Millisecond, Want: time.Duration(y) * time.Millisecond}, nil
}

func (h HeartBeat) String() string {
	return fmt.Sprintf("%d,%d", h.Offer.Milliseconds(), h.Want.Milliseconds())
}

// Pace is what two sides have agreed on. Zero means no heart-beats that way.
type Pace struct {
	Send    time.Duration // the server sends something at least this often
	Receive time.Duration // the server may expect something at least this often
}

// AnswerHeartBeat is the server's side of the negotiation: it grants what the
// client asks for, but neither sends nor expects beats more often than floor.
func AnswerHeartBeat(client HeartBeat, floor time.Duration) (answer HeartBeat, p Pace) {
	if client.Want > 0 {
		answer.Offer = max(client.Want, floor)
		p.Send = answer.Offer
	}
	if client.Offer > 0 {
		answer.Want = max(client.Offer, floor)
		p.Receive = answer.Want
	}
	return answer, p
}
