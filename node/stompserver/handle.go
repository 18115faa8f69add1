package stompserver

import (
	"errors"
	"slices"
	"time"

	"baton/node/broker"
	"baton/node/broker/destination"
	"baton/node/broker/schedule"
	"baton/node/broker/selector"
	"baton/node/stomp"
)

// handle does what one frame asks for. A *refusal is answered by an ERROR; any
// other error ends the connection.
func (c *conn) handle(f *stomp.Frame) error {
	if !c.connected {
		if f.Command == stomp.CmdConnect || f.Command == stomp.CmdStomp {
			return c.connect(f)
		}
		return refuseFatally("the first frame must be CONNECT")
	}
	switch f.Command {
	case stomp.CmdSend:
		return c.partOf(f, c.send(f))
	case stomp.CmdAck, stomp.CmdNack:
		return c.partOf(f, c.settle(f))
	case stomp.CmdSubscribe:
		return clientError(c.subscribe(f))
	case stomp.CmdUnsubscribe:
		return clientError(c.unsubscribe(f))
	case stomp.CmdDisconnect:
		if err := c.sess.Drain(); err != nil {
			return err
		}
		c.sendReceipt(f.Get("receipt"))
		return errDisconnect
	case stomp.CmdBegin, stomp.CmdCommit, stomp.CmdAbort:
		return clientError(c.transact(f))
	case stomp.CmdConnect, stomp.CmdStomp:
		return refuseFatally("already connected")
	}
	return refuseFatally("unknown command")
}

// partOf makes the refusal of a frame that of its transaction, too.
func (c *conn) partOf(f *stomp.Frame, err error) error {
	err = clientError(err)
	if no := (*refusal)(nil); errors.As(err, &no) {
		return c.sess.Refuse(f.Get("transaction"), no)
	}
	return err
}

// clientErrors are the broker's errors that a client causes.
var clientErrors = []error{destination.ErrInvalid, selector.ErrInvalid, broker.ErrDestination, broker.ErrUnknownMessage, broker.ErrMessageSize, broker.ErrTransaction, schedule.ErrPlan}

// clientError turns them into refusals.
func clientError(err error) error {
	if broker.Retryable(err) || slices.ContainsFunc(clientErrors, func(known error) bool { return errors.Is(err, known) }) {
		return refuse("%s", err)
	}
	return err
}

// transact handles BEGIN, COMMIT and ABORT.
func (c *conn) transact(f *stomp.Frame) error {
	name := f.Get("transaction")
	if name == "" {
		return refuse("%s needs a transaction header", f.Command)
	}
	do := c.sess.Begin
	switch f.Command {
	case stomp.CmdCommit:
		do = c.sess.Commit
	case stomp.CmdAbort:
		do = c.sess.Rollback
	}
	return do(name, f.Get("receipt"))
}

// connect handles CONNECT: version, login, heart-beats.
func (c *conn) connect(f *stomp.Frame) error {
	version, err := stomp.Negotiate(f.Get("accept-version"))
	if err != nil {
		return refuseFatally("%s", err)
	}
	c.version.Store(uint32(version))
	wish, err := stomp.ParseHeartBeat(f.Get("heart-beat"))
	if err != nil {
		return refuseFatally("%s", err)
	}
	if a := c.s.cfg.Auth; a != nil {
		if err := a.Authenticate(f.Get("login"), f.Get("passcode")); err != nil {
			c.s.cfg.Logger.Info("login refused", "remote", c.host, "error", err)
			return refuseFatally("login or passcode is not accepted")
		}
	}
	answer, pace := stomp.AnswerHeartBeat(wish, c.s.cfg.HeartBeatFloor)
	c.pace.Store(int64(pace.Send))
	c.silence = time.Duration(float64(pace.Receive) * c.s.cfg.HeartBeatGrace)
	c.connected = true
	c.sess.Identify(f.Get("client-id"))
	c.nc.SetReadDeadline(time.Time{})
	c.dec.Configure(version, c.s.cfg.Limits)

	reply := stomp.Frame{Command: stomp.CmdConnected, Headers: []stomp.Header{
		{Name: "version", Value: version.String()},
		{Name: "session", Value: c.s.nextSession()},
		{Name: "server", Value: c.s.cfg.ServerName},
		{Name: "heart-beat", Value: answer.String()},
	}}
	if id, ok := f.Lookup("request-id"); ok {
		reply.Headers = append(reply.Headers, stomp.Header{Name: "response-id", Value: id})
	}
	c.out.append(func(b []byte) []byte { return stomp.AppendFrame(b, version, &reply) })
	return nil
}
