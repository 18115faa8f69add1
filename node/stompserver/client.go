package stompserver

import (
	"errors"

	"baton/node/broker"
)

// client is a connection as its broker session sees it.
type client struct{ *conn }

// Reserve sets room for a message aside.
func (c client) Reserve(sub *broker.Subscription, size int) bool { return c.out.reserve(sub, size) }

// Release gives a reservation back.
func (c client) Release(size int) { c.out.release(size) }

// Deliver encodes a message into the outbox.
func (c client) Deliver(d broker.Delivery) { c.out.deliver(c.v(), &d) }

// Settled sends the receipts of what is committed. Without a quorum,
// and when the disk is full, each operation gets an ERROR; after any other failure the leadership is over and
// the socket is closed without a word.
func (c client) Settled(ops []broker.Op, err error) {
	switch {
	case err == nil:
		c.confirm(ops)
	case errors.Is(err, broker.ErrNoQuorum):
		c.refuse(ops, broker.ErrNoQuorum)
	case errors.Is(err, broker.ErrDiskFull):
		c.refuse(ops, broker.ErrDiskFull)
	case errors.Is(err, broker.ErrBusy):
		c.refuse(ops, broker.ErrBusy)
	case errors.Is(err, broker.ErrFull), errors.Is(err, broker.ErrTransaction):
		c.refuse(ops, err)
	default:
		c.cut()
	}
}

func (c client) confirm(ops []broker.Op) {
	n, sends := 0, 0
	c.out.append(func(b []byte) []byte {
		for i := range ops {
			if ops[i].Receipt == "" {
				continue
			}
			b = appendReceipt(b, c.v(), ops[i].Receipt)
			n++
			if (ops[i].Kind == broker.OpSend || ops[i].Kind == broker.OpCommit) && !ops[i].Local {
				sends++
			}
		}
		return b
	})
	if n > 0 {
		c.s.receipts.Add(uint64(n))
	}
	if sends > 0 {
		c.s.firstReceipt.Do(c.s.cfg.OnFirstReceipt)
	}
}

// refuse sends one ERROR for each operation that wanted a receipt, and one for
// all the others together. What needed no commit is done.
func (c client) refuse(ops []broker.Op, err error) {
	no, silent := &refusal{text: err.Error(), inDoubt: errors.Is(err, broker.ErrNoQuorum)}, false
	for _, op := range ops {
		switch {
		case op.Local:
			c.sendReceipt(op.Receipt)
		case op.Receipt != "":
			c.sendRefusal(no, op.Receipt)
		default:
			silent = true
		}
	}
	if silent {
		c.sendRefusal(no, "")
	}
}
