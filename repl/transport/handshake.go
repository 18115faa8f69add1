package transport

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"baton/repl/wire"
	"baton/store/record"
)

// Identity is who a node says it is, and the token that proves it.
type Identity struct {
	ClusterID   string
	Node        string
	Incarnation string
	Token       []byte // shared by the cluster; empty on all nodes or on none
}

// idMax bounds an id in bytes.
const idMax = 255

// ErrIdentity means that an identity is incomplete or too long.
var ErrIdentity = errors.New("transport: bad identity")

// Validate checks the ids. An empty cluster id matches only another empty one.
func (id Identity) Validate() error {
	if id.Node == "" || len(id.Node) > idMax || len(id.ClusterID) > idMax || len(id.Incarnation) > idMax {
		return fmt.Errorf("%w: node %q, cluster %q, incarnation %q: a node id is needed, none may exceed %d bytes",
			ErrIdentity, id.Node, id.ClusterID, id.Incarnation, idMax)
	}
	return nil
}

// Peer is a node that has proved that it knows the token.
type Peer struct {
	Node        string
	Incarnation string
	Epoch       record.Epoch // what it has sealed, or leads
}

// Options of both sides of a handshake.
type Options struct {
	Identity  Identity
	Epoch     record.Epoch  // goes into the header of what is sent
	Handshake time.Duration // bound of the whole handshake
	Idle      time.Duration // afterwards: longest silence of the peer
}

// Accept runs the leader's side on a connection that was accepted. On success
// the caller owns the Conn; on any error nc is closed. A *RefusedError has
// been told to the peer, or came from it.
func Accept(nc net.Conn, o Options) (*Conn, Peer, error) {
	c, idle, err := newConn(nc, o.Handshake)
	if err != nil {
		nc.Close()
		return nil, Peer{}, err
	}
	p, err := c.accept(o)
	if err != nil {
		return nil, p, c.fail(o.Epoch, err)
	}
	return c, p, c.proven(idle, o.Idle)
}

func (c *Conn) accept(o Options) (Peer, error) {
	helloEpoch, hello, helloBody, err := expect[wire.Hello](c)
	if err != nil {
		return Peer{}, err
	}
	p := Peer{Node: hello.Node, Incarnation: hello.Incarnation, Epoch: helloEpoch}
	if hello.ClusterID != o.Identity.ClusterID {
		return p, refuse(wire.CodeCluster, "node %s belongs to cluster %q, node %s to %q: they cannot replicate",
			hello.Node, hello.ClusterID, o.Identity.Node, o.Identity.ClusterID)
	}
	if hello.Leader != o.Identity.Node {
		return p, refuse(wire.CodeWrongNode, "node %s looks for node %s but this address is node %s's: check the published addresses",
			hello.Node, hello.Leader, o.Identity.Node)
	}
	if hello.Node == o.Identity.Node {
		return p, refuse(wire.CodeStranger, "node id %s is in use by both ends: give each node an id of its own", hello.Node)
	}
	ch := wire.Challenge{ClusterID: o.Identity.ClusterID, Node: o.Identity.Node, Nonce: nonce()}
	frame := wire.AppendFrame(nil, o.Epoch, ch)
	if _, err := c.nc.Write(frame); err != nil {
		return p, fmt.Errorf("send challenge: %w", err)
	}
	t := transcript{helloEpoch, helloBody, o.Epoch, frame[wire.HeaderSize:]}
	_, proof, _, err := expect[wire.Proof](c)
	if err != nil {
		return p, err
	}
	if mac := t.mac(o.Identity.Token, "follower"); !hmac.Equal(proof.MAC[:], mac[:]) {
		return p, refuseToken(hello.Node, o.Identity.Node)
	}
	if err := c.Send(o.Epoch, wire.Welcome{MAC: t.mac(o.Identity.Token, "leader")}); err != nil {
		return p, fmt.Errorf("send welcome: %w", err)
	}
	return p, nil
}

// Connect runs the follower's side on a connection that was dialled. leader is
// the node that is expected there. Errors and ownership are as for Accept.
func Connect(nc net.Conn, o Options, leader string) (*Conn, Peer, error) {
	c, idle, err := newConn(nc, o.Handshake)
	if err != nil {
		nc.Close()
		return nil, Peer{}, err
	}
	p, err := c.connect(o, leader)
	if err != nil {
		return nil, p, c.fail(o.Epoch, err)
	}
	return c, p, c.proven(idle, o.Idle)
}

