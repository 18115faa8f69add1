package main_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/node/stomp"
)

// exchange speaks a piece of STOMP 1.2 with a broker and says in a few words
// what came back: every frame's command, and of a MESSAGE the headers named by
// see and the body. It waits for so many messages and then ends it politely, if
// the broker has not done so.
func exchange(t *testing.T, address, connect, in string, messages int, see ...string) string {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer nc.Close()
	require.NoError(t, nc.SetDeadline(time.Now().Add(patience)))
	d := stomp.NewDecoder(nc, stomp.Limits{})
	var said []string
	next := func() *stomp.Frame {
		f, err := d.Next()
		if err != nil {
			return nil
		}
		word := f.Command
		if f.Command == stomp.CmdError && strings.Contains(strings.TrimSpace(string(f.Body)), "\n") {
			word += " of many lines"
		}
		for _, name := range see {
			if value, ok := f.Lookup(name); ok && f.Command != stomp.CmdConnected {
				word += " " + name + "=" + value
			}
		}
		if f.Command == stomp.CmdMessage {
			word = strings.TrimSuffix(word+" "+string(f.Body), " ")
		}
		if f.Command != stomp.CmdConnected {
			said = append(said, word)
		}
		return f
	}
	_, err = io.WriteString(nc, connect)
	require.NoError(t, err)
	if f := next(); f == nil || f.Command != stomp.CmdConnected {
		return strings.Join(said, ", ")
	} else if f.Get("version") == "1.2" {
		d.Configure(stomp.V12, stomp.Limits{})
	}
	before, after, more := strings.Cut(in, andThen)
	_, err = io.WriteString(nc, before+"\x00")
	require.NoError(t, err)
	if more {
		for range strings.Count(before, "receipt:") {
			next()
		}
		_, err = io.WriteString(nc, after+"\x00")
		require.NoError(t, err)
	}
	for messages > 0 {
		f := next()
		if f == nil {
			return strings.Join(append(said, "end"), ", ")
		}
		if f.Command == stomp.CmdMessage {
			messages--
		}
	}
	_, _ = io.WriteString(nc, "DISCONNECT\nreceipt:bye\n\n\x00") // it may have ended after an ERROR
	for f := next(); f != nil; f = next() {
		if f.Get("receipt-id") == "bye" {
			return strings.Join(said[:len(said)-1], ", ")
		}
	}
	return strings.Join(append(said, "end"), ", ")
}

// andThen in a case stands where the client waits for its receipts: nothing
// says whether a message or the receipt of its sender comes first.
const andThen = "\x01"

