package client

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// addressesMax bounds a failover list.
const addressesMax = 64

// ParseURI understands the three ways to name a cluster:
//
//	failover:(stomp://a:61613,stomp://b:61623)?maxReconnectDelay=500
//	stomp://user:secret@a:61613
//	a:61613,b:61623
//
// The options are ActiveMQ's, times in milliseconds: initialReconnectDelay,
// maxReconnectDelay, maxReconnectAttempts (-1 = no limit), timeout (-1 = none)
// and randomize, which changes nothing because all addresses are tried at once.
// Any other option is an error.
func ParseURI(s string) (Config, error) {
	s = strings.TrimSpace(s)
	if rest, ok := cutScheme(s, "failover:"); ok {
		return parseFailover(rest)
	}
	var c Config
	if strings.Contains(s, "://") {
		if before, query, ok := strings.Cut(s, "?"); ok {
			if err := c.options(query); err != nil {
				return Config{}, err
			}
			s = before
		}
	}
	return c, c.list(s)
}

func parseFailover(s string) (Config, error) {
	var c Config
	if strings.HasPrefix(s, "//") {
		s = s[2:]
	}
	list := s
	if strings.HasPrefix(s, "(") {
		inner, after, ok := strings.Cut(s[1:], ")")
		if !ok {
			return Config{}, fmt.Errorf("%w: failover:( lacks its closing bracket", ErrURI)
		}
		if after != "" {
			if after[0] != '?' {
				return Config{}, fmt.Errorf("%w: %q after failover:(...)", ErrURI, after)
			}
			if err := c.options(after[1:]); err != nil {
				return Config{}, err
			}
		}
		list = inner
	} else if before, query, ok := strings.Cut(s, "?"); ok {
		if err := c.options(query); err != nil {
			return Config{}, err
		}
		list = before
	}
	if err := c.list(list); err != nil {
		return Config{}, err
	}
	return c, nil
}

// list takes a comma list of stomp://host:port or host:port.
func (c *Config) list(s string) error {
	parts := strings.Split(s, ",")
	if len(parts) > addressesMax {
		return fmt.Errorf("%w: more than %d addresses", ErrURI, addressesMax)
	}
	for _, p := range parts {
		if err := c.add(strings.TrimSpace(p)); err != nil {
			return err
		}
	}
	return nil
}

func (c *Config) add(s string) error {
	address := s
	if rest, ok := cutScheme(s, "tcp://"); ok {
		s = "stomp://" + rest
	}
	if strings.Contains(s, "://") {
		u, err := url.Parse(s)
		switch {
		case err != nil:
			return fmt.Errorf("%w: %v", ErrURI, err)
		case u.Scheme != "stomp":
			return fmt.Errorf("%w: scheme %q, only stomp:// is supported", ErrURI, u.Scheme)
		case u.Path != "" && u.Path != "/", u.RawQuery != "", u.Fragment != "":
			return fmt.Errorf("%w: %q has more than host and port; options belong after the brackets", ErrURI, s)
		}
		address = u.Host
		if u.User != nil {
			c.Login = u.User.Username()
			c.Passcode, _ = u.User.Password()
		}
	}
	if err := checkAddress(address); err != nil {
		return err
	}
	if !slices.Contains(c.Addresses, address) {
		c.Addresses = append(c.Addresses, address)
	}
	return nil
}

func checkAddress(a string) error {
	host, port, err := net.SplitHostPort(a)
	if err != nil {
		return fmt.Errorf("%w: %q is not host:port", ErrURI, a)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || host == "" || strings.ContainsAny(host, " \t\r\n\x00/?#@") {
		return fmt.Errorf("%w: %q is not host:port", ErrURI, a)
	}
	return nil
}

func cutScheme(s, scheme string) (string, bool) {
	if len(s) >= len(scheme) && strings.EqualFold(s[:len(scheme)], scheme) {
		return s[len(scheme):], true
	}
	return s, false
}

func (c *Config) options(query string) error {
	q, err := url.ParseQuery(query)
	if err != nil {
		return fmt.Errorf("%w: options: %v", ErrURI, err)
	}
	names := make([]string, 0, len(q))
	for name := range q {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if err := c.option(name, q.Get(name)); err != nil {
			return err
		}
	}
	return nil
}

func (c *Config) option(name, value string) error {
	millis := func(v *time.Duration) error {
		n, err := strconv.ParseInt(value, 10, 32)
		if err != nil || n < 0 {
			return fmt.Errorf("%w: %s=%s is not a number of milliseconds", ErrURI, name, value)
		}
		*v = time.Duration(n) * time.Millisecond
		return nil
	}
	switch name {
	case "initialReconnectDelay":
		return millis(&c.InitialReconnectDelay)
	case "maxReconnectDelay":
		return millis(&c.MaxReconnectDelay)
	case "timeout":
		if value == "-1" {
			return nil
		}
		return millis(&c.Timeout)
	case "maxReconnectAttempts":
		n, err := strconv.Atoi(value)
		if err != nil || n == 0 || n < -1 {
			return fmt.Errorf("%w: maxReconnectAttempts=%s, want -1 (no limit) or at least 1", ErrURI, value)
		}
		c.MaxReconnectAttempts = max(0, n)
		return nil
	case "randomize":
		if _, err := strconv.ParseBool(value); err != nil {
			return fmt.Errorf("%w: randomize=%s, want true or false", ErrURI, value)
		}
		return nil
	}
	return fmt.Errorf("%w: unknown option %q; known are initialReconnectDelay, maxReconnectDelay, maxReconnectAttempts, timeout, randomize", ErrURI, name)
}
