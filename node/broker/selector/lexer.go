package selector

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ErrInvalid means that a text is no selector. What is behind it is meant for
// the client.
var ErrInvalid = errors.New("invalid selector")

// token is a piece of a selector.
type token struct {
	at    int // byte offset
	class class
	word  string // keyword in capitals, operator, identifier or string
	value Value  // of a number
}

type class uint8

const (
	classEnd class = iota
	classKeyword
	classOperator
	classIdentifier
	classString
	classNumber
)

var keywords = map[string]bool{
	"AND": true, "OR": true, "NOT": true, "BETWEEN": true, "IN": true, "LIKE": true, "ESCAPE": true,
	"IS": true, "NULL": true, "TRUE": true, "FALSE": true,
}

// invalid is an error at a byte offset, which the client is told as a
// character, counted from 1.
func (p *parser) invalid(at int, format string, args ...any) error {
	return fmt.Errorf("%w (at character %d: %s)", ErrInvalid, utf8.RuneCountInString(p.text[:at])+1, fmt.Sprintf(format, args...))
}

// advance reads the next token into p.next.
func (p *parser) advance() error {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n\f", p.text[p.at]) >= 0 {
		p.at++
	}
	p.next = token{at: p.at}
	if p.at == len(p.text) {
		return nil
	}
	rest := p.text[p.at:]
	switch c := rest[0]; {
	case c == '\'' || c == '"':
		return p.quoted(c)
	case c >= '0' && c <= '9' || c == '.' && len(rest) > 1 && rest[1] >= '0' && rest[1] <= '9':
		return p.number()
	}
	for _, op := range [...]string{"<>", "<=", ">=", "=", "<", ">", "+", "-", "*", "/", "%", "(", ")", ","} {
		if strings.HasPrefix(rest, op) {
			p.next.class, p.next.word = classOperator, op
			p.at += len(op)
			return nil
		}
	}
	n := 0
	for i, r := range rest {
		if r != '_' && r != '$' && !unicode.IsLetter(r) && (i == 0 || !unicode.IsDigit(r)) {
			break
		}
		n = i + utf8.RuneLen(r)
	}
	if n == 0 {
		return p.invalid(p.at, "this character has no meaning here; put identifiers with such characters in double quotes")
	}
	p.next.class, p.next.word = classIdentifier, rest[:n]
	if up := strings.ToUpper(rest[:n]); keywords[up] {
		p.next.class, p.next.word = classKeyword, up
	}
	p.at += n
	return nil
}

// quoted reads a string or a quoted identifier; its quote is doubled within.
func (p *parser) quoted(quote byte) error {
	start := p.at
	var b strings.Builder
	for i := p.at + 1; i < len(p.text); i++ {
		if p.text[i] != quote {
			b.WriteByte(p.text[i])
			continue
		}
		if i+1 < len(p.text) && p.text[i+1] == quote {
			b.WriteByte(quote)
			i++
			continue
		}
		p.next.class, p.next.word = classString, b.String()
		if quote == '"' {
			p.next.class = classIdentifier
		}
		p.at = i + 1
		return nil
	}
	return p.invalid(start, "the quote is not closed")
}

// number reads a literal: decimal, hexadecimal, octal or floating.
func (p *parser) number() error {
	end := p.at
	for end < len(p.text) {
		c := p.text[end]
		sign := (c == '+' || c == '-') && (p.text[end-1] == 'e' || p.text[end-1] == 'E') && !hexadecimal(p.text[p.at:end])
		if !sign && c != '.' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			break
		}
		end++
	}
	literal := p.text[p.at:end]
	v, ok := parseNumber(literal)
	if !ok {
		return p.invalid(p.at, "this is not a number, or is too large")
	}
	p.next.class, p.next.value = classNumber, v
	p.at = end
	return nil
}

func hexadecimal(s string) bool { return len(s) > 1 && s[0] == '0' && s[1]|0x20 == 'x' }

func parseNumber(s string) (Value, bool) {
	if hexadecimal(s) {
		n, err := strconv.ParseInt(s[2:], 16, 64)
		return Int(n), err == nil
	}
	if strings.ContainsAny(s, ".eE") {
		f, err := strconv.ParseFloat(strings.TrimRight(s, "dDfF"), 64)
		return Float(f), err == nil
	}
	s = strings.TrimRight(s, "lL")
	base := 10
	if len(s) > 1 && s[0] == '0' {
		base = 8
	}
	n, err := strconv.ParseInt(s, base, 64)
	return Int(n), err == nil
}
