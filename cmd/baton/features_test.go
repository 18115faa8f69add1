package main_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/demo/cluster"
	"baton/node/adminapi"
	"baton/node/client"
	"baton/node/nodetest"
	"baton/node/stomp"
)

// failOver kills the process of the leader, waits until another serves and
// starts the killed one again.
func failOver(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	require.NoError(t, c.WaitHealthy(within(t))) // so that the two others are a quorum
	old := leaderOf(t, c)
	require.NoError(t, c.Kill(old))
	await(t, "another node serves", func() bool {
		next, err := c.Leader(context.Background())
		return err == nil && next != old
	})
	require.NoError(t, c.Start(old))
}

// connect dials whoever serves. headers are added to CONNECT.
func connect(t *testing.T, c *cluster.Cluster, headers ...string) *nodetest.Conn {
	t.Helper()
	var conn *nodetest.Conn
	await(t, "a node serves", func() (ok bool) {
		var err error
		conn, err = nodetest.Dial(c.StompAddresses(), headers...)
		return err == nil
	})
	t.Cleanup(conn.Close)
	return conn
}

func take(t *testing.T, conn *nodetest.Conn) *stomp.Frame {
	t.Helper()
	f, err := conn.Next()
	require.NoError(t, err)
	require.Equal(t, "MESSAGE", f.Command, f.Get("message"))
	return f
}

func ackOf(t *testing.T, conn *nodetest.Conn, f *stomp.Frame) {
	t.Helper()
	require.NoError(t, conn.Ask("ACK", "", "id:"+f.Get("ack")))
}

// consume subscribes with acknowledgement of each message.
func consume(t *testing.T, conn *nodetest.Conn, destination string, headers ...string) {
	t.Helper()
	require.NoError(t, conn.Ask("SUBSCRIBE", "", append([]string{"id:" + destination, "destination:" + destination, "ack:client-individual"}, headers...)...))
}

// What is published to a topic while a durable subscriber is away, and while
// leaders are killed, comes to it once and in order.
func TestDurableSubscriptionThroughKilledLeaders(t *testing.T) {
	c := launch(t, nil)
	const messages, kills = 600, 2
	durable := []string{"activemq.subscriptionName:news", "selector:n >= 0"}
	me := connect(t, c, "client-id:me")
	consume(t, me, "/topic/news.>", durable...)
	me.Close()

	p, err := client.New(client.Config{Addresses: c.StompAddresses(), Resend: true})
	require.NoError(t, err)
	defer p.Close()
	sent := make(chan int, messages)
	failed := make(chan error, 1)
	go func() {
		defer close(sent)
		for i := range messages {
			for n, body := range map[string]string{"-1": "unwanted", "1": fmt.Sprint(i)} {
				if _, err := p.Send(context.Background(), "/topic/news.today", "", []byte(body), map[string]string{"n": n}); err != nil {
					failed <- err
					return
				}
			}
			sent <- i
		}
	}()
	for i := range sent {
		if i%(messages/(kills+1)) == messages/(2*kills+2) && i > 0 {
			failOver(t, c)
		}
	}
	require.Empty(t, failed)
	failOver(t, c) // it is away, all is published

	me = connect(t, c, "client-id:me")
	consume(t, me, "/topic/news.>", durable...)
	for i := range messages {
		f := take(t, me)
		require.Equal(t, []string{fmt.Sprint(i), "/topic/news.today"}, []string{string(f.Body), f.Get("destination")})
		ackOf(t, me, f)
	}
	require.NoError(t, me.Ask("SEND", "last", "destination:/topic/news.today", "n:0"))
	require.Equal(t, "last", string(take(t, me).Body), "each came once")
	chainsEqual(t, c)
}

