package shot

import (
	"fmt"
	"strconv"
	"strings"
)

// sgr is the state of the terminal's attributes.
type sgr struct {
	fore, back                              string // "" is the default
	bold, faint, italic, underline, reverse bool
}

// apply takes the parameters of one SGR sequence.
func (s *sgr) apply(params string) {
	ps := numbers(params)
	for i := 0; i < len(ps); i++ {
		switch p := ps[i]; {
		case p == 38 || p == 48:
			c, used := extended(ps[i+1:])
			i += used
			if p == 38 {
				s.fore = c
			} else {
				s.back = c
			}
		case p >= 30 && p <= 37:
			s.fore = base16[p-30]
		case p >= 90 && p <= 97:
			s.fore = base16[p-90+8]
		case p >= 40 && p <= 47:
			s.back = base16[p-40]
		case p >= 100 && p <= 107:
			s.back = base16[p-100+8]
		default:
			s.attribute(p)
		}
	}
}

// attribute is a flat table of the parameters that stand alone.
func (s *sgr) attribute(p int) {
	switch p {
	case 0:
		*s = sgr{}
	case 1:
		s.bold = true
	case 2:
		s.faint = true
	case 3:
		s.italic = true
	case 4:
		s.underline = true
	case 7:
		s.reverse = true
	case 22:
		s.bold, s.faint = false, false
	case 23:
		s.italic = false
	case 24:
		s.underline = false
	case 27:
		s.reverse = false
	case 39:
		s.fore = ""
	case 49:
		s.back = ""
	}
}

func numbers(params string) []int {
	var out []int
	for f := range strings.FieldsFuncSeq(params, func(r rune) bool { return r == ';' || r == ':' }) {
		n, err := strconv.Atoi(f)
		if err == nil {
			out = append(out, n)
		}
	}
	if len(out) == 0 {
		return []int{0}
	}
	return out
}

// extended reads what follows 38 or 48 and says how many parameters it took.
func extended(ps []int) (colour string, used int) {
	switch {
	case len(ps) >= 2 && ps[0] == 5:
		return colour256(ps[1]), 2
	case len(ps) >= 4 && ps[0] == 2:
		return fmt.Sprintf("#%02x%02x%02x", ps[1]&255, ps[2]&255, ps[3]&255), 4
	}
	return "", len(ps)
}

var base16 = [16]string{
	"#15161e", "#d9455f", "#3fae5f", "#c08a2e", "#4f7fdc", "#9d6fd0", "#2f9fb5", "#c8cee8",
	"#5a607f", "#ff6b85", "#5fdc87", "#f0be5a", "#7aaaff", "#d09cff", "#6fdcf0", "#ffffff",
}

func colour256(n int) string {
	switch {
	case n < 0 || n > 255:
		return ""
	case n < 16:
		return base16[n]
	case n < 232:
		n -= 16
		level := [6]int{0, 95, 135, 175, 215, 255}
		return fmt.Sprintf("#%02x%02x%02x", level[n/36], level[n/6%6], level[n%6])
	}
	v := 8 + (n-232)*10
	return fmt.Sprintf("#%02x%02x%02x", v, v, v)
}

type colours struct{ fore, back string }

func palette(light bool) colours {
	if light {
		return colours{"#24283b", "#fafafa"}
	}
	return colours{"#c8cee8", "#15161e"}
}
