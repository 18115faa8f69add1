package admin_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/node/admin"
	"baton/node/adminapi"
)

// fakeOperator notes what it is asked.
type fakeOperator struct {
	queue, after, name string
	limit, body        int
	published          adminapi.Publish
	move               adminapi.Move
	progress           []adminapi.Progress
	err                error
}

func (f *fakeOperator) Browse(_ context.Context, queue string, o adminapi.Browse) (adminapi.Page, error) {
	f.queue, f.after, f.limit, f.body = queue, o.After, o.Limit, o.Body
	return adminapi.Page{Messages: []adminapi.Message{{Ref: "4-1", Text: "hello"}}, Next: "4-1"}, f.err
}

func (f *fakeOperator) Publish(_ context.Context, queue string, m adminapi.Publish) (string, error) {
	f.queue, f.published = queue, m
	return "ID-1", f.err
}

func (f *fakeOperator) Purge(_ context.Context, queue string, tell func(adminapi.Progress)) (p adminapi.Progress, err error) {
	f.queue = queue
	for _, p = range f.progress {
		tell(p)
	}
	return p, f.err
}

func (f *fakeOperator) Move(_ context.Context, queue string, m adminapi.Move, tell func(adminapi.Progress)) (adminapi.Progress, error) {
	f.move = m
	return f.Purge(nil, queue, tell)
}

func (f *fakeOperator) DeleteQueue(_ context.Context, queue string) error {
	f.queue = queue
	return f.err
}

func (f *fakeOperator) Subscriptions() ([]adminapi.Subscription, error) { return nil, f.err }

func (f *fakeOperator) Unsubscribe(_ context.Context, client, name string) error {
	f.queue, f.name = client, name
	return f.err
}

func TestMessages(t *testing.T) {
	f := &fakeOperator{}
	c, _ := startWith(t, &fakeNode{}, f, "secret")
	c.Token = "secret"
	ctx := t.Context()
	page, err := c.Browse(ctx, "q", adminapi.Browse{})
	require.NoError(t, err)
	require.Equal(t, "hello", page.Messages[0].Text)
	require.Equal(t, []int{adminapi.BrowseLimit, adminapi.BrowseBody}, []int{f.limit, f.body})
	_, err = c.Browse(ctx, "q", adminapi.Browse{After: "4-7", Limit: 3, Body: -1})
	require.NoError(t, err)
	require.Equal(t, []any{"4-7", 3, 0}, []any{f.after, f.limit, f.body})
	for _, b := range []adminapi.Browse{{Limit: adminapi.BrowseLimitMax + 1}, {Limit: -1}, {Body: adminapi.BrowseBodyMax + 1}} {
		_, err = c.Browse(ctx, "q", b)
		require.ErrorContains(t, err, "it is a number from 0 to")
	}

	seven := uint8(7)
	want := adminapi.Publish{Text: "body", Priority: &seven, DedupID: "d", Headers: []adminapi.Header{{Name: "a", Value: "b"}}}
	id, err := c.Publish(ctx, "q", want)
	require.NoError(t, err)
	require.Equal(t, "ID-1", id)
	require.Equal(t, want, f.published)
	_, err = c.Publish(ctx, "q", adminapi.Publish{Text: "a", Body: []byte("b")})
	require.ErrorContains(t, err, "both")
	_, err = c.Publish(ctx, "q", adminapi.Publish{Text: strings.Repeat("x", adminapi.PublishMax)})
	require.ErrorContains(t, err, "more than")

	for _, m := range []adminapi.Move{{}, {All: true, Refs: []string{"4-1"}}} {
		_, err = c.MoveMessages(ctx, "q", m, nil)
		require.ErrorContains(t, err, "say which messages")
	}
	_, err = c.MoveMessages(ctx, "q", adminapi.Move{To: "r", Refs: []string{"4-1"}}, nil)
	require.NoError(t, err)
	require.Equal(t, adminapi.Move{To: "r", Refs: []string{"4-1"}}, f.move)
	require.NoError(t, c.DeleteQueue(ctx, "q"))
	subs, err := c.Subscriptions(ctx)
	require.NoError(t, err)
	require.NotNil(t, subs, "an empty list, not null")
}

// TestQueueNamesMayHoldAnything: what a client can name, and what the broker
// names itself, gets through.
func TestQueueNamesMayHoldAnything(t *testing.T) {
	f := &fakeOperator{}
	c, _ := startWith(t, &fakeNode{}, f, "")
	for _, name := range []string{"q", "a/b", "/", "a//b/", ".", "..", "../..", "a%2Fb", "%", "a b", "a+b", "a?b=c", "a#b", "ä€", "a\x00b", "\x02c\x00n\x007",
		"messages", "a;b", "a&b", `a\b`, "*", "{queue}", "~", "~/", "~a", "~~", strings.Repeat("x", 1024)} {
		_, err := c.Browse(t.Context(), name, adminapi.Browse{})
		require.NoError(t, err, "%q", name)
		require.Equal(t, name, f.queue)
		_, err = c.Purge(t.Context(), name, nil)
		require.NoError(t, err, "%q", name)
		require.Equal(t, name, f.queue)
		f.queue = ""
		require.NoError(t, c.DeleteQueue(t.Context(), name), "%q", name)
		require.Equal(t, name, f.queue)
		require.NoError(t, c.Unsubscribe(t.Context(), name, name+"!"), "%q", name)
		require.Equal(t, []string{name, name + "!"}, []string{f.queue, f.name})
	}
}

func TestProgress(t *testing.T) {
	f := &fakeOperator{progress: []adminapi.Progress{{Done: 1, Total: 3}, {Done: 3, Total: 3}}}
	c, _ := startWith(t, &fakeNode{}, f, "")
	var last adminapi.Progress
	p, err := c.Purge(t.Context(), "q", func(p adminapi.Progress) { last = p })
	require.NoError(t, err)
	require.Equal(t, adminapi.Progress{Done: 3, Total: 3, Finished: true}, p)
	require.Equal(t, p, last)

	f.err = errors.New("it broke")
	_, err = c.Purge(t.Context(), "q", nil)
	require.ErrorContains(t, err, "stopped after 3 messages: it broke")
	f.progress, f.err = nil, &admin.Refusal{Status: http.StatusNotFound, Code: "no_queue", Err: f.err}
	_, err = c.Purge(t.Context(), "q", nil)
	require.ErrorContains(t, err, "it broke (404 Not Found)", "nothing was done: the status says so")
}

// TestMessagesNeedTheToken: reading messages does as well.
func TestMessagesNeedTheToken(t *testing.T) {
	f := &fakeOperator{}
	c, _ := startWith(t, &fakeNode{}, f, "secret")
	c.Token = "wrong"
	ctx := t.Context()
	_, browse := c.Browse(ctx, "q", adminapi.Browse{})
	_, publish := c.Publish(ctx, "q", adminapi.Publish{})
	_, purge := c.Purge(ctx, "q", nil)
	_, move := c.MoveMessages(ctx, "q", adminapi.Move{All: true}, nil)
	for _, err := range []error{browse, publish, purge, move, c.DeleteQueue(ctx, "q"), c.Unsubscribe(ctx, "c", "n")} {
		require.ErrorContains(t, err, "token")
	}
	require.Empty(t, f.queue)
}
