package rpc

import (
	"cmp"
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

// What the calls under way on one connection may have sent us together, in
// bytes as they come over the wire. Whoever has shown no certificate of ours is a
// stranger: an enrolment and a sign-in have less than 2 KB, and 16 may come at once.
const (
	strangerMay = 32 << 10
	laptopMay   = 128 << 10
	gatewayMay  = 256 << 10 // 2,000 sessions in one observation have 100 KB
	// window is what the transport takes in of a stream before anybody reads it.
	// It does not grow: with windows that follow the speed of a line, a fast
	// client has 16 MB of them a stream. Whoever reads a message makes room for
	// the whole of it, so large ones are not slower for that.
	window = 64<<10 - 1
	// roomWithin is how long a connection that has used its room up is not read,
	// while it is found out who calls, and what was refused ends. Then it ends.
	roomWithin = 10 * time.Second
)

var errNoRoom = errors.New("more was sent than the calls under way may hold")

// intake is a connection that is read no further than its calls have room for.
// What was read lies in our memory until the calls have ended, wherever it is:
// unread, half a message, or a message that waits for its turn. So it is
// counted where it comes in: what came since the oldest of the calls began is
// all that there can be.
type intake struct {
	net.Conn
	closed chan struct{}
	close  func()

	mu      sync.Mutex
	room    int   // for all calls together
	total   int64 // that was read
	calls   []*call
	changed chan struct{} // closed, and made anew, when a call has moved on
}

// call is one call's part in the intake of its connection.
type call struct {
	in     *intake
	from   int64  // what was read before it began, or before its last message
	opened int    // room that was made for it
	let    bool   // it was found out who calls, and let through
	refuse func() // ends its taking in, with a refusal; idempotent; nil: it cannot be, or takes in nothing
}

type callKey struct{}

func newIntake() *intake {
	closed := make(chan struct{})
	return &intake{closed: closed, close: sync.OnceFunc(func() { close(closed) }), room: strangerMay, changed: make(chan struct{})}
}

// Close implements net.Conn.
func (in *intake) Close() error {
	in.close()
	return in.Conn.Close()
}

// Read implements net.Conn. It waits while there is no room.
func (in *intake) Read(b []byte) (int, error) {
	room, err := in.wait()
	if err != nil {
		return 0, err
	}
	n, err := in.Conn.Read(b[:min(len(b), room)])
	in.mu.Lock()
	defer in.mu.Unlock()
	in.total += int64(n)
	return n, err
}

// wait gives the room there is, as soon as there is some.
func (in *intake) wait() (room int, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if room = in.left(); room > 0 {
		return room, nil
	}
	timer := time.NewTimer(roomWithin)
	defer timer.Stop()
	for ; room <= 0; room = in.left() {
		if c := in.oldest(); c.let && c.refuse != nil && c.opened == 0 {
			c.refuse() // else it is waited for until it is known who calls, or until it ends
		}
		changed := in.changed
		in.mu.Unlock()
		select {
		case <-changed:
		case <-in.closed:
			err = net.ErrClosed
		case <-timer.C:
			err = errNoRoom
		}
		in.mu.Lock()
		if err != nil {
			return 0, err
		}
	}
	return room, nil
}

// left is the room there is now. in.mu is held.
func (in *intake) left() int {
	if len(in.calls) == 0 {
		return in.room
	}
	return in.room - int(in.total-in.oldest().from)
}

// oldest is the call that began first. There must be one. in.mu is held.
func (in *intake) oldest() *call {
	return slices.MinFunc(in.calls, func(a, b *call) int { return cmp.Compare(a.from, b.from) })
}

func (in *intake) moved() {
	close(in.changed)
	in.changed = make(chan struct{})
}

// begin enters a call, which leaves when its stream ends.
func (in *intake) begin(ctx context.Context) context.Context {
	in.mu.Lock()
	c := &call{in: in, from: in.total}
	in.calls = append(in.calls, c)
	in.mu.Unlock()
	context.AfterFunc(ctx, c.end)
	return context.WithValue(ctx, callKey{}, c)
}

func (c *call) end() {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	c.in.calls = slices.DeleteFunc(c.in.calls, func(o *call) bool { return o == c })
	c.in.room -= c.opened
	c.in.moved()
}

// takes says that a call was let through and takes messages in now, with room
// of its own for so many bytes. refuse ends that. done: it takes in nothing more.
func (c *call) takes(room int, refuse func()) (done func()) {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	c.let, c.refuse, c.opened = true, refuse, room
	c.in.room += room
	c.in.moved()
	return func() {
		c.in.mu.Lock()
		defer c.in.mu.Unlock()
		c.refuse = nil
	}
}

// took says that a stream has taken a message in. What is left of what came
// before that is less than a window.
func (c *call) took() {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	c.from = c.in.total
	c.in.moved()
}

// callOf finds the call of a context.
func callOf(ctx context.Context) (*call, error) {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c, nil
	}
	return nil, errors.New("a call that was not entered at the door")
}

// takeIn takes the one message of a unary call in.
func takeIn(ctx context.Context, room int, receive func() error) error {
	c, err := callOf(ctx)
	if err != nil {
		return err
	}
	tooMuch := make(chan struct{})
	defer c.takes(room, sync.OnceFunc(func() { close(tooMuch) }))()
	received := make(chan error, 1)
	go func() { received <- receive() }()
	select {
	case err := <-received:
		return err
	case <-tooMuch: // whoever receives ends with the call
		return provisioner.Refuse(provisioner.CodeTooLarge)
	}
}

// mayHold is the room that a caller has by certificate.
func mayHold(a provisioner.Actor) int {
	switch {
	case a.Has(provisioner.RoleGateway):
		return gatewayMay
	case a.Has(provisioner.RoleDevice):
		return laptopMay
	default:
		return strangerMay
	}
}

// opensFor is the room for one message of a call beyond that: only declarations
// are large.
func opensFor(a provisioner.Action) int {
	if a == provisioner.ActionApply || a == provisioner.ActionDiff {
		return maxUnread
	}
	return 0
}
