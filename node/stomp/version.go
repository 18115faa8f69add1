package stomp

import (
	"fmt"
	"strings"
)

// Version of the protocol. The zero value is 1.0, which is also what a client
// speaks that names none.
type Version uint8

// The versions, in rising order.
const (
	V10 Version = iota
	V11
	V12
)

var versionNames = [...]string{V10: "1.0", V11: "1.1", V12: "1.2"}

// Versions is the list of all, as a version or accept-version header has it.
const Versions = "1.0,1.1,1.2"

func (v Version) String() string {
	if int(v) < len(versionNames) {
		return versionNames[v]
	}
	return fmt.Sprintf("version-%d", uint8(v))
}

// Negotiate picks the highest version that accept, the value of a client's
// accept-version header, names. "" means that the client sent no such header
// and so speaks 1.0. Error: ErrVersion.
func Negotiate(accept string) (Version, error) {
	if accept == "" {
		return V10, nil
	}
	best, found := V10, false
	for name := range strings.SplitSeq(accept, ",") {
		for v, known := range versionNames {
			if strings.TrimSpace(name) == known {
				best, found = max(best, Version(v)), true
			}
		}
	}
	if !found {
		return V10, fmt.Errorf("%w (the server speaks 1.0, 1.1 and 1.2)", ErrVersion)
	}
	return best, nil
}
