// Command tour walks through a broker's features with go-stomp. Usage and output
// are those of tour.py. The library has no failover: the list is tried in turn.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/go-stomp/stomp/v3"
	"github.com/go-stomp/stomp/v3/frame"
)

const patience = 30 * time.Second

func must(err error) {
	if err != nil {
		panic(err)
	}
}

type client struct {
	hosts  []string
	prefix string
	conn   *stomp.Conn
}

// connect tries the list until somebody serves.
func (c *client) connect() {
	for end := time.Now().Add(patience); ; {
		for _, host := range c.hosts {
			conn, err := stomp.Dial("tcp", host, stomp.ConnOpt.Header("client-id", c.prefix),
				stomp.ConnOpt.HeartBeat(0, 0), stomp.ConnOpt.UnsubscribeReceiptTimeout(time.Second))
			if err == nil {
				c.conn = conn
				return
			}
			if time.Now().After(end) {
				must(err)
			}
		}
	}
}

func (c *client) again() {
	must(c.conn.Disconnect())
	c.connect()
}

func header(pairs []string) (opts []func(*frame.Frame) error) {
	for i := 0; i < len(pairs); i += 2 {
		opts = append(opts, func(f *frame.Frame) error {
			f.Header.Add(pairs[i], pairs[i+1])
			return nil
		})
	}
	return opts
}

func (c *client) send(to, body string, pairs ...string) {
	must(c.conn.Send(to, "", []byte(body), append(header(append(pairs, "persistent", "true")), stomp.SendOpt.Receipt, stomp.SendOpt.NoContentLength)...))
}

func (c *client) subscribe(to string, ack stomp.AckMode, pairs ...string) *stomp.Subscription {
	sub, err := c.conn.Subscribe(to, ack, header(pairs)...)
	must(err)
	return sub
}

// unsubscribe takes it that a receipt was missed which came very fast: the
// library looks for it too late.
func (c *client) unsubscribe(sub *stomp.Subscription) {
	if err := sub.Unsubscribe(); err != nil && !errors.Is(err, &stomp.ErrUnsubscribeReceiptTimeout) {
		panic(err)
	}
}

func next(sub *stomp.Subscription, want string) *stomp.Message {
	select {
	case m := <-sub.C:
		must(m.Err)
		if string(m.Body) != want {
			panic(fmt.Sprintf("got %q, want %q", m.Body, want))
		}
		return m
	case <-time.After(patience):
		panic("nothing came")
	}
}

func topic(q string) string { return strings.Replace(q, "/queue/", "/topic/", 1) }

func (c *client) receipts(q string) string {
	c.send(q, "grüß 𝄞", "color", `r:e\d`)
	sub := c.subscribe(q, stomp.AckAuto)
	if color := next(sub, "grüß 𝄞").Header.Get("color"); color != `r:e\d` {
		panic(color)
	}
	c.unsubscribe(sub)
	return ""
}

func (c *client) abc(q string) {
	for _, b := range []string{"a", "b", "c"} {
		c.send(q, b)
	}
}

func (c *client) ackClient(q string) string {
	c.abc(q)
	sub := c.subscribe(q, stomp.AckClient)
	next(sub, "a")
	m := next(sub, "b")
	next(sub, "c")
	must(c.conn.Ack(m))
	c.unsubscribe(sub)
	sub = c.subscribe(q, stomp.AckClient)
	must(c.conn.Ack(next(sub, "c")))
	c.unsubscribe(sub)
	return ""
}

func (c *client) ackIndividual(q string) string {
	c.abc(q)
	sub := c.subscribe(q, stomp.AckClientIndividual)
	next(sub, "a")
	m := next(sub, "b")
	next(sub, "c")
	must(c.conn.Ack(m))
	c.unsubscribe(sub)
	sub = c.subscribe(q, stomp.AckClientIndividual)
	must(c.conn.Ack(next(sub, "a")))
	must(c.conn.Ack(next(sub, "c")))
	c.unsubscribe(sub)
	return ""
}

