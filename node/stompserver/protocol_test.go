package stompserver_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/node/broker/brokertest"
	"baton/node/stompserver"
)

func TestConnect(t *testing.T) {
	_, address := startServer(t, brokertest.NewLog())
	t.Run("versions", func(t *testing.T) {
		for accept, want := range map[string]string{"1.0": "1.0", "1.0,1.1": "1.1", "1.0,1.1,1.2": "1.2", "1.2,2.0": "1.2"} {
			c := dialRaw(t, address)
			c.frame("CONNECT", "accept-version:"+accept, "request-id:7")
			f := c.want("CONNECTED")
			require.Equal(t, want, f.Get("version"))
			require.Equal(t, "7", f.Get("response-id"))
			require.NotEmpty(t, f.Get("session"))
			require.Equal(t, "0,0", f.Get("heart-beat"))
		}
	})
	t.Run("no version is 1.0", func(t *testing.T) {
		c := dialRaw(t, address)
		c.raw("CONNECT\r\nlogin: a\r\n\r\n\x00")
		require.Equal(t, "1.0", c.want("CONNECTED").Get("version"))
	})
	t.Run("STOMP is CONNECT", func(t *testing.T) {
		c := dialRaw(t, address)
		c.frame("STOMP", "accept-version:1.2", "host:x")
		c.want("CONNECTED")
	})
	for name, in := range map[string]string{
		"no common version":  "CONNECT\naccept-version:3.0\n\n\x00",
		"not CONNECT":        "SEND\ndestination:/queue/a\n\n\x00",
		"server's frame":     "CONNECTED\n\n\x00",
		"bad heart-beat":     "CONNECT\nheart-beat:x\n\n\x00",
		"frame of 17 KiB":    "CONNECT\n" + strings.Repeat("a:"+strings.Repeat("b", 1022)+"\n", 17) + "\n\x00",
		"huge length":        "CONNECT\ncontent-length:999999999\n\n",
		"http":               "GET / HTTP/1.1\nHost: x\n\n\x00",
		"long command":       strings.Repeat("A", 2000),
		"length above limit": "CONNECT\ncontent-length:16777216\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := dialRaw(t, address)
			c.raw(in)
			c.wantError("")
			c.wantClosed()
		})
	}
}

type auth func(login, passcode string) error

func (a auth) Authenticate(login, passcode string) error { return a(login, passcode) }

func TestLogin(t *testing.T) {
	_, address := startServer(t, brokertest.NewLog(), func(c *stompserver.Config) {
		c.Auth = auth(func(l, p string) error {
			if l == "ann" && p == "se:cret" {
				return nil
			}
			return errors.New("internal: table users, row 7")
		})
	})
	dial(t, address, "1.2", "login:ann", "passcode:se:cret")
	c := dialRaw(t, address)
	c.frame("CONNECT", "accept-version:1.2", "login:ann", "passcode:wrong")
	f := c.wantError("not accepted")
	require.NotContains(t, f.Get("message")+string(f.Body), "users")
	c.wantClosed()
}