// How often a message came back is known to the next leader, and the next: it
// counts to the maximum, and the dead letter says where it comes from and why.
func TestRedeliveryCountsThroughKilledLeaders(t *testing.T) {
	file := filepath.Join(t.TempDir(), "node.yaml")
	require.NoError(t, os.WriteFile(file, []byte("destinations:\n- match: /queue/work\n  redelivery: {max: 3, delay: 10ms}\n"), 0o600))
	c := launch(t, func(cfg *cluster.Config) { cfg.NodeArgs = []string{"--config", file} })
	conn := connect(t, c)
	require.NoError(t, conn.Ask("SEND", "poison", "destination:/queue/work", "kind:bad"))
	redeliveries := func() (n uint32) {
		api := adminapi.Client{Address: c.AdminAddresses()[leaderOf(t, c)]}
		page, err := api.Browse(within(t), "work", adminapi.Browse{})
		if err == nil && len(page.Messages) == 1 {
			n = page.Messages[0].Redeliveries
		}
		return n
	}
	for came := uint32(1); came <= 4; came++ { // at first, and three times again
		consume(t, conn, "/queue/work")
		f := take(t, conn)
		want := []string{"poison", "", ""}
		if came > 1 {
			want = []string{"poison", "true", fmt.Sprint(came)}
		}
		require.Equal(t, want, []string{string(f.Body), f.Get("redelivered"), f.Get("JMSXDeliveryCount")})
		require.NoError(t, conn.Write("NACK", "", "id:"+f.Get("ack")))
		require.NoError(t, conn.Ask("UNSUBSCRIBE", "", "id:/queue/work"))
		if came < 4 {
			await(t, "the count is in the log", func() bool { return redeliveries() == came })
			failOver(t, c)
			require.Equal(t, came, redeliveries(), "the next leader knows it")
			conn = connect(t, c)
		}
	}
	await(t, "it is dead", func() bool { return depth(t, c, "DLQ") == 1 && depth(t, c, "work") == 0 })
	failOver(t, c)
	conn = connect(t, c)
	consume(t, conn, "/queue/DLQ")
	f := take(t, conn)
	require.Equal(t, []string{"poison", "bad", "/queue/work", "4"},
		[]string{string(f.Body), f.Get("kind"), f.Get("original-destination"), f.Get("dead-letter-redeliveries")})
	require.NotEmpty(t, f.Get("dlqDeliveryFailureCause"))
	t.Logf("cause: %s", f.Get("dlqDeliveryFailureCause"))
	ackOf(t, conn, f)
	require.Zero(t, depth(t, c, "work"))
	chainsEqual(t, c)
}

// groupDelivery is a message that came to a consumer, and whether its
// acknowledgement was confirmed.
type groupDelivery struct {
	consumer    int
	group, body string
	confirmed   bool
}