func (c *client) nack(q string) (result string) {
	c.send(q, "n")
	dead := c.subscribe("/queue/ActiveMQ.DLQ", stomp.AckClientIndividual)
	sub := c.subscribe(q, stomp.AckClientIndividual)
	must(c.conn.Nack(next(sub, "n")))
	select {
	case m := <-sub.C:
		must(m.Err)
		must(c.conn.Ack(m))
		result = "redelivered"
	case m := <-dead.C:
		must(m.Err)
		must(c.conn.Ack(m))
		result = "dead-lettered"
	case <-time.After(patience):
		panic("nothing came")
	}
	c.unsubscribe(sub)
	c.unsubscribe(dead)
	return result
}

func (c *client) transactions(q string) string {
	begin := func() *stomp.Transaction {
		tx, err := c.conn.BeginWithError()
		must(err)
		return tx
	}
	tx := begin()
	must(tx.Send(q, "", []byte("gone"), stomp.SendOpt.NoContentLength))
	must(tx.Abort())
	tx = begin()
	must(tx.Send(q, "", []byte("kept"), stomp.SendOpt.NoContentLength))
	must(tx.CommitWithReceipt())
	sub := c.subscribe(q, stomp.AckClientIndividual)
	tx = begin()
	must(tx.Ack(next(sub, "kept")))
	must(tx.Abort())
	c.unsubscribe(sub)
	sub = c.subscribe(q, stomp.AckClientIndividual)
	must(c.conn.Ack(next(sub, "kept")))
	c.unsubscribe(sub)
	return ""
}

func (c *client) selector(q string) string {
	sub := c.subscribe(topic(q), stomp.AckAuto, "selector", "color = 'red' AND size > 5")
	c.send(topic(q), "a", "color", "blue", "size", "9")
	c.send(topic(q), "b", "color", "red", "size", "3")
	c.send(topic(q), "c", "color", "red", "size", "7")
	next(sub, "c")
	c.unsubscribe(sub)
	return ""
}

// leave leaves a message for a durable subscription whose owner is away.
func (c *client) leave(q string) string {
	c.subscribe(topic(q), stomp.AckClientIndividual, "activemq.subscriptionName", "d")
	c.again()
	c.send(topic(q), "while away")
	return topic(q)
}

func (c *client) found(topic string) {
	sub := c.subscribe(topic, stomp.AckClientIndividual, "activemq.subscriptionName", "d")
	must(c.conn.Ack(next(sub, "while away")))
	c.again()
}

func (c *client) durable(q string) string {
	c.found(c.leave(q))
	return ""
}

func (c *client) reply(q string) string {
	back, sub := c.subscribe("/temp-queue/back", stomp.AckAuto), c.subscribe(q, stomp.AckAuto)
	c.send(q, "question", "reply-to", "/temp-queue/back")
	c.send(next(sub, "question").Header.Get("reply-to"), "answer")
	next(back, "answer")
	c.unsubscribe(back)
	c.unsubscribe(sub)
	return ""
}

func (c *client) walk(times int) {
	for _, f := range []struct {
		name string
		do   func(string) string
	}{
		{"receipts", c.receipts}, {"ack_client", c.ackClient}, {"ack_individual", c.ackIndividual}, {"nack", c.nack},
		{"transactions", c.transactions}, {"selector", c.selector}, {"durable", c.durable}, {"reply", c.reply},
	} {
		fmt.Println("ok", f.name, f.do(fmt.Sprintf("/queue/%s.%d.%s", c.prefix, times, f.name)))
	}
}

func main() {
	c := &client{hosts: strings.Split(os.Args[1], ","), prefix: os.Args[2]}
	c.connect()
	c.walk(1)
	left := c.leave("/queue/" + c.prefix + ".left")
	fmt.Println("kill")
	if bufio.NewScanner(os.Stdin).Scan() {
		c.connect()
		c.found(left)
		fmt.Println("ok survived")
		c.walk(2)
	}
	must(c.conn.Disconnect())
}