// What we cannot do is refused, by name, and the connection stays open.
func TestRefusals(t *testing.T) {
	log := brokertest.NewLog()
	_, address := startServer(t, log, func(c *stompserver.Config) { c.MaxSubscriptions = 1 })
	c := dial(t, address, "1.2")
	for _, x := range []struct{ command, headers, want string }{
		{"BEGIN", "transaction:", "needs a transaction"},
		{"COMMIT", "transaction:t", `"t" is not open`},
		{"ABORT", "transaction:t", `"t" is not open`},
		{"SEND", "destination:/queue/q|transaction:t", `"t" is not open`},
		{"SEND", "destination:/queue/q|transaction:", "header is empty"},
		{"ACK", "id:1-1|transaction:t", "not pending"},
		{"NACK", "id:1-1", "not pending"},
		{"SEND", "a:b", "no destination"},
		{"SEND", "destination:q", "begin with /queue/"},
		{"SEND", "destination:/remote-temp-queue/t", "no such temporary"},
		{"SEND", "destination:/queue/", "empty"},
		{"SEND", "destination:/queue/a,b", "begin with /queue/"},
		{"SEND", "destination:/queue/a,/queue/b.*", "cannot be sent to wildcards"},
		{"SEND", "destination:/queue/a.*", "wildcards"},
		{"SEND", "destination:/queue/a.>", "wildcards"},
		{"SEND", "destination:/queue/a?x=1", "options"},
		{"SEND", `destination:/queue/a\nb`, "control character"},
		{"SEND", "destination:/queue/\xff", "UTF-8"},
		{"SEND", "destination:/queue/" + strings.Repeat("x", 1025), "at most 1024"},
		{"SEND", "destination:/queue/q|priority:10", "priority"},
		{"SEND", "destination:/queue/q|priority:-1", "priority"},
		{"SEND", "destination:/queue/q|timestamp:-1", "timestamp"},
		{"SEND", "destination:/queue/q|timestamp:9223372036854775808", "timestamp"},
		{"SEND", "destination:/queue/q|expires:soon", "expires must be a number"},
		{"SEND", "destination:/queue/q|expires:-1", "expires must be a number"},
		{"SEND", "destination:/queue/q|AMQ_SCHEDULED_DELAY:-1", "AMQ_SCHEDULED_DELAY must be a number"},
		{"SEND", "destination:/queue/q|AMQ_SCHEDULED_DELAY:9223372036854775807", "invalid schedule"},
		{"SEND", "destination:/queue/q|AMQ_SCHEDULED_REPEAT:1|AMQ_SCHEDULED_DELAY:1", "needs AMQ_SCHEDULED_PERIOD"},
		{"SEND", "destination:/queue/q|AMQ_SCHEDULED_CRON:* * * *", "has 4 fields"},
		{"SEND", "destination:/queue/q|AMQ_SCHEDULED_CRON:0 0 30 2 *", "never comes true"},
		{"SEND", "destination:/queue/q|AMQ_SCHEDULER_ACTION:BROWSE", "AMQ_SCHEDULER_ACTION is not supported"},
		{"SEND", "destination:/queue/q|baton-dedup-id:", "needs 1 to 256"},
		{"SEND", "destination:/queue/q|baton-dedup-id:" + strings.Repeat("x", 257), "needs 1 to 256"},
		{"SEND", "destination:/queue/q|JMSXGroupID:g", "groups"},
		{"SEND", "destination:/queue/q|transformation:jms-xml", "transformations"},
		{"SUBSCRIBE", "destination:/queue/q", "needs an id"},
		{"SUBSCRIBE", "id:1|destination:topic", "begin with /queue/"},
		{"SUBSCRIBE", "id:1|destination:/queue/a.>.b", "must be the last"},
		{"SUBSCRIBE", "id:1|destination:/remote-temp-topic/x", "no such temporary"},
		{"SUBSCRIBE", "id:1|destination:/queue/q|ack:maybe", "ack must be"},
		{"SUBSCRIBE", "id:1|destination:/queue/q|selector:a = 1", "selectors"},
		{"SUBSCRIBE", "id:1|destination:/queue/q|browser:true", "browser is not supported"},
		{"SUBSCRIBE", "id:1|destination:/queue/q|activemq.exclusive:true", "exclusive"},
		{"SUBSCRIBE", "id:1|destination:/queue/q|activemq.priority:5", "priority is not supported"},
		{"SUBSCRIBE", "id:1|destination:/queue/q|activemq.noLocal:true", "noLocal"},
		{"SUBSCRIBE", "id:1|destination:/queue/q|activemq.subscriptionName:x", "durable"},
		{"SUBSCRIBE", "id:1|destination:/topic/q|selector:a = ", "at character 4"},
		{"SUBSCRIBE", "id:1|destination:/topic/q|activemq.noLocal:yes", "true or false"},
		{"SUBSCRIBE", "id:1|destination:/topic/q|activemq.maximumPendingMessageLimit:-2", "from -1 up"},
		{"SUBSCRIBE", "id:1|destination:/topic/q|activemq.retroactive:true", "retroactive is not supported"},
		{"SUBSCRIBE", "id:1|destination:/topic/q|activemq.prefetchsize:1", "no such extension"},
		{"SUBSCRIBE", "id:1|destination:/topic/q|transformation:jms-json", "transformations"},
		{"SUBSCRIBE", "id:1|destination:/queue/q|activemq.prefetchSize:0", "prefetchSize"},
		{"SUBSCRIBE", "id:1|destination:/queue/q|activemq.prefetchSize:-5", "prefetchSize"},
		{"SUBSCRIBE", "id:1|destination:/queue/q|activemq.prefetchSize:99999999999", "prefetchSize"},
		{"UNSUBSCRIBE", "id:1", "no subscription"},
		{"UNSUBSCRIBE", "destination:/queue/q", "needs an id"},
	} {
		c.frame(x.command, append(strings.Split(x.headers, "|"), "receipt:r")...)
		require.Equal(t, "r", c.wantError(x.want).Get("receipt-id"), "%s %s", x.command, x.headers)
	}
	c.frame("SUBSCRIBE", "id:1", "destination:/queue/q", "receipt:ok")
	c.wantReceipt("ok")
	c.frame("SUBSCRIBE", "id:1", "destination:/queue/q")
	c.wantError("exists")
	c.frame("SUBSCRIBE", "id:2", "destination:/queue/q")
	c.wantError("too many subscriptions")
	c.publish("other", "still alive")
	require.Zero(t, len(log.Queues())-1)
}

