package selector

// test parses a comparison, or something that stands for itself.
func (p *parser) test() (typed, error) {
	left, err := p.sum()
	if err != nil {
		return typed{}, err
	}
	if p.next.class == classOperator {
		return p.comparison(left)
	}
	is, err := p.keyword("IS")
	if err != nil {
		return typed{}, err
	}
	if is {
		return p.isNull(left)
	}
	not, err := p.keyword("NOT")
	if err != nil {
		return typed{}, err
	}
	at := p.next.at
	var e expression
	switch {
	case p.next.class != classKeyword:
	case p.next.word == "BETWEEN":
		e, err = p.between(left)
	case p.next.word == "IN":
		e, err = p.in(left)
	case p.next.word == "LIKE":
		e, err = p.like(left)
	}
	switch {
	case err != nil:
		return typed{}, err
	case e == nil && not:
		return typed{}, p.invalid(at, "expected BETWEEN, IN or LIKE")
	case e == nil:
		return left, nil
	case not:
		f := e
		e = func(m Properties) Value { return f(m).not() }
	}
	return typed{expression: e, kind: truth, at: left.at}, nil
}

// holds says which orders an operator accepts.
var holds = map[string]func(order int) bool{
	"=":  func(o int) bool { return o == 0 },
	"<>": func(o int) bool { return o != 0 },
	"<":  func(o int) bool { return o < 0 },
	">":  func(o int) bool { return o > 0 },
	"<=": func(o int) bool { return o <= 0 },
	">=": func(o int) bool { return o >= 0 },
}

func (p *parser) comparison(left typed) (typed, error) {
	op := p.next.word
	accepts := holds[op]
	if accepts == nil {
		return left, nil
	}
	if err := p.advance(); err != nil {
		return typed{}, err
	}
	right, err := p.sum()
	if err != nil {
		return typed{}, err
	}
	if op != "=" && op != "<>" {
		for _, e := range []typed{left, right} {
			if err := p.numeric(e); err != nil {
				return typed{}, err
			}
		}
	}
	unequal := op == "<>"
	a, b := left.expression, right.expression
	return typed{kind: truth, at: left.at, expression: func(m Properties) Value {
		return compared(a(m), b(m), accepts, unequal)
	}}, nil
}

// compared is unknown if a value is null. Values of two kinds are unequal, and
// have no order.
func compared(x, y Value, accepts func(int) bool, unequal bool) Value {
	if x.kind == null || y.kind == null {
		return Null
	}
	order, alike := compare(x, y)
	if !alike {
		return Bool(unequal)
	}
	return Bool(accepts(order))
}

func (p *parser) isNull(left typed) (typed, error) {
	not, err := p.keyword("NOT")
	if err != nil {
		return typed{}, err
	}
	if err := p.expect(classKeyword, "NULL"); err != nil {
		return typed{}, err
	}
	if left.name == "" {
		return typed{}, p.invalid(left.at, "expected an identifier before IS")
	}
	f := left.expression
	return typed{kind: truth, at: left.at, expression: func(m Properties) Value {
		return Bool((f(m).kind == null) != not)
	}}, nil
}

func (p *parser) between(left typed) (expression, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	low, err := p.sum()
	if err != nil {
		return nil, err
	}
	if err := p.expect(classKeyword, "AND"); err != nil {
		return nil, err
	}
	high, err := p.sum()
	if err != nil {
		return nil, err
	}
	for _, e := range []typed{left, low, high} {
		if err := p.numeric(e); err != nil {
			return nil, err
		}
	}
	x, a, b := left.expression, low.expression, high.expression
	return allOf([]expression{
		func(m Properties) Value { return compared(x(m), a(m), holds[">="], false) },
		func(m Properties) Value { return compared(x(m), b(m), holds["<="], false) },
	}), nil
}

func (p *parser) in(left typed) (expression, error) {
	if left.name == "" {
		return nil, p.invalid(left.at, "expected an identifier before IN")
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if err := p.expect(classOperator, "("); err != nil {
		return nil, err
	}
	set := map[string]bool{}
	for more := true; more; {
		s, err := p.literal()
		if err != nil {
			return nil, err
		}
		set[s] = true
		if more, err = p.take(classOperator, ","); err != nil {
			return nil, err
		}
	}
	f := left.expression
	return func(m Properties) Value {
		switch v := f(m); v.kind {
		case null:
			return Null
		case text:
			return Bool(set[v.s])
		}
		return Bool(false)
	}, p.expect(classOperator, ")")
}

// literal reads a string literal.
func (p *parser) literal() (string, error) {
	if p.next.class != classString {
		return "", p.invalid(p.next.at, "expected a string in single quotes")
	}
	s := p.next.word
	return s, p.advance()
}

func (p *parser) like(left typed) (expression, error) {
	if left.name == "" {
		return nil, p.invalid(left.at, "expected an identifier before LIKE")
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	at := p.next.at
	s, err := p.literal()
	if err != nil {
		return nil, err
	}
	escape := rune(-1)
	escaped, err := p.keyword("ESCAPE")
	if err != nil {
		return nil, err
	}
	if escaped {
		at := p.next.at
		e, err := p.literal()
		if err != nil {
			return nil, err
		}
		r := []rune(e)
		if len(r) != 1 {
			return nil, p.invalid(at, "expected one character after ESCAPE")
		}
		escape = r[0]
	}
	pattern, ok := parseLike(s, escape)
	if !ok {
		return nil, p.invalid(at, "the pattern ends within an escape")
	}
	f := left.expression
	return func(m Properties) Value {
		switch v := f(m); v.kind {
		case null:
			return Null
		case text:
			return Bool(pattern.matches(v.s))
		}
		return Bool(false)
	}, nil
}
