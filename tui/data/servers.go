package data

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// serversEvery is how often the ZooKeeper servers are asked. They are not the
// subject, and each question is a connection.
const serversEvery = 2 * time.Second

// runServers asks every ZooKeeper server about itself until ctx ends.
func (s *Source) runServers(ctx context.Context, address string) {
	tick := time.NewTicker(serversEvery)
	defer tick.Stop()
	for {
		call, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
		got, err := AskServer(call, address)
		cancel()
		if ctx.Err() != nil {
			return
		}
		s.mu.Lock()
		servers := slices.Clone(s.mu.servers)
		for i := range servers {
			if servers[i].Address != address {
				continue
			}
			if err != nil {
				servers[i].Error = Clean(err.Error())
			} else {
				got.At = s.cfg.Now()
				servers[i] = got
			}
		}
		s.mu.servers = servers
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// srvrMax bounds what a server may answer, in bytes.
const srvrMax = 16 << 10

// errSilent says that a server closed the connection without a word.
var errSilent = errors.New("it does not answer srvr: allow it with 4lw.commands.whitelist=srvr")

// AskServer asks one ZooKeeper server for its state with the four-letter word
// srvr, which servers answer by default.
func AskServer(ctx context.Context, address string) (Server, error) {
	begun := time.Now()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return Server{}, fmt.Errorf("ask ZooKeeper server %s: %w", address, err)
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	if _, err := io.WriteString(conn, "srvr"); err != nil {
		return Server{}, fmt.Errorf("ask ZooKeeper server %s: %w", address, err)
	}
	out, err := parseSrvr(io.LimitReader(conn, srvrMax))
	if err != nil {
		return Server{}, fmt.Errorf("ask ZooKeeper server %s: %w", address, err)
	}
	out.Address, out.Took = address, time.Since(begun)
	return out, nil
}

func parseSrvr(r io.Reader) (Server, error) {
	var out Server
	sc := bufio.NewScanner(r)
	for sc.Scan() {
		key, value, ok := strings.Cut(Clean(sc.Text()), ": ")
		if !ok {
			if strings.Contains(sc.Text(), "not currently serving") {
				return out, errors.New("it runs, but its ensemble has no quorum")
			}
			continue
		}
		switch key { // one line per field
		case "Zookeeper version":
			out.Version, _, _ = strings.Cut(value, ",")
		case "Latency min/avg/max":
			if f := strings.Split(value, "/"); len(f) == 3 {
				out.LatencyMS, _ = strconv.ParseFloat(f[1], 64)
			}
		case "Connections":
			out.Connections, _ = strconv.Atoi(value)
		case "Outstanding":
			out.Outstanding, _ = strconv.Atoi(value)
		case "Zxid":
			out.Zxid = value
		case "Mode":
			out.Mode = value
		case "Node count":
			out.NodeCount, _ = strconv.Atoi(value)
		}
	}
	if err := sc.Err(); err != nil {
		return out, err
	}
	if out.Mode == "" {
		return out, errSilent
	}
	return out, nil
}
