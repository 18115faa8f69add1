package policy

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"baton/node/broker/destination"
)

// Parse reads the list under "destinations" of a configuration file. An error
// names the line. What is unknown, stands twice or cannot work is an error.
func Parse(list *yaml.Node) (Table, error) {
	if list.Kind != yaml.SequenceNode {
		return nil, at(list, "destinations is a list: each item begins with \"- match:\"")
	}
	var t Table
	for _, item := range list.Content {
		r, err := parseRule(item)
		if err != nil {
			return nil, err
		}
		for _, earlier := range t {
			if earlier.Match == r.Match {
				return nil, at(item, "there is a rule for %s before this one, which it would never reach", r.Match)
			}
		}
		t = append(t, r)
	}
	return t, nil
}

func parseRule(item *yaml.Node) (Rule, error) {
	r := Rule{Policy: Default()}
	p, matched := &r.Policy, false
	err := fields(item, map[string]func(*yaml.Node) error{
		"match": func(n *yaml.Node) (err error) {
			matched = true
			r.Match, err = match(n)
			return err
		},
		"redelivery":  section(p.Redelivery.keys()),
		"dead-letter": section(p.DeadLetter.keys()),
		"expiry":      section(map[string]func(*yaml.Node) error{"default": duration(&p.Expiry.Default), "max": duration(&p.Expiry.Max)}),
		"limits": section(map[string]func(*yaml.Node) error{
			"messages": count(&p.Limits.Messages), "bytes": size(&p.Limits.Bytes),
			"message-size": size(&p.Limits.MessageSize), "wait": duration(&p.Limits.Wait),
		}),
		"prefetch": func(n *yaml.Node) error {
			var v int64
			err := count(&v)(n)
			if err == nil && (v == 0 || v > math.MaxInt32) {
				err = at(n, "prefetch is %d: it is a number from 1 up", v)
			}
			p.Prefetch = int(v)
			return err
		},
	})
	if err == nil && !matched {
		err = at(item, "the rule has no match: say which destinations it is for, as in /queue/orders.>")
	}
	return r, err
}

func (r *Redelivery) keys() map[string]func(*yaml.Node) error {
	return map[string]func(*yaml.Node) error{
		"max": func(n *yaml.Node) error {
			v, err := strconv.ParseInt(n.Value, 10, 32)
			if err != nil || v < -1 {
				return at(n, "max is %q: it is how often a message is delivered again, or -1 for any number", n.Value)
			}
			r.Max = int(v)
			return nil
		},
		"delay":     duration(&r.Delay),
		"max-delay": duration(&r.MaxDelay),
		"multiplier": func(n *yaml.Node) error {
			v, err := strconv.ParseFloat(n.Value, 64)
			if err != nil || !(v >= 1 && v <= 1000) {
				return at(n, "multiplier is %q: it is a number from 1 to 1000", n.Value)
			}
			r.Multiplier = v
			return nil
		},
		"nack": func(n *yaml.Node) error {
			if n.Value != NackRedeliver && n.Value != NackDeadLetter {
				return at(n, "nack is %q: it is %s or %s", n.Value, NackRedeliver, NackDeadLetter)
			}
			r.Nack = n.Value
			return nil
		},
	}
}

func (d *DeadLetter) keys() map[string]func(*yaml.Node) error {
	return map[string]func(*yaml.Node) error{
		"queue": func(n *yaml.Node) error {
			if pattern, err := destination.CheckName(n.Value); err != nil || pattern {
				return at(n, "queue is %q: it is the name of one queue", n.Value)
			}
			d.Queue = n.Value
			return nil
		},
		"expired":        boolean(&d.Expired),
		"non-persistent": boolean(&d.NonPersistent),
		"discard":        boolean(&d.Discard),
	}
}

func match(n *yaml.Node) (destination.Destination, error) {
	list, err := destination.Append(nil, n.Value)
	switch {
	case err != nil:
		return destination.Destination{}, at(n, "match: %w", err)
	case len(list) != 1 || list[0].Kind != destination.Queue && list[0].Kind != destination.Topic:
		return destination.Destination{}, at(n, "match is %q: it is one /queue/ or /topic/, which may have wildcards", n.Value)
	}
	return list[0], nil
}

func at(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("line %d: "+format, append([]any{n.Line}, args...)...)
}

// fields gives each value of a mapping to the function of its key.
func fields(n *yaml.Node, known map[string]func(*yaml.Node) error) error {
	if n.Kind != yaml.MappingNode {
		return at(n, "expected lines of key: value")
	}
	seen := map[string]bool{}
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		set := known[key.Value]
		switch {
		case set == nil:
			return at(key, "there is no option %q here", key.Value)
		case seen[key.Value]:
			return at(key, "%q stands there twice", key.Value)
		}
		seen[key.Value] = true
		if err := set(value); err != nil {
			return err
		}
	}
	return nil
}

func section(known map[string]func(*yaml.Node) error) func(*yaml.Node) error {
	return func(n *yaml.Node) error { return fields(n, known) }
}

func duration(to *time.Duration) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		d, err := time.ParseDuration(n.Value)
		if err != nil || d < 0 {
			return at(n, "%q is not a time: write 500ms, 10s, 5m or 24h", n.Value)
		}
		*to = d
		return nil
	}
}

func boolean(to *bool) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		if n.Value != "true" && n.Value != "false" {
			return at(n, "%q is neither true nor false", n.Value)
		}
		*to = n.Value == "true"
		return nil
	}
}

func count(to *int64) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		v, err := strconv.ParseInt(n.Value, 10, 64)
		if err != nil || v < 0 {
			return at(n, "%q is not a number from 0 up", n.Value)
		}
		*to = v
		return nil
	}
}

var units = []struct {
	suffix string
	bytes  int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"", 1}}

func size(to *int64) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		for _, u := range units {
			digits, ok := strings.CutSuffix(n.Value, u.suffix)
			if !ok {
				continue
			}
			v, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
			if err != nil || v < 0 || v > math.MaxInt64/u.bytes {
				break
			}
			*to = v * u.bytes
			return nil
		}
		return at(n, "%q is not a size: write a number of bytes, or one with KiB, MiB, GiB or TiB", n.Value)
	}
}
