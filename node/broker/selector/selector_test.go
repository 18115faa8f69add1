package selector_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/node/broker/selector"
)

// message is a set of headers; names that begin with JMS are typed.
type message map[string]selector.Value

func (m message) Property(name string) selector.Value { return m[name] }

var sample = message{
	"color": selector.String("red"), "weight": selector.String("2500"), "price": selector.String("9.5"),
	"big": selector.String("TRUE"), "small": selector.String("false"), "word": selector.String("12 or so"),
	"minus": selector.String("-3"), "blank": selector.String(""), "pct": selector.String("50%_off\\"),
	"a-b": selector.String("x"), "größe": selector.String("Füße"), "q\"q": selector.String("1"), "inf": selector.String("Inf"),
	"JMSPriority": selector.Int(7), "JMSRedelivered": selector.Bool(true), "f": selector.Float(2.5),
	"min": selector.Int(-1 << 63),
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		yes, no string // selectors with | between them
	}{
		{"color = 'red'|color <> 'blue'|'red' = color", "color = 'RED'|color <> 'red'|Color = 'red'"},
		// Strings read as what they are compared with.
		{"weight = 2500|weight > 2499|weight >= 2500|weight < 2500.5|weight = 2.5e3|weight <> 7", "weight = 2499|weight > 2500|weight = 2500.5"},
		{"price > 9|price = 9.5|price BETWEEN 9 AND 10", "price > 10|price BETWEEN 10 AND 9"},
		{"big = TRUE|small = false|big|NOT small|big AND NOT small", "small|big = FALSE|color|NOT color|color = TRUE"},
		{"minus < 0|minus = -3|minus = - 3|-minus = 3|+minus = -3", "minus > 0"},
		{"weight = '2500'|price <> '9.50'", "weight = '2500.0'"},
		// What does not read as a number is unlike every number.
		{"word <> 12|blank <> 0|inf <> 1", "word = 12|word < 13|word > 0|blank = 0|NOT (word <> 12)|inf > 1"},
		// Unknown stays unknown.
		{"nothing IS NULL|color IS NOT NULL|nothing IS NULL AND color = 'red'", "color IS NULL|nothing IS NOT NULL"},
		{"big OR nothing = 1|nothing = 1 OR big|NOT (small AND nothing = 1)",
			"nothing = 1|nothing <> 1|NOT (nothing = 1)|nothing|NOT nothing|big AND nothing = 1|small OR nothing = 1|nothing > 1"},
		{"", "nothing LIKE '%'|nothing NOT LIKE 'a'|nothing IN ('a')|nothing NOT IN ('a')|nothing BETWEEN 1 AND 2|nothing NOT BETWEEN 1 AND 2|nothing + 1 > 0"},
		{"color = 'blue' OR weight > 1 AND big", "(color = 'blue' OR weight > 1) AND small|color = 'blue' AND big OR small"},
		{"NOT color = 'blue'|NOT NOT color = 'red'", "NOT color = 'red'"},
		// Arithmetic.
		{"weight + 1 = 2501|weight - 1 * 2 = 2498|(weight - 1) * 2 = 4998|weight / 1000 = 2|weight % 1000 = 500|2 + weight > 2501",
			"weight / 0 = 1|weight % 0 <> 1|color + 1 = 1"},
		{"weight / 1000.0 = 2.5|f * 2 = 5|price + 0.5 = 10|1.0 / 0 > 1e300|5.5 % 2 = 1.5", "f = 2"},
		{"min / -1 = min|min % -1 = 0|-min = min", ""},
		{"10 - 2 - 3 = 5|100 / 10 / 2 = 5|-2 - -3 = 1", "10 - 2 - 3 = 11"},
		// Literals.
		{"255 = 0xFF|8 = 010|1000 = 1e3|5 = 5L|.5 = 0.5|1.5f = 1.5|1.5E+1 = 15|0 = 0|0xe+1 = 15", "0x10 = 10"},
		{"word = '12 or so'|'it''s' = 'it''s'|'' = blank", "'it''s' = 'its'"},
		{"\"a-b\" = 'x'|größe = 'Füße'|\"q\"\"q\" = 1|\"color\" = 'red'", "a-b = 'x'"},
		{"color='red'and(big)|COLOR IS NULL aNd\tbig\n", ""},
		// LIKE and IN.
		{"color LIKE 'r%'|color LIKE '%'|color LIKE '_e_'|color LIKE '%e%'|color LIKE 'red%%'|color NOT LIKE 'R%'|größe LIKE 'F__e'",
			"color LIKE 'r'|color LIKE '__'|color LIKE 'red_'|color NOT LIKE 'red'|color LIKE ''|JMSPriority LIKE '7'"},
		{"pct LIKE '50!%%' ESCAPE '!'|pct LIKE '%!_off_' ESCAPE '!'|pct LIKE '%~\\' ESCAPE '~'|blank LIKE ''", "color LIKE 'r!%' ESCAPE '!'|pct LIKE '50!__off%' ESCAPE '!'"},
		{"color IN ('red')|color IN ('a','red', 'b')|color NOT IN ('a')|weight IN ('2500')", "color IN ('a')|color NOT IN ('red')|JMSPriority IN ('7')"},
		{"weight BETWEEN 2500 AND 2500|weight NOT BETWEEN 1 AND 2|weight BETWEEN 1 + 1 AND 5000 AND big", "weight NOT BETWEEN 1 AND 5000"},
		// Typed properties.
		{"JMSPriority = 7|JMSPriority > 4 AND JMSRedelivered|JMSRedelivered = TRUE|JMSRedelivered = 'true'|JMSPriority = '7'", "JMSPriority = 'seven'|JMSRedelivered = 1|JMSPriority = TRUE"},
		{"TRUE|NOT FALSE|TRUE = TRUE|(((big)))|(color = 'red') = TRUE|1 <> 'a'|TRUE <> 1", "FALSE|1 = 'a'|(color = 'red') <> TRUE"},
	} {
		for want, list := range map[bool]string{true: c.yes, false: c.no} {
			for s := range strings.SplitSeq(list, "|") {
				if s == "" {
					continue
				}
				sel, err := selector.Parse(s)
				require.NoError(t, err, s)
				require.Equal(t, want, sel.Matches(sample), s)
				require.Equal(t, s, sel.String())
			}
		}
	}
}

