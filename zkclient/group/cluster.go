package group

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"baton/zkclient"
)

// CreateCluster writes the cluster node for the first time, and the group's
// path with its parents if needed. It gives zkclient.ErrNodeExists if somebody
// was faster with other content. When the error is zkclient.ErrDisconnected, ctx
// has ended and the outcome is unknown.
func (g *Group) CreateCluster(ctx context.Context, c ClusterData) error {
	data, err := encodeCluster(c)
	if err != nil {
		return err
	}
	path := g.cfg.child(clusterName)
	return g.decide(ctx, data, zkclient.ErrNodeExists, func() error {
		_, err := g.cfg.Client.Create(ctx, path, data, zkclient.Persistent)
		if errors.Is(err, zkclient.ErrNoNode) {
			if err := g.cfg.Client.CreateAll(ctx, g.cfg.Path); err != nil {
				return err
			}
			_, err = g.cfg.Client.Create(ctx, path, data, zkclient.Persistent)
		}
		return err
	})
}

// WriteCluster replaces the cluster node if it has this version, which a
// Snapshot tells. It gives zkclient.ErrVersion if somebody was faster, and
// zkclient.ErrNoNode if there is none. When the error is
// zkclient.ErrDisconnected, ctx has ended and the outcome is unknown. Success
// after a lost reply may also mean that another wrote the very same content.
func (g *Group) WriteCluster(ctx context.Context, c ClusterData, version int32) error {
	data, err := g.encode(c, version)
	if err != nil {
		return err
	}
	return g.decide(ctx, data, zkclient.ErrVersion, func() error {
		_, err := g.cfg.Client.Set(ctx, g.cfg.child(clusterName), data, version)
		return err
	})
}

// WriteClusterNow is WriteCluster for what must not be written to a ZooKeeper
// that went back to an older copy, where the version may fit again: it sends one
// request, on the connection of the Snapshot with these Reads, or none. On
// zkclient.ErrDisconnected the outcome is unknown.
func (g *Group) WriteClusterNow(ctx context.Context, c ClusterData, version int32, reads uint64) error {
	data, err := g.encode(c, version)
	if err != nil {
		return err
	}
	g.mu.Lock()
	l := g.mu.link
	g.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if l.reads != reads {
		return fmt.Errorf("write %s: %w: the view is of an earlier connection", g.cfg.child(clusterName), zkclient.ErrDisconnected)
	}
	select {
	case <-l.detached:
		return fmt.Errorf("write %s: %w: the connection of the view is lost", g.cfg.child(clusterName), zkclient.ErrDisconnected)
	default:
	}
	go func() { // the request must not wait for the next connection
		select {
		case <-l.detached:
			cancel(zkclient.ErrDisconnected)
		case <-ctx.Done():
		}
	}()
	_, err = l.session.Set(ctx, g.cfg.child(clusterName), data, version)
	return err
}

// encode returns what is to be written in place of the cluster node with this
// version.
func (g *Group) encode(c ClusterData, version int32) ([]byte, error) {
	if version < 0 { // would be unconditional
		return nil, fmt.Errorf("write %s: %w: version %d", g.cfg.child(clusterName), zkclient.ErrVersion, version)
	}
	return encodeCluster(c)
}

// decide repeats a conditional write until its outcome is known. It may be
// repeated because only one attempt can succeed; when one is refused after
// another whose reply was lost, the content tells which of the two it was.
func (g *Group) decide(ctx context.Context, data []byte, conflict error, write func() error) error {
	lost := false
	for {
		err := write()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil || g.ctx.Err() != nil:
			return err
		case errors.Is(err, zkclient.ErrDisconnected) || errors.Is(err, zkclient.ErrSessionExpired):
			lost = true
		case lost && errors.Is(err, conflict):
			held, _, rerr := g.cfg.Client.Get(ctx, g.cfg.child(clusterName))
			if rerr == nil && bytes.Equal(held, data) {
				return nil
			}
			if rerr == nil || errors.Is(rerr, zkclient.ErrNoNode) || ctx.Err() != nil {
				return err
			}
		default:
			return err
		}
	}
}

func encodeCluster(c ClusterData) ([]byte, error) {
	data, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode cluster data: %w", err)
	}
	if len(data) > clusterBytesMax {
		return nil, fmt.Errorf("encode cluster data: %w: %d bytes", zkclient.ErrTooLarge, len(data))
	}
	return data, nil
}
