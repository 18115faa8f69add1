// Package selector decides which messages a consumer wants: the conditional
// expressions of JMS 1.1, a subset of SQL-92. It is pure. A selector is parsed
// once, into functions, and then used for any number of messages by any number
// of goroutines.
//
//	or      = and { OR and }
//	and     = not { AND not }
//	not     = NOT not | test
//	test    = sum [ ( = | <> | < | > | <= | >= ) sum
//	              | IS [ NOT ] NULL
//	              | [ NOT ] BETWEEN sum AND sum
//	              | [ NOT ] IN ( string { , string } )
//	              | [ NOT ] LIKE string [ ESCAPE string ] ]
//	sum     = product { ( + | - ) product }
//	product = sign { ( * | / | % ) sign }
//	sign    = ( + | - ) sign | primary
//	primary = identifier | string | number | TRUE | FALSE | ( or )
//
// Keywords are in any case; identifiers are exact, and in double quotes may
// hold any character. Strings are in single quotes, doubled within them. Numbers are decimal,
// 0x hexadecimal or 0 octal, and with a point or an exponent floating.
//
// # Values
//
// A property that a message lacks is null, and what is computed from null is
// null. Truth has three values: true, false and unknown, which is null; only a
// message for which the whole is true is selected. Every header of STOMP is a
// string, so where a number or a truth is needed a string that reads as one is
// one; a string that does not is unlike it, and the comparison false.
//
// Against ActiveMQ: + adds and never joins strings, and a string converts to
// whatever number it reads as, with a point or without. XPATH and XQUERY are
// not known.
package selector
