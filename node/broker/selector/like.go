package selector

import "unicode/utf8"

// like is a pattern: characters, anyOne and anyMany.
type like []rune

const (
	anyOne  rune = -1
	anyMany rune = -2
)

// parseLike is false if the pattern ends within an escape.
func parseLike(s string, escape rune) (like, bool) {
	var l like
	literal := false
	for _, r := range s {
		switch {
		case literal:
			l, literal = append(l, r), false
		case r == escape:
			literal = true
		case r == '_':
			l = append(l, anyOne)
		case r == '%':
			if n := len(l); n == 0 || l[n-1] != anyMany {
				l = append(l, anyMany)
			}
		default:
			l = append(l, r)
		}
	}
	return l, !literal
}

// matches compares in one pass, going back to the last anyMany alone: at most
// the product of both lengths, and no memory.
func (l like) matches(s string) bool {
	at, in := 0, 0           // what is compared next
	retry, retryIn := -1, -1 // behind the last anyMany, and where it began to stand for something
	for in < len(s) {
		r, size := utf8.DecodeRuneInString(s[in:])
		switch {
		case at < len(l) && l[at] == anyMany:
			at++
			retry, retryIn = at, in
		case at < len(l) && (l[at] == anyOne || l[at] == r):
			at++
			in += size
		case retry >= 0:
			_, skip := utf8.DecodeRuneInString(s[retryIn:])
			retryIn += skip
			at, in = retry, retryIn
		default:
			return false
		}
	}
	for at < len(l) && l[at] == anyMany {
		at++
	}
	return at == len(l)
}
