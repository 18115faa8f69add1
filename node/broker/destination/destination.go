package destination

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Kind of a destination.
type Kind uint8

// Kinds of destinations.
const (
	Queue Kind = iota
	Topic
	TempQueue // named by an alias of the connection
	TempTopic
	RemoteTempQueue // named by the broker
	RemoteTempTopic
)

// prefixes begin what clients write, by kind.
var prefixes = [...]string{
	Queue: "/queue/", Topic: "/topic/", TempQueue: "/temp-queue/", TempTopic: "/temp-topic/",
	RemoteTempQueue: "/remote-temp-queue/", RemoteTempTopic: "/remote-temp-topic/",
}

// Limits.
const (
	NameMax  = 1024 // bytes of a name
	PartsMax = 64   // destinations in a composite one
)

// ErrInvalid means that a text names no destination. What is behind it is
// meant for the client.
var ErrInvalid = errors.New("invalid destination")

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w (%s)", ErrInvalid, fmt.Sprintf(format, args...))
}

// Destination is one thing to send to or to receive from.
type Destination struct {
	Kind    Kind
	Pattern bool // the name has wildcards
	Name    string
}

// String returns what a client writes for it.
func (d Destination) String() string { return prefixes[d.Kind] + d.Name }

// Temporary says whether it belongs to a connection.
func (d Destination) Temporary() bool { return d.Kind >= TempQueue }

// Append parses a destination header and appends its destinations, each once,
// to dst. Blanks around them are ignored. Error: ErrInvalid.
func Append(dst []Destination, text string) ([]Destination, error) {
	first := len(dst)
	for more := true; more; {
		var part string
		part, text, more = strings.Cut(text, ",")
		d, err := parse(strings.Trim(part, " \t"))
		if err != nil {
			return dst[:first], err
		}
		if slices.Contains(dst[first:], d) {
			continue
		}
		if len(dst)-first == PartsMax {
			return dst[:first], invalid("it has more than %d parts", PartsMax)
		}
		dst = append(dst, d)
	}
	return dst, nil
}

// parse parses one destination without a comma.
func parse(text string) (Destination, error) {
	for kind, prefix := range prefixes {
		name, ok := strings.CutPrefix(text, prefix)
		if !ok {
			continue
		}
		pattern, err := CheckName(name)
		if err != nil {
			return Destination{}, err
		}
		if pattern && Kind(kind) >= TempQueue {
			return Destination{}, invalid("a temporary destination has no wildcards")
		}
		return Destination{Kind(kind), pattern, name}, nil
	}
	if text == "" {
		return Destination{}, invalid("it is empty")
	}
	return Destination{}, invalid("each must begin with /queue/, /topic/, /temp-queue/ or /temp-topic/")
}

// CheckName refuses names that cannot be stored or shown, and tells whether a
// name is a pattern. Error: ErrInvalid.
func CheckName(name string) (pattern bool, err error) {
	if name == "" {
		return false, invalid("the name is empty")
	}
	if len(name) > NameMax {
		return false, invalid("the name has %d bytes, at most %d", len(name), NameMax)
	}
	ascii, start := true, 0
	for i := range len(name) {
		switch c := name[i]; {
		case c >= utf8.RuneSelf:
			ascii = false
		case c < ' ' || c == 0x7F:
			return false, invalid("the name has a control character")
		case c == ',':
			return false, invalid("the name has a comma")
		case c == '?':
			return false, invalid("options after a question mark are not supported; use headers")
		case c == '.':
			start = i + 1
		case (c == '*' || c == '>') && i == start && (i+1 == len(name) || name[i+1] == '.'):
			if c == '>' && i+1 < len(name) {
				return false, invalid("the level > must be the last")
			}
			pattern = true
		}
	}
	if !ascii && !printable(name) {
		return false, invalid("the name is not UTF-8, or has a control character")
	}
	return pattern, nil
}

// printable is for names that are not plain ASCII: they are UTF-8 and have none
// of the control characters from U+0080 to U+009F.
func printable(name string) bool {
	return utf8.ValidString(name) && strings.IndexFunc(name, func(r rune) bool { return r >= 0x80 && r < 0xA0 }) < 0
}

// Matches says whether a pattern stands for a name. A name without wildcards
// stands for itself.
func Matches(pattern, name string) bool {
	for {
		level, rest, more := strings.Cut(pattern, ".")
		if level == ">" && !more {
			return true
		}
		here, below, deeper := strings.Cut(name, ".")
		if level != "*" && level != here {
			return false
		}
		if !deeper {
			return !more || rest == ">"
		}
		if !more {
			return false
		}
		pattern, name = rest, below
	}
}

// Topical says whether it is a topic, of a connection or not.
func (d Destination) Topical() bool {
	return d.Kind == Topic || d.Kind == TempTopic || d.Kind == RemoteTempTopic
}