// consumeGroups has consumers take and acknowledge messages one by one, most of
// them, until enough is true and none is between a message and its record. What
// enough is told is how many acknowledgements were confirmed.
func consumeGroups(t *testing.T, conns []*nodetest.Conn, most int, enough func(confirmed int) bool) []groupDelivery {
	t.Helper()
	var mu sync.Mutex
	var all []groupDelivery
	confirmed, busy := 0, 0
	begin := func() bool {
		mu.Lock()
		defer mu.Unlock()
		busy++
		return confirmed+busy <= most
	}
	end := func(d groupDelivery) {
		mu.Lock()
		defer mu.Unlock()
		all, busy = append(all, d), busy-1
		if d.confirmed {
			confirmed++
		}
	}
	for i, conn := range conns {
		consume(t, conn, "/queue/groups", "activemq.prefetchSize:1")
		go func() { // ends with the connection
			for {
				f, err := conn.Next()
				if err != nil || f.Command != "MESSAGE" || !begin() {
					return
				}
				err = conn.Ask("ACK", "", "id:"+f.Get("ack"))
				end(groupDelivery{i, f.Get("JMSXGroupID"), string(f.Body), err == nil})
				if err != nil {
					return
				}
			}
		}()
	}
	await(t, "messages are acknowledged", func() bool {
		mu.Lock()
		n := confirmed
		mu.Unlock()
		if !enough(n) {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		return busy == 0 || confirmed >= most
	})
	mu.Lock()
	defer mu.Unlock()
	return append([]groupDelivery(nil), all...)
}

// soleConsumers checks that each group came to one consumer, from the message
// first on and in order, and returns how far it came for certain.
func soleConsumers(t *testing.T, all []groupDelivery, from map[string]int) map[string]int {
	t.Helper()
	owner, next, sure := map[string]int{}, map[string]int{}, map[string]int{}
	for _, d := range all {
		if _, ok := owner[d.group]; !ok {
			owner[d.group], next[d.group] = d.consumer, from[d.group]
		}
		require.Equal(t, owner[d.group], d.consumer, "group %s", d.group)
		require.Equal(t, fmt.Sprint(next[d.group]), d.body, "group %s", d.group)
		next[d.group]++
		if d.confirmed {
			sure[d.group] = next[d.group]
		}
	}
	return sure
}

// Groups and exclusive consumers are an order among consumers, which the next
// leader makes anew: each group goes on with one consumer where it was, and of
// exclusive consumers one gets everything.
func TestConsumersOfAQueueThroughAKilledLeader(t *testing.T) {
	c := launch(t, nil)
	p := connect(t, c)
	const groups, messages = 4, 50
	require.NoError(t, p.Write("BEGIN", "", "transaction:t"))
	for i := range messages {
		for g := range groups {
			require.NoError(t, p.Write("SEND", fmt.Sprint(i), "destination:/queue/groups", "transaction:t", fmt.Sprint("JMSXGroupID:", g)))
		}
	}
	for i := range 3 {
		require.NoError(t, p.Write("SEND", fmt.Sprint(i), "destination:/queue/alone", "transaction:t"))
	}
	require.NoError(t, p.Ask("COMMIT", "", "transaction:t"))
	first, second := connect(t, c), connect(t, c)
	consume(t, first, "/queue/alone", "activemq.exclusive:true")
	consume(t, second, "/queue/alone", "activemq.exclusive:true")
	ackOf(t, first, take(t, first)) // 1 and 2 are pending when the leader dies

	conns := []*nodetest.Conn{connect(t, c), connect(t, c)}
	const half = groups * messages / 2 // what comes after is pending when the leader dies
	before := consumeGroups(t, conns, half, func(n int) bool { return n >= half })
	failOver(t, c)
	reached := soleConsumers(t, before, map[string]int{})

	after := []*nodetest.Conn{connect(t, c), connect(t, c), connect(t, c)}
	t.Run("groups", func(t *testing.T) {
		all := consumeGroups(t, after, groups*messages, func(int) bool { return depth(t, c, "groups") == 0 })
		from := map[string]int{}
		for _, d := range all {
			if _, ok := from[d.group]; !ok {
				n, err := strconv.Atoi(d.body)
				require.NoError(t, err)
				from[d.group] = n
				require.Equal(t, reached[d.group], n, "what was acknowledged is gone, and no more, of group %s", d.group)
			}
		}
		for g, n := range soleConsumers(t, all, from) {
			require.Equal(t, messages, n, "group %s", g)
		}
	})
	t.Run("exclusive", func(t *testing.T) {
		third, fourth := connect(t, c), connect(t, c)
		consume(t, third, "/queue/alone", "activemq.exclusive:true")
		consume(t, fourth, "/queue/alone", "activemq.exclusive:true")
		for _, want := range []string{"1", "2"} {
			f := take(t, third)
			require.Equal(t, want, string(f.Body))
			ackOf(t, third, f)
		}
		third.Close()
		require.NoError(t, connect(t, c).Ask("SEND", "next", "destination:/queue/alone"))
		require.Equal(t, "next", string(take(t, fourth).Body), "it had nothing before")
	})
	chainsEqual(t, c)
}

// What a producer cannot know to be stored it sends again under the same name,
// to the next leader: it is stored once. Without a name it is up to chance.
func TestResentAfterAKilledLeaderIsStoredOnce(t *testing.T) {
	c := launch(t, nil)
	const rounds, ahead = 3, 200
	for round := range rounds {
		conn := connect(t, c)
		require.NoError(t, c.WaitHealthy(within(t)))
		leader := leaderOf(t, c)
		name := func(i int) string { return fmt.Sprintf("%d-%d", round, i) }
		for i := range ahead { // nobody waits for receipts: some of it is stored when the leader dies
			if i == ahead/2 {
				_, err := conn.Await("RECEIPT")
				require.NoError(t, err)
				require.NoError(t, c.Kill(leader))
			}
			if err := conn.Write("SEND", name(i), "destination:/queue/once", "baton-dedup-id:"+name(i), "receipt:"+name(i)); err != nil {
				break
			}
		}
		confirmed := map[string]bool{}
		for {
			f, err := conn.Await("RECEIPT")
			if err != nil {
				break
			}
			confirmed[f.Get("receipt-id")] = true
		}
		conn = connect(t, c)
		for i := range ahead {
			if i%2 == 0 || !confirmed[name(i)] { // the others are confirmed, and must be there
				require.NoError(t, conn.Ask("SEND", name(i), "destination:/queue/once", "baton-dedup-id:"+name(i)))
			}
		}
		t.Logf("round %d: %d of %d had their receipt when the leader died", round, len(confirmed)+1, ahead)
		require.NoError(t, c.Start(leader))
	}
	require.NoError(t, c.WaitHealthy(within(t)))
	received := drain(t, c, "once")
	require.Len(t, received, rounds*ahead)
	for body, n := range received {
		require.Equal(t, 1, n, body)
	}
	chainsEqual(t, c)
}

// A temporary queue is gone with its connection, and so with the leader. A
// question that was asked before is still there; its answer is refused with a
// sentence, and whoever asked asks again.
func TestReplyToOverAKilledLeader(t *testing.T) {
	c := launch(t, nil)
	asks := connect(t, c)
	consume(t, asks, "/temp-queue/mine")
	require.NoError(t, asks.Ask("SEND", "question", "destination:/queue/questions", "reply-to:/temp-queue/mine", "baton-dedup-id:q1"))
	failOver(t, c)
	_, err := asks.Next()
	require.Error(t, err, "the connection is lost")

	answers := connect(t, c)
	consume(t, answers, "/queue/questions")
	f := take(t, answers)
	require.Equal(t, "question", string(f.Body))
	require.ErrorContains(t, answers.Ask("SEND", "answer", "destination:"+f.Get("reply-to")), "there is no such temporary destination; its connection may have ended")
	ackOf(t, answers, f)

	asks = connect(t, c)
	consume(t, asks, "/temp-queue/mine")
	require.NoError(t, asks.Ask("SEND", "question again", "destination:/queue/questions", "reply-to:/temp-queue/mine", "baton-dedup-id:q2"))
	again := take(t, answers)
	require.NotEqual(t, f.Get("reply-to"), again.Get("reply-to"))
	require.NoError(t, answers.Ask("SEND", "answer", "destination:"+again.Get("reply-to")))
	require.Equal(t, "answer", string(take(t, asks).Body))
}