// wireCases are pieces of STOMP that ActiveMQ and Baton answer alike, or not:
// then activemq is what ActiveMQ says.
var wireCases = []struct {
	name, connect, in string
	see               []string
	baton, activemq   string
}{
	{name: "text stays text, bytes stay bytes",
		in:  "SEND\ndestination:/queue/Q\n\nplain\x00SEND\ndestination:/queue/Q\ncontent-length:5\n\nbytes\x00SUBSCRIBE\nid:1\ndestination:/queue/Q\nreceipt:r\n\n",
		see: []string{"content-length"}, baton: "RECEIPT, MESSAGE plain, MESSAGE content-length=5 bytes"},
	{name: "the first of a repeated header counts", see: []string{"k"},
		in: "SUBSCRIBE\nid:1\ndestination:/queue/Q\nreceipt:r\n\n\x00SEND\ndestination:/queue/Q\nk:1\nk:2\n\nx", baton: "RECEIPT, MESSAGE k=1 x"},
	{name: "escapes of 1.2", see: []string{"k"},
		in: "SUBSCRIBE\nid:1\ndestination:/queue/Q\nreceipt:r\n\n\x00SEND\ndestination:/queue/Q\nk:a\\cb\\\\\n\nx", baton: `RECEIPT, MESSAGE k=a:b\ x`},
	{name: "four-byte characters", see: []string{"k"},
		in: "SUBSCRIBE\nid:1\ndestination:/queue/Q\nreceipt:r\n\n\x00SEND\ndestination:/queue/Q\nk:𝄞\n\n😀", baton: "RECEIPT, MESSAGE k=𝄞 😀"},
	{name: "headers of JMS", see: []string{"priority", "correlation-id", "type", "reply-to", "redelivered", "JMSXUserID"},
		in: "SUBSCRIBE\nid:1\ndestination:/queue/Q\nreceipt:r\n\n\x00SEND\ndestination:/queue/Q\npriority:7\ncorrelation-id:c\ntype:t\n" +
			"reply-to:/queue/back\nJMSXUserID:root\nredelivered:true\n\nx", baton: "RECEIPT, MESSAGE priority=7 correlation-id=c type=t reply-to=/queue/back x"},
	{name: "an unknown ack id is refused", in: "ACK\nid:nope\nreceipt:r\n\n", see: []string{"receipt-id"},
		baton: "ERROR receipt-id=r", activemq: "ERROR of many lines receipt-id=r"},
	{name: "an unknown transaction is refused", in: "COMMIT\ntransaction:nope\nreceipt:r\n\n", see: []string{"receipt-id"},
		baton: "ERROR receipt-id=r", activemq: "ERROR of many lines receipt-id=r"},
	{name: "composite destinations and wildcards",
		in:    "SUBSCRIBE\nid:1\ndestination:/queue/Q.>\nreceipt:r\n\n\x00SEND\ndestination:/queue/Q.a,/queue/Q.b\n\nx",
		baton: "RECEIPT, MESSAGE x, MESSAGE x"},
	{name: "a selector on a queue",
		in: "SEND\ndestination:/queue/Q\nn:1\nreceipt:a\n\na\x00SEND\ndestination:/queue/Q\nn:12\nreceipt:b\n\nb" + andThen +
			"SUBSCRIBE\nid:1\ndestination:/queue/Q\nselector:n > 5\n\n", baton: "RECEIPT, RECEIPT, MESSAGE b"},
	{name: "a selector that cannot be parsed", in: "SUBSCRIBE\nid:1\ndestination:/queue/Q\nselector:a = \nreceipt:r\n\n",
		baton: "ERROR", activemq: "ERROR of many lines"},
	{name: "a durable subscription to a queue", connect: "CONNECT\naccept-version:1.2\nhost:x\nclient-id:c\n\n\x00",
		in:    "SUBSCRIBE\nid:1\ndestination:/queue/Q\nactivemq.subscriptionName:d\nreceipt:r\n\n",
		baton: "ERROR", activemq: "ERROR of many lines"},
	{name: "a message whose time is up",
		in: "SEND\ndestination:/queue/Q\nexpires:1\nreceipt:a\n\na\x00SEND\ndestination:/queue/Q\nreceipt:b\n\nb" + andThen +
			"SUBSCRIBE\nid:1\ndestination:/queue/Q\n\n", baton: "RECEIPT, RECEIPT, MESSAGE b"},
	{name: "1.0 trims values and knows no escapes", connect: "CONNECT\n\n\x00", see: []string{"k"},
		in: "SUBSCRIBE\ndestination: /queue/Q \nreceipt:r\n\n\x00SEND\ndestination:/queue/Q\nk: a b \n\nx", baton: "RECEIPT, MESSAGE k=a b x"},
	{name: "NACK in 1.0", connect: "CONNECT\n\n\x00", in: "NACK\nmessage-id:x\nreceipt:r\n\n", baton: "ERROR", activemq: "ERROR of many lines"},
	{name: "CRLF in 1.2", see: []string{"k"},
		in: "SUBSCRIBE\r\nid:1\r\ndestination:/queue/Q\r\nreceipt:r\r\n\r\n\x00\r\nSEND\r\ndestination:/queue/Q\r\nk:v\r\n\r\nx", baton: "RECEIPT, MESSAGE k=v x"},
	{name: "a second CONNECT", in: "CONNECT\naccept-version:1.2\nhost:x\n\n", baton: "ERROR, end", activemq: "ERROR of many lines"},
	{name: "a frame of the server", in: "MESSAGE\nreceipt:r\n\n", baton: "ERROR, end", activemq: "ERROR of many lines, end"},
	{name: "no version in common", connect: "CONNECT\naccept-version:9.9\nhost:x\n\n\x00", see: []string{"version"},
		baton: "ERROR version=1.0,1.1,1.2", activemq: "ERROR of many lines"},
	{name: "SEND before CONNECT", connect: "SEND\ndestination:/queue/Q\n\n\x00", baton: "ERROR", activemq: "ERROR of many lines"},

	{name: "a destination without a prefix", in: "SEND\ndestination:nowhere\nreceipt:r\n\n", see: []string{"receipt-id"},
		baton: "ERROR receipt-id=r", activemq: "RECEIPT receipt-id=r"},
	{name: "a command's name by its beginning", in: "SENDING\ndestination:/queue/Q\nreceipt:r\n\n", baton: "ERROR, end", activemq: "RECEIPT"},
	{name: "an escape that does not exist", see: []string{"k"},
		in:    "SUBSCRIBE\nid:1\ndestination:/queue/Q\nreceipt:r\n\n\x00SEND\ndestination:/queue/Q\nk:\\t\n\nx",
		baton: "RECEIPT, ERROR, end", activemq: `RECEIPT, MESSAGE k=\t x`},
	{name: "persistent unless said", see: []string{"persistent"},
		in:    "SUBSCRIBE\nid:1\ndestination:/queue/Q\nreceipt:r\n\n\x00SEND\ndestination:/queue/Q\n\nx",
		baton: "RECEIPT, MESSAGE persistent=true x", activemq: "RECEIPT, MESSAGE x"},
	{name: "an option of SUBSCRIBE that does not exist", in: "SUBSCRIBE\nid:1\ndestination:/queue/Q\nreceipt:r\nactivemq.prefetchsize:1\n\n",
		baton: "ERROR", activemq: "RECEIPT"},
	{name: "priorities", see: []string{"priority"},
		in: "SEND\ndestination:/queue/Q\npriority:1\n\nlow\x00SEND\ndestination:/queue/Q\n\nnormal\x00SEND\ndestination:/queue/Q\npriority:9\nreceipt:r\n\nhigh" + andThen +
			"SUBSCRIBE\nid:1\ndestination:/queue/Q\n\n",
		baton:    "RECEIPT, MESSAGE priority=9 high, MESSAGE priority=4 normal, MESSAGE priority=1 low",
		activemq: "RECEIPT, MESSAGE priority=1 low, MESSAGE priority=4 normal, MESSAGE priority=9 high"},
	{name: "a priority that does not exist", see: []string{"priority"},
		in:    "SEND\ndestination:/queue/Q\npriority:10\nreceipt:r\n\nx" + andThen + "SUBSCRIBE\nid:1\ndestination:/queue/Q\nreceipt:s\n\n",
		baton: "ERROR, RECEIPT", activemq: "RECEIPT, RECEIPT, MESSAGE priority=9 x"},
	{name: "a priority that is no number",
		in:    "SEND\ndestination:/queue/Q\npriority:high\nreceipt:r\n\nx",
		baton: "ERROR", activemq: "end"},
	{name: "a delay", see: []string{"AMQ_SCHEDULED_DELAY"},
		in: "SUBSCRIBE\nid:1\ndestination:/queue/Q\nreceipt:r\n\n\x00SEND\ndestination:/queue/Q\nAMQ_SCHEDULED_DELAY:1000\n\nlater\x00" +
			"SEND\ndestination:/queue/Q\n\nnow", baton: "RECEIPT, MESSAGE now, MESSAGE later"},
	{name: "a delay and repetitions",
		in: "SUBSCRIBE\nid:1\ndestination:/queue/Q\nreceipt:r\n\n\x00SEND\ndestination:/queue/Q\nAMQ_SCHEDULED_DELAY:100\nAMQ_SCHEDULED_PERIOD:100\n" +
			"AMQ_SCHEDULED_REPEAT:2\n\nagain",
		baton: "RECEIPT, MESSAGE again, MESSAGE again, MESSAGE again"},
	{name: "repetitions without a delay",
		in: "SUBSCRIBE\nid:1\ndestination:/queue/Q\nreceipt:r\n\n\x00SEND\ndestination:/queue/Q\nAMQ_SCHEDULED_PERIOD:100\n" +
			"AMQ_SCHEDULED_REPEAT:1\n\nagain",
		baton: "RECEIPT, MESSAGE again, MESSAGE again"},
	{name: "a delay to a topic",
		in: "SUBSCRIBE\nid:1\ndestination:/topic/wire.delay\nreceipt:r\n\n\x00SEND\ndestination:/topic/wire.delay\nAMQ_SCHEDULED_DELAY:1000\n\nlater\x00" +
			"SEND\ndestination:/topic/wire.delay\n\nnow", baton: "RECEIPT, MESSAGE now, MESSAGE later"},
	{name: "a delay in a transaction that is aborted",
		in: "SUBSCRIBE\nid:1\ndestination:/queue/Q\nreceipt:r\n\n\x00BEGIN\ntransaction:t\n\n\x00SEND\ndestination:/queue/Q\ntransaction:t\nAMQ_SCHEDULED_DELAY:50\n\ngone\x00" +
			"ABORT\ntransaction:t\n\n\x00SEND\ndestination:/queue/Q\nAMQ_SCHEDULED_DELAY:600\n\nkept", baton: "RECEIPT, MESSAGE kept"},
	{name: "a delay that is no number", in: "SEND\ndestination:/queue/Q\nAMQ_SCHEDULED_DELAY:soon\nreceipt:r\n\nx", see: []string{"receipt-id"},
		baton: "ERROR receipt-id=r", activemq: "end"},
	{name: "a cron entry that cannot be read", in: "SEND\ndestination:/queue/Q\nAMQ_SCHEDULED_CRON:every day\nreceipt:r\n\nx", see: []string{"receipt-id"},
		baton: "ERROR receipt-id=r", activemq: "end"},

	{name: "an option of CONNECT", connect: "CONNECT\naccept-version:1.2\nhost:x\nactivemq.anything:1\n\n\x00",
		in: "SEND\ndestination:/queue/Q\nreceipt:s\n\nx", baton: "RECEIPT"},
	{name: "the group of a message", see: []string{"JMSXGroupID"},
		in:    "SUBSCRIBE\nid:1\ndestination:/queue/Q\nreceipt:r\n\n\x00SEND\ndestination:/queue/Q\nJMSXGroupID:g\n\nx",
		baton: "RECEIPT, MESSAGE JMSXGroupID=g x", activemq: "RECEIPT, MESSAGE x"},
}

func speakAll(t *testing.T, address string, want func(i int) string) {
	t.Helper()
	for i, c := range wireCases {
		t.Run(c.name, func(t *testing.T) {
			connect := c.connect
			if connect == "" {
				connect = "CONNECT\naccept-version:1.2\nhost:x\n\n\x00"
			}
			queue := func(s string) string { return strings.ReplaceAll(s, "/queue/Q", fmt.Sprintf("/queue/wire.%d", i)) }
			expected := want(i)
			messages := strings.Count(expected, "MESSAGE")
			require.Equal(t, expected, exchange(t, address, queue(connect), queue(c.in), messages, c.see...))
		})
	}
}

// The wire as Baton speaks it, beside the wire as ActiveMQ does.
func TestWireOfACluster(t *testing.T) {
	c := launch(t, nil)
	speakAll(t, stompOf(t, c, leaderOf(t, c)), func(i int) string { return wireCases[i].baton })
}

func TestWireOfActiveMQ(t *testing.T) {
	speakAll(t, activeMQ(t), func(i int) string {
		if wireCases[i].activemq == "" {
			return wireCases[i].baton
		}
		return wireCases[i].activemq
	})
}
