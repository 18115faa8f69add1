package stomp

import (
	"bytes"
	"strings"
)

// escapable says whether s holds a byte that v escapes.
func escapable(v Version, s string) bool {
	switch v {
	case V10:
		return false
	case V11:
		return strings.ContainsAny(s, "\\\n:")
	}
	return strings.ContainsAny(s, "\\\n:\r")
}

// appendEscaped appends s as a header name or value of version v. STOMP 1.0
// has no escapes: there a line end, which would begin another header, becomes
// a space.
func appendEscaped(dst []byte, v Version, s string) []byte {
	if v == V10 {
		if !strings.ContainsAny(s, "\n\r") {
			return append(dst, s...)
		}
		for i := range len(s) {
			if c := s[i]; c == '\n' || c == '\r' {
				dst = append(dst, ' ')
			} else {
				dst = append(dst, c)
			}
		}
		return dst
	}
	if !escapable(v, s) {
		return append(dst, s...)
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\\':
			dst = append(dst, `\\`...)
		case c == '\n':
			dst = append(dst, `\n`...)
		case c == ':':
			dst = append(dst, `\c`...)
		case c == '\r' && v == V12:
			dst = append(dst, `\r`...)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// appendUnescaped appends the meaning of s, part of a header line of version
// v. An escape that v does not define is an error.
func appendUnescaped(dst []byte, v Version, s []byte) ([]byte, error) {
	if v == V10 {
		return append(dst, s...), nil
	}
	for {
		i := bytes.IndexByte(s, '\\')
		if i < 0 {
			return append(dst, s...), nil
		}
		dst = append(dst, s[:i]...)
		if i+1 == len(s) {
			return dst, malformed("header ends within an escape")
		}
		switch c := s[i+1]; {
		case c == '\\':
			dst = append(dst, '\\')
		case c == 'n':
			dst = append(dst, '\n')
		case c == 'c':
			dst = append(dst, ':')
		case c == 'r' && v == V12:
			dst = append(dst, '\r')
		default:
			return dst, malformed("header has an escape that STOMP %s does not define", v)
		}
		s = s[i+2:]
	}
}
