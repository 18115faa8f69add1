package broker

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// QueueNameMax is the longest name of a queue, in bytes.
const QueueNameMax = 1024

// CheckQueueName refuses names that cannot be stored or shown, and those that
// ActiveMQ gives a meaning which this broker does not have. Error:
// ErrQueueName.
func CheckQueueName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w (it is empty)", ErrQueueName)
	case len(name) > QueueNameMax:
		return fmt.Errorf("%w (it has %d bytes, at most %d)", ErrQueueName, len(name), QueueNameMax)
	case !utf8.ValidString(name):
		return fmt.Errorf("%w (it is not UTF-8)", ErrQueueName)
	case strings.IndexFunc(name, unicode.IsControl) >= 0:
		return fmt.Errorf("%w (it has a control character)", ErrQueueName)
	case strings.Contains(name, ","):
		return fmt.Errorf("%w (composite destinations, with a comma, are not supported)", ErrQueueName)
	case strings.Contains(name, "?"):
		return fmt.Errorf("%w (destination options, after a question mark, are not supported)", ErrQueueName)
	}
	for part := range strings.SplitSeq(name, ".") {
		if part == "*" || part == ">" {
			return fmt.Errorf("%w (wildcards are not supported)", ErrQueueName)
		}
	}
	return nil
}