// Names that would be dangerous as paths are just names.
func TestOddQueueNames(t *testing.T) {
	_, address := startServer(t, brokertest.NewLog())
	for _, name := range []string{"../../x", "a/b", "/", ".", "..", "😀", "a b", "a*b", strings.Repeat("x", 1024)} {
		c := dial(t, address, "1.2")
		c.publish(name, "1")
		c.frame("SUBSCRIBE", "id:1", "destination:/queue/"+name)
		f := c.wantBodies("1")[0]
		require.Equal(t, "/queue/"+name, f.Get("destination"))
	}
}

func TestFatalFrames(t *testing.T) {
	_, address := startServer(t, brokertest.NewLog())
	bystander := dial(t, address, "1.2")
	for name, in := range map[string]string{
		"NUL missing":     "SEND\ndestination:/queue/q\ncontent-length:1\n\nabc\x00",
		"bad escape":      "SEND\ndestination:/queue/q\na:\\t\n\n\x00",
		"negative length": "SEND\ndestination:/queue/q\ncontent-length:-1\n\n\x00",
		"huge length":     "SEND\ndestination:/queue/q\ncontent-length:99999999999999\n\n",
		"unknown command": "SENDING\ndestination:/queue/q\n\n\x00",
		"server's frame":  "MESSAGE\n\n\x00",
		"second CONNECT":  "CONNECT\n\n\x00",
		"random bytes":    "\x01\x02\xff\xfe:\n::\n\n\x00",
		"long header":     "SEND\na:" + strings.Repeat("b", 11<<10),
		"1001 headers":    "SEND\n" + strings.Repeat("a:b\n", 1001),
		"HTTP":            "POST / HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, address, "1.2")
			c.raw(in)
			if name == "HTTP" {
				c.raw("\x00")
			}
			c.wantError("")
			c.wantClosed()
		})
	}
	bystander.publish("q", "1")
}

