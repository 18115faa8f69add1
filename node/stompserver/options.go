package stompserver

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"baton/node/broker"
	"baton/node/broker/destination"
	"baton/node/broker/selector"
	"baton/node/stomp"
)

// topicPrefetch is for consumers of topics that name none: what they have no
// room for is dropped in the end.
const topicPrefetch = 32766

// subscribeOptions reads what a SUBSCRIBE asks for. A header whose meaning
// would silently be lost is refused.
func (c *conn) subscribeOptions(f *stomp.Frame) (o broker.SubscribeOptions, err error) {
	from, err := c.destinations(f)
	if err != nil {
		return o, err
	}
	o.From, o.Pending, o.Prefetch = slices.Clone(from), -1, c.s.cfg.Prefetch
	onTopics := !slices.ContainsFunc(from, func(d destination.Destination) bool { return !d.Topical() })
	if onTopics {
		o.Prefetch = topicPrefetch
	}
	if n := c.s.cfg.Broker.Prefetch(from); n > 0 {
		o.Prefetch = n
	}
	first := firsts(f.Headers)
	for i, h := range f.Headers {
		if !first(i) {
			continue
		}
		if err := c.subscribeOption(&o, h.Name, strings.TrimSpace(h.Value)); err != nil {
			return o, err
		}
	}
	if o.Durable != "" && f.Get("activemq.prefetchSize") == "" {
		o.Prefetch = c.s.cfg.Prefetch
	}
	if o.NoLocal && !onTopics {
		return o, refuse("activemq.noLocal is for topics")
	}
	return o, nil
}

func (c *conn) subscribeOption(o *broker.SubscribeOptions, name, value string) (err error) {
	switch name {
	case "ack":
		o.Mode, err = ackMode(value)
	case "selector":
		if value != "" {
			o.Selector, err = selector.Parse(value)
		}
	case "activemq.prefetchSize":
		o.Prefetch, err = number(name, value, 1, math.MaxInt32)
	case "activemq.maximumPendingMessageLimit":
		o.Pending, err = number(name, value, -1, math.MaxInt32)
	case "activemq.noLocal", "no-local":
		o.NoLocal, err = truth(name, value)
	case "activemq.dispatchAsync":
		_, err = truth(name, value) // deliveries never wait for their consumer
	case "activemq.exclusive", "browser", "activemq.retroactive":
		var asked bool
		if asked, err = truth(name, value); asked {
			err = refuse("%s is not supported", name)
		}
	case "activemq.priority":
		var priority int
		if priority, err = number(name, value, math.MinInt8, math.MaxInt8); priority != 0 {
			err = refuse("%s is not supported", name)
		}
	case "activemq.subscriptionName", "durable-subscription-name":
		o.Durable = value
		if value == "" {
			err = refuse("%s is empty", name)
		}
	case "transformation":
		err = refuse("transformations are not supported")
	default:
		if strings.HasPrefix(name, "activemq.") {
			err = refuse("there is no such extension of SUBSCRIBE: %s", name)
		}
	}
	return err
}

func ackMode(value string) (broker.Mode, error) {
	switch value {
	case "", "auto":
		return broker.Auto, nil
	case "client":
		return broker.Cumulative, nil
	case "client-individual":
		return broker.Individual, nil
	}
	return broker.Auto, refuse("ack must be auto, client or client-individual")
}

// number reads a header that is a whole number.
func number(name, value string, least, most int) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		return 0, refuse("%s must be a number from %d up", name, least)
	}
	return n, nil
}

// truth reads a header that is true or false.
func truth(name, value string) (bool, error) {
	switch strings.ToLower(value) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, refuse("%s must be true or false", name)
}
