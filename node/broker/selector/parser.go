package selector

import (
	"strings"
	"unicode/utf8"
)

// Limits.
const (
	TextMax  = 8 << 10 // bytes of a selector
	DepthMax = 64      // of brackets, NOT and signs within each other
)

// Properties are those of one message.
type Properties interface {
	// Property returns a property by its name, Null if there is none.
	Property(name string) Value
}

// expression computes a value from a message.
type expression func(Properties) Value

// typed is an expression with what is known of its values before there is a
// message: null means anything.
type typed struct {
	expression
	kind kind
	name string // of the property, if it is one and nothing else
	at   int
}

// Selector is a parsed selector. Its methods may be called by several
// goroutines.
type Selector struct {
	text string
	root expression
}

// Parse parses a selector. Error: ErrInvalid, with the place.
func Parse(text string) (*Selector, error) {
	p := &parser{text: text}
	if len(text) > TextMax {
		return nil, p.invalid(0, "it has %d bytes, at most %d", len(text), TextMax)
	}
	if !utf8.ValidString(text) {
		return nil, p.invalid(0, "it is not UTF-8")
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	e, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.next.class != classEnd {
		return nil, p.invalid(p.next.at, "expected AND, OR or the end")
	}
	root, err := p.condition(e)
	if err != nil {
		return nil, err
	}
	return &Selector{text, root}, nil
}

// String returns the text that was parsed.
func (s *Selector) String() string { return s.text }

// Matches says whether the selector is true for a message.
func (s *Selector) Matches(p Properties) bool { return s.root(p).isTrue() }

// parser goes through the tokens of a text once.
type parser struct {
	text  string
	at    int   // of what is behind next
	next  token // not used yet
	depth int
}

// take uses up the next token if it is this keyword or operator.
func (p *parser) take(c class, word string) (bool, error) {
	if p.next.class != c || p.next.word != word {
		return false, nil
	}
	return true, p.advance()
}

func (p *parser) keyword(word string) (bool, error) { return p.take(classKeyword, word) }

// expect is take of what must be there.
func (p *parser) expect(c class, word string) error {
	ok, err := p.take(c, word)
	if err == nil && !ok {
		err = p.invalid(p.next.at, "expected %s", word)
	}
	return err
}

// within guards against nesting that is too deep.
func (p *parser) within(parse func() (typed, error)) (typed, error) {
	if p.depth++; p.depth > DepthMax {
		return typed{}, p.invalid(p.next.at, "nested more than %d deep", DepthMax)
	}
	defer func() { p.depth-- }()
	return parse()
}

// condition is an expression as an operand of AND, OR and NOT.
func (p *parser) condition(e typed) (expression, error) {
	switch e.kind {
	case truth:
		return e.expression, nil
	case null:
		f := e.expression
		return func(m Properties) Value { return f(m).truth() }, nil
	}
	return nil, p.invalid(e.at, "expected a condition, found a string or number")
}

func (p *parser) or() (typed, error) {
	return p.chain("OR", func() (typed, error) {
		return p.chain("AND", p.not, allOf)
	}, anyOf)
}

// chain parses operands with a keyword between them.
func (p *parser) chain(word string, operand func() (typed, error), join func([]expression) expression) (typed, error) {
	first, err := operand()
	if err != nil || p.next.class != classKeyword || p.next.word != word {
		return first, err
	}
	var all []expression
	for e := first; ; {
		f, err := p.condition(e)
		if err != nil {
			return typed{}, err
		}
		all = append(all, f)
		more, err := p.keyword(word)
		if err != nil {
			return typed{}, err
		}
		if !more {
			return typed{expression: join(all), kind: truth, at: first.at}, nil
		}
		if e, err = operand(); err != nil {
			return typed{}, err
		}
	}
}

// allOf is false if one is, else unknown if one is, else true.
func allOf(all []expression) expression {
	return func(m Properties) Value {
		result := Bool(true)
		for _, f := range all {
			if v := f(m); v.isFalse() {
				return v
			} else if v.kind == null {
				result = Null
			}
		}
		return result
	}
}

// anyOf is true if one is, else unknown if one is, else false.
func anyOf(all []expression) expression {
	return func(m Properties) Value {
		result := Bool(false)
		for _, f := range all {
			if v := f(m); v.isTrue() {
				return v
			} else if v.kind == null {
				result = Null
			}
		}
		return result
	}
}

func (p *parser) not() (typed, error) {
	at := p.next.at
	is, err := p.keyword("NOT")
	if err != nil || !is {
		if err == nil {
			return p.test()
		}
		return typed{}, err
	}
	e, err := p.within(p.not)
	if err != nil {
		return typed{}, err
	}
	f, err := p.condition(e)
	return typed{expression: func(m Properties) Value { return f(m).not() }, kind: truth, at: at}, err
}

func (p *parser) sum() (typed, error) { return p.series("+-", p.product) }

func (p *parser) product() (typed, error) { return p.series("*/%", p.sign) }

// series parses operands with arithmetic operators of one rank between them.
func (p *parser) series(operators string, operand func() (typed, error)) (typed, error) {
	left, err := operand()
	for err == nil && p.next.class == classOperator && len(p.next.word) == 1 && strings.Contains(operators, p.next.word) {
		op := p.next.word[0]
		if err = p.advance(); err != nil {
			break
		}
		var right typed
		if right, err = operand(); err != nil {
			break
		}
		for _, e := range []typed{left, right} {
			if err = p.numeric(e); err != nil {
				return typed{}, err
			}
		}
		a, b := left.expression, right.expression
		left = typed{expression: func(m Properties) Value { return arithmetic(op, a(m), b(m)) }, kind: floating, at: left.at}
	}
	return left, err
}

// numeric refuses what can never be a number.
func (p *parser) numeric(e typed) error {
	if e.kind == text || e.kind == truth {
		return p.invalid(e.at, "expected a number")
	}
	return nil
}

func (p *parser) sign() (typed, error) {
	at := p.next.at
	if p.next.class != classOperator || p.next.word != "+" && p.next.word != "-" {
		return p.primary()
	}
	minus := p.next.word == "-"
	if err := p.advance(); err != nil {
		return typed{}, err
	}
	e, err := p.within(p.sign)
	if err != nil {
		return typed{}, err
	}
	if err := p.numeric(e); err != nil {
		return typed{}, err
	}
	f := e.expression
	return typed{kind: floating, at: at, expression: func(m Properties) Value {
		if minus {
			return arithmetic('-', Int(0), f(m))
		}
		return f(m).number()
	}}, nil
}

func constant(v Value) expression { return func(Properties) Value { return v } }

func (p *parser) primary() (typed, error) {
	t := p.next
	if err := p.advance(); err != nil {
		return typed{}, err
	}
	switch {
	case t.class == classIdentifier:
		name := t.word
		return typed{expression: func(m Properties) Value { return m.Property(name) }, name: name, at: t.at}, nil
	case t.class == classString:
		return typed{expression: constant(String(t.word)), kind: text, at: t.at}, nil
	case t.class == classNumber:
		return typed{expression: constant(t.value), kind: floating, at: t.at}, nil
	case t.class == classKeyword && (t.word == "TRUE" || t.word == "FALSE"):
		return typed{expression: constant(Bool(t.word == "TRUE")), kind: truth, at: t.at}, nil
	case t.class == classOperator && t.word == "(":
		e, err := p.within(p.or)
		if err != nil {
			return typed{}, err
		}
		return e, p.expect(classOperator, ")")
	}
	return typed{}, p.invalid(t.at, "expected an identifier, a string, a number, TRUE, FALSE or a bracket")
}