func TestMessageHeaders(t *testing.T) {
	_, address := startServer(t, brokertest.NewLog())
	p := dial(t, address, "1.2")
	p.raw("SEND\ndestination:/queue/q\nreceipt:r\nmessage-id:mine\nredelivered:true\nsubscription:x\nJMSXUserID:root\nack:9\n" +
		"priority:7\ntimestamp:12345\npersistent:false\ncorrelation-id:c\\c1\\r\\\\\nexpires:0\ntype:t\ntype:second\nreply-to:/queue/back\n" +
		"content-type:text/plain\ncontent-length:3\n\na\x00b\x00")
	p.wantReceipt("r")
	p.send("q", "plain", "amq-msg-type:text")
	p.send("q", "bytes", "amq-msg-type:bytes")
	c := dial(t, address, "1.2")
	c.subscribe("q", "client")
	f := c.wantBodies("a\x00b")[0]
	for name, want := range map[string]string{
		"destination": "/queue/q", "subscription": "s-q", "priority": "7", "timestamp": "12345", "persistent": "false",
		"correlation-id": "c:1\r\\", "expires": "0", "type": "t", "reply-to": "/queue/back", "content-type": "text/plain",
		"content-length": "3", "redelivered": "", "JMSXUserID": "", "receipt": "",
	} {
		require.Equal(t, want, f.Get(name), name)
	}
	require.True(t, strings.HasPrefix(f.Get("message-id"), "ID-"))
	require.NotEqual(t, "9", f.Get("ack"))
	n := 0
	for _, h := range f.Headers {
		if h.Name == "type" {
			n++
		}
	}
	require.Equal(t, 1, n, "a repeated header is passed on once")
	f = c.wantBodies("plain")[0]
	_, sized := f.Lookup("content-length")
	require.False(t, sized)
	require.Equal(t, "4", f.Get("priority"))
	require.Equal(t, "true", f.Get("persistent"))
	require.Equal(t, "5", c.wantBodies("bytes")[0].Get("content-length"))
}

// A body with a NUL reaches a consumer whole whatever the producer said.
func TestVersionsMeet(t *testing.T) {
	_, address := startServer(t, brokertest.NewLog())
	p := dial(t, address, "1.2")
	p.raw("SEND\ndestination:/queue/q\nk:a\\nmessage-id\\cfake\namq-msg-type:text\ncontent-length:3\n\na\x00b\x00")
	p.raw("SEND\ndestination:/queue/q\n\nx\x00SEND\ndestination:/queue/q\n\nx\x00")
	old := dial(t, address, "1.0")
	old.frame("SUBSCRIBE", "destination:/queue/q", "ack:client", "activemq.prefetchSize:1")
	f := old.wantBodies("a\x00b")[0]
	require.Equal(t, "a message-id:fake", f.Get("k"))
	require.Empty(t, f.Get("ack"))
	require.Empty(t, f.Get("subscription"))
	old.frame("NACK", "message-id:"+f.Get("message-id"))
	old.wantError("no NACK")
	old.frame("ACK", "message-id:nope")
	old.wantError("not pending")
	old.frame("ACK", "message-id:"+f.Get("message-id"), "receipt:1")
	old.wantBoth("1")
	old.frame("UNSUBSCRIBE", "destination:/queue/q", "receipt:2")
	old.wantReceipt("2")

	mid := dial(t, address, "1.1")
	mid.frame("SUBSCRIBE", "id:a", "destination:/queue/q", "ack:client-individual")
	g := mid.wantBodies("x", "x")
	require.Empty(t, g[0].Get("ack"))
	mid.frame("ACK", "message-id:"+g[1].Get("message-id"))
	mid.wantError("no subscription")
	mid.frame("ACK", "subscription:a", "message-id:"+g[1].Get("message-id"), "receipt:3")
	mid.wantReceipt("3")
	mid.frame("NACK", "subscription:a", "message-id:"+g[0].Get("message-id"))
	require.Equal(t, "true", mid.wantBodies("x")[0].Get("redelivered"))
}