func TestRefused(t *testing.T) {
	for text, why := range map[string]string{
		"":                         "at character 1: expected an identifier",
		"   ":                      "at character 4: expected an identifier",
		"a =":                      "at character 4: expected an identifier",
		"= 1":                      "at character 1",
		"a = 1 b":                  "at character 7: expected AND, OR or the end",
		"größe = 1 b":              "at character 11: expected AND",
		"a == 1":                   "at character 4",
		"a AND":                    "at character 6",
		"AND a":                    "at character 1",
		"a OR 5":                   "at character 6: expected a condition",
		"'x'":                      "at character 1: expected a condition",
		"a + 1":                    "at character 1: expected a condition",
		"NOT 'x'":                  "at character 5: expected a condition",
		"a > 'x'":                  "at character 5: expected a number",
		"a < TRUE":                 "at character 5: expected a number",
		"a + 'x' = 1":              "at character 5: expected a number",
		"-TRUE = 1":                "at character 2: expected a number",
		"a BETWEEN 'a' AND 'b'":    "at character 11: expected a number",
		"a BETWEEN 1, 2":           "at character 12: expected AND",
		"(a = 1":                   "at character 7: expected )",
		"a = 1)":                   "at character 6: expected AND, OR or the end",
		"a = 'x":                   "at character 5: the quote is not closed",
		"\"a = 1":                  "at character 1: the quote is not closed",
		"a # 1":                    "at character 3: this character",
		"a = 99999999999999999999": "at character 5: this is not a number, or is too large",
		"a = 1e999":                "too large",
		"a = 12abc":                "at character 5: this is not a number",
		"a = 09":                   "not a number",
		"a = 0x":                   "not a number",
		"a IN ()":                  "at character 7: expected a string",
		"a IN ('x' 'y')":           "at character 11: expected )",
		"a IN (1)":                 "at character 7: expected a string",
		"'a' IN ('x')":             "at character 1: expected an identifier before IN",
		"a LIKE b":                 "at character 8: expected a string",
		"1 LIKE 'x'":               "expected an identifier before LIKE",
		"a LIKE 'x' ESCAPE 'ab'":   "at character 19: expected one character",
		"a LIKE 'x' ESCAPE ''":     "expected one character",
		"a LIKE 'x!' ESCAPE '!'":   "at character 8: the pattern ends within an escape",
		"a NOT = 1":                "at character 7: expected BETWEEN, IN or LIKE",
		"a IS 1":                   "at character 6: expected NULL",
		"1 IS NULL":                "expected an identifier before IS",
		"a = \xff":                 "not UTF-8",
		"NULL = a":                 "at character 1",
		strings.Repeat("(", 65) + "a" + strings.Repeat(")", 65): "nested more than 64 deep",
		strings.Repeat("NOT ", 65) + "a":                        "nested more than 64 deep",
		strings.Repeat("-", 65) + "1 = a":                       "nested more than 64 deep",
		"a = '" + strings.Repeat("x", 8<<10) + "'":              "8198 bytes, at most 8192",
	} {
		_, err := selector.Parse(text)
		require.ErrorIs(t, err, selector.ErrInvalid, text)
		require.ErrorContains(t, err, why, text)
	}
	for _, text := range []string{
		strings.Repeat("(", 64) + "a" + strings.Repeat(")", 64),
		"a" + strings.Repeat(" OR a", 1600),
		"1" + strings.Repeat("+1", 4000) + " = 4001",
	} {
		s, err := selector.Parse(text)
		require.NoError(t, err)
		require.Equal(t, text[0] == '1', s.Matches(sample))
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"color = 'red' AND weight > 2500", "a NOT LIKE '%x_' ESCAPE '\\'", "NOT (a BETWEEN 1 AND 0x7F OR b IN ('x','y'))",
		"\"a b\" IS NOT NULL", "-a * (b + 1.5e3) / 2 % 3 <> .5", "größe = 'x'", "a = 'it''s'", "TRUE = FALSE",
	} {
		f.Add(s, "1")
	}
	f.Fuzz(func(t *testing.T, s, value string) {
		sel, err := selector.Parse(s)
		if err != nil {
			require.ErrorIs(t, err, selector.ErrInvalid)
			return
		}
		all := any1(value)
		got := sel.Matches(all)
		require.Equal(t, got, sel.Matches(all))
		// At most one of a condition and its opposite is true.
		if opposite, err := selector.Parse("NOT (" + s + ")"); err == nil && got {
			require.False(t, opposite.Matches(all), s)
		}
		if bracketed, err := selector.Parse("(" + s + ")"); err == nil {
			require.Equal(t, got, bracketed.Matches(all), s)
		}
	})
}

// any1 is a message whose every property has the same value.
type any1 string

func (v any1) Property(string) selector.Value { return selector.String(string(v)) }

// FuzzLike compares LIKE with the plain recursive definition.
func FuzzLike(f *testing.F) {
	f.Add("%a_b%", "xxaybzz")
	f.Add("%%_", "ü")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if len(pattern) > 12 || len(s) > 40 || strings.ContainsAny(pattern, "'") {
			return
		}
		sel, err := selector.Parse("a LIKE '" + pattern + "'")
		if err != nil {
			return
		}
		require.Equal(t, matches([]rune(pattern), []rune(s)), sel.Matches(any1(s)), "%q %q", pattern, s)
	})
}

func matches(p, s []rune) bool {
	switch {
	case len(p) == 0:
		return len(s) == 0
	case p[0] == '%':
		return matches(p[1:], s) || len(s) > 0 && matches(p, s[1:])
	case len(s) == 0:
		return false
	}
	return (p[0] == '_' || p[0] == s[0]) && matches(p[1:], s[1:])
}

func BenchmarkMatches(b *testing.B) {
	s, err := selector.Parse("color = 'red' AND weight > 2500 OR JMSPriority BETWEEN 5 AND 9")
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		s.Matches(sample)
	}
}
