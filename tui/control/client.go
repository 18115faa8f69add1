package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
)

// Client asks the server at a socket.
type Client struct{ Path string }

// answerMax bounds an answer, in bytes.
const answerMax = 1 << 20

// Do has a verb done, or forecast.
func (c Client) Do(ctx context.Context, r Request) (Answer, error) {
	var a Answer
	b, err := json.Marshal(r)
	if err != nil {
		return a, err
	}
	return a, c.call(ctx, http.MethodPost, "/v1/do", bytes.NewReader(b), &a)
}

// State tells what can be acted on.
func (c Client) State(ctx context.Context) (State, error) {
	var s State
	return s, c.call(ctx, http.MethodGet, "/v1/state", http.NoBody, &s)
}

func (c Client) call(ctx context.Context, method, path string, body io.Reader, into any) error {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", c.Path)
	}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, method, "http://demo"+path, body)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%w: nobody listens at %s", ErrNoCluster, c.Path)
	}
	if err != nil {
		return fmt.Errorf("ask the demo at %s: %w", c.Path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, answerMax))
	if err != nil {
		return fmt.Errorf("ask the demo at %s: %w", c.Path, err)
	}
	if resp.StatusCode != http.StatusOK {
		return refusal(resp.StatusCode, b)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("read the answer of the demo at %s: %w", c.Path, err)
	}
	return nil
}

// refusal is the error that the server told, of the same kind.
func refusal(code int, body []byte) error {
	var f failure
	if json.Unmarshal(body, &f) != nil || f.Error == "" {
		f.Error = http.StatusText(code)
	}
	kind := ErrNotNow
	if code == http.StatusBadRequest {
		kind = ErrVerb
	}
	if rest, ok := strings.CutPrefix(f.Error, kind.Error()+": "); ok {
		return fmt.Errorf("%w: %s", kind, rest)
	}
	return errors.New(f.Error)
}
