package destination

import (
	"strconv"
	"strings"
)

// First bytes of names of the log that clients cannot send.
const (
	markLane    = "\x01"
	markDurable = "\x02"
	markOwn     = "\x03"
	between     = "\x00"
)

// PriorityNormal is the priority of messages that say none. Those of a queue
// are in the log's queue of the same name, the others in lanes.
const PriorityNormal = 4

// Schedule is the log's queue of messages that are to be sent later.
const Schedule = markOwn + "schedule"

// Lane is the log's queue of the messages of one priority, from 0 to 9, of a
// queue.
func Lane(queue string, priority uint8) string {
	if priority == PriorityNormal {
		return queue
	}
	return markLane + string('0'+priority) + queue
}

// SplitLane is the reverse of Lane; a name that is no lane is of the normal
// priority.
func SplitLane(name string) (queue string, priority uint8) {
	if len(name) > 2 && name[:1] == markLane && name[1] >= '0' && name[1] <= '9' {
		return name[2:], name[1] - '0'
	}
	return name, PriorityNormal
}

// Durable is the log's queue of a durable subscription. A subscription that is
// made anew, with another topic or selector, has another number, and so another
// queue.
func Durable(client, name string, number uint64) string {
	return markDurable + client + between + name + between + strconv.FormatUint(number, 10)
}

// SplitDurable is the reverse of Durable; false if the name, which may be that
// of a lane, is not one of a durable subscription.
func SplitDurable(queue string) (client, name string, number uint64, ok bool) {
	queue, _ = SplitLane(queue)
	rest, ok := strings.CutPrefix(queue, markDurable)
	if !ok {
		return "", "", 0, false
	}
	parts := strings.Split(rest, between)
	if len(parts) != 3 {
		return "", "", 0, false
	}
	number, err := strconv.ParseUint(parts[2], 10, 64)
	if err != nil {
		return "", "", 0, false
	}
	return parts[0], parts[1], number, true
}

// CheckIdentity refuses a client id or a subscription name that cannot be part
// of a name. Error: ErrInvalid.
func CheckIdentity(what, value string) error {
	switch {
	case value == "":
		return invalid("the %s is empty", what)
	case len(value) > IdentityMax:
		return invalid("the %s has %d bytes, at most %d", what, len(value), IdentityMax)
	case strings.IndexFunc(value, func(r rune) bool { return r < ' ' || r >= 0x7F && r < 0xA0 }) >= 0 || !printable(value):
		return invalid("the %s is not UTF-8, or has a control character", what)
	}
	return nil
}

// IdentityMax is the longest client id or subscription name, in bytes.
const IdentityMax = 512

// Internal says whether a name of the log is not one that clients can use.
func Internal(name string) bool { return name != "" && name[0] < ' ' }

// virtual topics: what is sent to a topic VirtualTopic.X also goes to every
// queue Consumer.C.VirtualTopic.X.
const (
	virtualTopic  = "VirtualTopic."
	virtualPrefix = "Consumer."
)

// VirtualQueues is the pattern of the queues that get what is sent to a topic,
// "" if it is not a virtual one.
func VirtualQueues(topic string) string {
	if !strings.HasPrefix(topic, virtualTopic) {
		return ""
	}
	return virtualPrefix + "*." + topic
}

// VirtualTopic is the topic that a queue's name subscribes to, "" if none.
func VirtualTopic(queue string) string {
	rest, ok := strings.CutPrefix(queue, virtualPrefix)
	if !ok {
		return ""
	}
	_, topic, ok := strings.Cut(rest, ".")
	if !ok || !strings.HasPrefix(topic, virtualTopic) || topic == virtualTopic {
		return ""
	}
	return topic
}
