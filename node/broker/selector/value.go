package selector

import (
	"cmp"
	"math"
	"strconv"
	"strings"
)

// kind of a value.
type kind uint8

const (
	null kind = iota
	truth
	whole
	floating
	text
)

// Value of a property or of an expression. The zero value is null.
type Value struct {
	kind kind
	n    int64 // a whole number; 1 for true
	f    float64
	s    string
}

// Null is the value of what is not there.
var Null = Value{}

// String returns a string value.
func String(s string) Value { return Value{kind: text, s: s} }

// Int returns a whole number.
func Int(n int64) Value { return Value{kind: whole, n: n} }

// Float returns a floating number.
func Float(f float64) Value { return Value{kind: floating, f: f} }

// Bool returns a truth.
func Bool(b bool) Value {
	if b {
		return Value{kind: truth, n: 1}
	}
	return Value{kind: truth}
}

// Number returns the number that a string reads as, null if none.
func Number(s string) Value {
	s = strings.TrimSpace(s)
	if s == "" || strings.Trim(s, "0123456789+-.eE") != "" {
		return Null // what ParseFloat would take beside: Inf, hexadecimal
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return Int(n)
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		return Float(f)
	}
	return Null
}

// number is the value as a number; null if it is none.
func (v Value) number() Value {
	switch v.kind {
	case whole, floating:
		return v
	case text:
		return Number(v.s)
	}
	return Null
}

func (v Value) float() float64 {
	if v.kind == whole {
		return float64(v.n)
	}
	return v.f
}

// truth is the value as a truth; null if it is none.
func (v Value) truth() Value {
	switch {
	case v.kind == truth:
		return v
	case v.kind == text && strings.EqualFold(v.s, "true"):
		return Bool(true)
	case v.kind == text && strings.EqualFold(v.s, "false"):
		return Bool(false)
	}
	return Null
}

func (v Value) isTrue() bool  { return v.kind == truth && v.n == 1 }
func (v Value) isFalse() bool { return v.kind == truth && v.n == 0 }

// not is the opposite of a truth; of unknown it is unknown.
func (v Value) not() Value {
	if v.kind == truth {
		return Bool(v.n == 0)
	}
	return Null
}

// compare returns how two values are ordered; alike is false if they are not
// of one kind, even after a string was read as the kind of the other. Neither
// is null.
func compare(a, b Value) (order int, alike bool) {
	if a.kind == text && b.kind == text {
		return strings.Compare(a.s, b.s), true
	}
	if a.kind == truth || b.kind == truth {
		a, b = a.truth(), b.truth()
		return cmp.Compare(a.n, b.n), a.kind == truth && b.kind == truth
	}
	a, b = a.number(), b.number()
	switch {
	case a.kind == null || b.kind == null:
		return 0, false
	case a.kind == whole && b.kind == whole:
		return cmp.Compare(a.n, b.n), true
	}
	x, y := a.float(), b.float()
	return cmp.Compare(x, y), !math.IsNaN(x) && !math.IsNaN(y)
}

// arithmetic computes a op b; null if either is no number.
func arithmetic(op byte, a, b Value) Value {
	a, b = a.number(), b.number()
	switch {
	case a.kind == null || b.kind == null:
		return Null
	case a.kind == whole && b.kind == whole:
		return integer(op, a.n, b.n)
	}
	x, y := a.float(), b.float()
	switch op {
	case '+':
		return Float(x + y)
	case '-':
		return Float(x - y)
	case '*':
		return Float(x * y)
	case '/':
		return Float(x / y)
	}
	return Float(math.Mod(x, y))
}

// integer computes on whole numbers; they wrap as Java's do.
func integer(op byte, x, y int64) Value {
	switch op {
	case '+':
		return Int(x + y)
	case '-':
		return Int(x - y)
	case '*':
		return Int(x * y)
	}
	switch {
	case y == 0:
		return Null
	case y == -1: // the smallest number has no opposite
		if op == '/' {
			return Int(-x)
		}
		return Int(0)
	case op == '/':
		return Int(x / y)
	}
	return Int(x % y)
}