func (c *Conn) connect(o Options, leader string) (Peer, error) {
	id := o.Identity
	hello := wire.AppendFrame(nil, o.Epoch, wire.Hello{ClusterID: id.ClusterID, Node: id.Node,
		Incarnation: id.Incarnation, Leader: leader, Nonce: nonce()})
	if _, err := c.nc.Write(hello); err != nil {
		return Peer{}, fmt.Errorf("send hello: %w", err)
	}
	epoch, ch, chBody, err := expect[wire.Challenge](c)
	if err != nil {
		return Peer{}, err
	}
	p := Peer{Node: ch.Node, Epoch: epoch}
	if ch.ClusterID != id.ClusterID {
		return p, refuse(wire.CodeCluster, "node %s belongs to cluster %q, node %s to %q: they cannot replicate",
			ch.Node, ch.ClusterID, id.Node, id.ClusterID)
	}
	if ch.Node != leader {
		return p, refuse(wire.CodeWrongNode, "node %s looks for node %s but reached node %s: check the published addresses",
			id.Node, leader, ch.Node)
	}
	t := transcript{o.Epoch, hello[wire.HeaderSize:], epoch, chBody}
	if err := c.Send(o.Epoch, wire.Proof{MAC: t.mac(id.Token, "follower")}); err != nil {
		return p, fmt.Errorf("send proof: %w", err)
	}
	_, welcome, _, err := expect[wire.Welcome](c)
	if err != nil {
		return p, err
	}
	if mac := t.mac(id.Token, "leader"); !hmac.Equal(welcome.MAC[:], mac[:]) {
		return p, refuseToken(ch.Node, id.Node)
	}
	return p, nil
}

// proven switches from the handshake's deadline to the idle timeout.
func (c *Conn) proven(r *idleReader, idle time.Duration) error {
	c.frames.Proven()
	r.idle = idle
	if err := c.nc.SetDeadline(time.Time{}); err != nil {
		c.Close()
		return fmt.Errorf("clear handshake deadline: %w", err)
	}
	return nil
}

// fail closes the connection; it first tells the peer what it can act on.
func (c *Conn) fail(epoch record.Epoch, err error) error {
	var r *RefusedError
	var v *wire.VersionError
	switch {
	case errors.As(err, &r) && !r.ByPeer:
		return c.Refuse(epoch, r.Refuse)
	case errors.As(err, &v):
		// Both ends see the other's version in whatever frame they get.
		return c.Refuse(epoch, wire.Refuse{Code: wire.CodeVersion, Text: v.Error()})
	}
	c.Close()
	return err
}

// expect reads the one frame that may come now, or a refusal.
func expect[T wire.Body](c *Conn) (record.Epoch, T, []byte, error) {
	var none T
	f, err := c.frames.Next()
	if err != nil {
		return 0, none, nil, fmt.Errorf("read %s: %w", none.Type(), err)
	}
	b, err := f.Parse()
	if err != nil {
		return 0, none, nil, err
	}
	switch b := b.(type) {
	case T:
		return f.Epoch, b, append([]byte(nil), f.Body...), nil
	case wire.Refuse:
		return 0, none, nil, &RefusedError{Refuse: b, ByPeer: true}
	}
	return 0, none, nil, refuse(wire.CodeProtocol, "a %s frame came where a %s frame belongs", f.Type, none.Type())
}

func refuse(code wire.Code, format string, args ...any) *RefusedError {
	return &RefusedError{Refuse: wire.Refuse{Code: code, Text: fmt.Sprintf(format, args...)}}
}

func refuseToken(theirs, ours string) *RefusedError {
	return refuse(wire.CodeToken, "nodes %s and %s do not have the same cluster token: give both the same token file", theirs, ours)
}

// transcript is what both proofs cover.
type transcript struct {
	helloEpoch     record.Epoch
	hello          []byte
	challengeEpoch record.Epoch
	challenge      []byte
}

func (t transcript) mac(token []byte, side string) (out [wire.MACSize]byte) {
	m := hmac.New(sha256.New, token)
	b := append([]byte("baton replication "+side), wire.Version)
	b = binary.LittleEndian.AppendUint64(b, uint64(t.helloEpoch))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(t.hello)))
	b = append(b, t.hello...)
	b = binary.LittleEndian.AppendUint64(b, uint64(t.challengeEpoch))
	b = append(b, t.challenge...)
	m.Write(b)
	m.Sum(out[:0])
	return out
}

func nonce() (n [wire.NonceSize]byte) {
	rand.Read(n[:]) // never fails: crypto/rand ends the program instead
	return n
}
