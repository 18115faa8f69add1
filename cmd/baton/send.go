package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"baton/node/client"
)

// uriDefault is the cluster that baton demo starts.
const uriDefault = "failover:(stomp://127.0.0.1:61613,stomp://127.0.0.1:61623,stomp://127.0.0.1:61633)"

// windowMax bounds the messages that await their receipts; the stream bounds
// their bytes.
const windowMax = 10000

// lineMax bounds one line of standard input, which becomes one message.
const lineMax = 16 << 20

// clientFlags say which broker to talk to. resend is set by commands that send.
type clientFlags struct {
	uri, login, passFile string
	timeout              time.Duration
	resend               bool
}

func (f *clientFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.uri, "uri", uriDefault, "failover:(stomp://host:port,...), stomp://host:port, or host:port,...")
	c.Flags().StringVar(&f.login, "login", "", "login name")
	c.Flags().StringVar(&f.passFile, "passcode-file", "", "file with the passcode")
	c.Flags().DurationVar(&f.timeout, "timeout", 30*time.Second, "how long to look for a node that serves")
}

func (f *clientFlags) dial() (*client.Client, error) {
	return f.dialTo("uri", f.uri)
}

// dialTo dials the address that a flag names.
func (f *clientFlags) dialTo(flag, uri string) (*client.Client, error) {
	cfg, err := client.ParseURI(uri)
	if err != nil {
		return nil, usageError("--%s: %w", flag, err)
	}
	if f.passFile != "" {
		if cfg.Passcode, err = readSecret("passcode-file", f.passFile); err != nil {
			return nil, err
		}
	}
	cfg.Resend = f.resend
	if f.login != "" {
		cfg.Login = f.login
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = f.timeout
	}
	return client.New(cfg)
}

// destination lets people write a queue's bare name.
func destination(s string) string {
	if strings.HasPrefix(s, "/") {
		return s
	}
	return "/queue/" + s
}

// outcome gives an error of the client its exit code.
func outcome(err error) error {
	if errors.Is(err, client.ErrNoServer) {
		return exitError{exitUnreachable, fmt.Errorf("no node serves: %w (see baton status)", err)}
	}
	return err
}

func sendCommand() *cobra.Command {
	f := clientFlags{resend: true}
	var body, contentType string
	var headers map[string]string
	var count, window int
	var transient bool
	c := &cobra.Command{
		Use:   "send QUEUE",
		Short: "Send messages to a queue and wait for the receipts",
		Long: `Sends --body, --count times, or every line of standard input as a message. A message counts as sent
when the broker has said that a quorum has it. A message whose receipt was lost, as in a failover, is sent
again under the same baton-dedup-id, so that the queue stores it once. QUEUE is a name or a destination such
as /queue/orders.

With --window N up to N messages await their receipts, which is many times faster. They are stored in their
order, in a failover too. If the broker refuses one, some behind it may have been stored: the error says how many.`,
		Example: "  baton send orders --body hello\n  seq 1 1000 | baton send orders",
		Args:    oneArgument("queue to send to"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if window < 1 || window > windowMax {
				return usageError("--window %d: want 1 to %d", window, windowMax)
			}
			if transient {
				if headers == nil {
					headers = map[string]string{}
				}
				headers["persistent"] = "false"
			}
			c, err := f.dial()
			if err != nil {
				return err
			}
			defer c.Close()
			s := sender{stream: c.NewStream(window), to: destination(args[0]), contentType: contentType, headers: headers}
			if cmd.Flags().Changed("body") {
				err = s.repeat(cmd.Context(), body, count)
			} else {
				if isTerminal(cmd.InOrStdin()) {
					fmt.Fprintln(cmd.ErrOrStderr(), "each line is a message, ctrl+d ends")
				}
				err = s.lines(cmd.Context(), cmd.InOrStdin())
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%d sent to %s\n", s.stream.Sent(), s.to)
			return outcome(err)
		},
	}
	f.add(c)
	c.Flags().StringVar(&body, "body", "", "body of the message; without it standard input is read")
	c.Flags().IntVar(&count, "count", 1, "how often to send --body")
	c.Flags().StringVar(&contentType, "content-type", "text/plain", "content type of the messages")
	c.Flags().StringToStringVar(&headers, "header", nil, "header of the messages, name=value, may be given several times")
	c.Flags().IntVar(&window, "window", 1, "how many messages may await their receipts")
	c.Flags().BoolVar(&transient, "transient", false, "send persistent:false")
	return c
}

func oneArgument(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usageError("name the %s, as in: %s orders", what, cmd.CommandPath())
		}
		return nil
	}
}

type sender struct {
	stream          *client.Stream
	to, contentType string
	headers         map[string]string
}

func (s *sender) repeat(ctx context.Context, body string, count int) error {
	for range count {
		if err := s.stream.Send(ctx, s.to, s.contentType, []byte(body), s.headers); err != nil {
			return err
		}
	}
	return s.stream.Flush(ctx)
}

func (s *sender) lines(ctx context.Context, in io.Reader) error {
	sc := bufio.NewScanner(in)
	sc.Buffer(make([]byte, 0, 64<<10), lineMax)
	for sc.Scan() {
		if err := s.stream.Send(ctx, s.to, s.contentType, bytes.Clone(sc.Bytes()), s.headers); err != nil {
			return err
		}
	}
	if err := s.stream.Flush(ctx); err != nil {
		return err
	}
	if err := sc.Err(); err != nil {
		return fmt.Errorf("read standard input after %d messages: %w", s.stream.Sent(), err)
	}
	return nil
}
