package admin_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/node/admin"
	"baton/node/adminapi"
	"baton/node/events"
)

type fakeNode struct {
	status   adminapi.Status
	to       string
	err      error
	shutdown chan struct{}
}

func (f *fakeNode) Status() adminapi.Status                     { return f.status }
func (f *fakeNode) Queues() []adminapi.Queue                    { return nil }
func (f *fakeNode) Transfer(_ context.Context, to string) error { f.to = to; return f.err }
func (f *fakeNode) Shutdown()                                   { close(f.shutdown) }

func start(t *testing.T, f *fakeNode, token string) (*adminapi.Client, *events.Ring) {
	return startWith(t, f, &fakeOperator{}, token)
}

func startWith(t *testing.T, f *fakeNode, o admin.Operator, token string) (*adminapi.Client, *events.Ring) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ring := events.New("n1", 16, nil)
	s := admin.Start(admin.Config{Listener: ln, Node: f, Operator: o, Events: ring, Token: token, Metrics: http.NotFoundHandler()})
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &adminapi.Client{Address: ln.Addr().String(), HTTP: &http.Client{Transport: tr}}, ring
}

func TestStatusAndQueues(t *testing.T) {
	c, _ := start(t, &fakeNode{status: adminapi.Status{Node: "n1", Role: adminapi.RoleLeader}}, "")
	s, err := c.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, "n1", s.Node)
	q, err := c.Queues(t.Context())
	require.NoError(t, err)
	require.NotNil(t, q, "an empty list, not null")
}

func TestEventsStreamOldAndNew(t *testing.T) {
	c, ring := start(t, &fakeNode{}, "")
	ring.Add("a", 1, "before")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var got []string
	err := c.Events(ctx, 0, func(e adminapi.Event) {
		got = append(got, e.Text)
		if len(got) == 1 {
			ring.Add("b", 1, "after")
		} else {
			cancel()
		}
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, []string{"before", "after"}, got)
}

func TestControlVerbs(t *testing.T) {
	f := &fakeNode{shutdown: make(chan struct{})}
	c, _ := start(t, f, "s3cret")
	t.Run("without the token", func(t *testing.T) {
		require.ErrorContains(t, c.Transfer(t.Context(), "n2"), "--token-file")
		require.Empty(t, f.to)
	})
	c.Token = "s3cret"
	t.Run("with the token", func(t *testing.T) {
		require.NoError(t, c.Transfer(t.Context(), "n2"))
		require.Equal(t, "n2", f.to)
	})
	t.Run("failure keeps its sentence", func(t *testing.T) {
		f.err = errors.New("n3 is not in sync")
		require.ErrorContains(t, c.Transfer(t.Context(), "n3"), "n3 is not in sync")
	})
	t.Run("from a web page", func(t *testing.T) {
		req, _ := http.NewRequest(http.MethodPost, "http://"+c.Address+"/v1/shutdown", nil)
		req.Header.Set("Origin", "http://evil.example")
		req.Header.Set("Authorization", "Bearer s3cret")
		resp, err := c.HTTP.Do(req)
		require.NoError(t, err)
		resp.Body.Close()
		require.Equal(t, http.StatusForbidden, resp.StatusCode)
	})
	t.Run("shutdown", func(t *testing.T) {
		require.NoError(t, c.Shutdown(t.Context()))
		<-f.shutdown
	})
}

func TestReady(t *testing.T) {
	f := &fakeNode{status: adminapi.Status{Role: adminapi.RoleElecting, State: adminapi.StateWaiting}}
	c, _ := start(t, f, "")
	get := func() int {
		resp, err := c.HTTP.Get("http://" + c.Address + "/readyz")
		require.NoError(t, err)
		resp.Body.Close()
		return resp.StatusCode
	}
	require.Equal(t, http.StatusServiceUnavailable, get())
	f.status.Role, f.status.State = adminapi.RoleLeader, adminapi.StateServing
	require.Equal(t, http.StatusOK, get())
	f.status = adminapi.Status{Role: adminapi.RoleFollower, Link: &adminapi.Link{Connected: true}}
	require.Equal(t, http.StatusOK, get())
}

func TestBadAfterIsRefused(t *testing.T) {
	c, _ := start(t, &fakeNode{}, "")
	resp, err := c.HTTP.Get("http://" + c.Address + "/v1/events?after=" + strings.Repeat("9", 40))
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusBadRequest, resp.StatusCode)
}
