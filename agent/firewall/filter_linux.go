package firewall

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
)

const (
	table = "heimdraht"
	// ifnameSize is the kernel's room for an interface's name.
	ifnameSize = 16
	// elementsAtOnce go into one message, whose length has 16 bits.
	elementsAtOnce = 500
	// elementsAnew go into the transaction that makes the table; what is more
	// follows, and passes nothing until then.
	elementsAnew = 50_000
	// socketBuffer is room for a transaction of that size, and for what the
	// kernel tells of it.
	socketBuffer = 16 << 20
	// answerTime is how long the kernel may take for a transaction.
	answerTime = 30 * time.Second
)

// Filter is the table. Its methods but Lost are for one goroutine.
type Filter struct {
	setup Setup
	book  book
	made  bool // there is a table, as far as we have done it
	wrong bool // it may not be as the book says

	// swept: the kernel remembers no connections from before that nobody has the address of.
	swept bool

	conn  *nftables.Conn
	link  *netlink.Conn // of conn, for its deadline
	watch *watch
}

// Open prepares a filter for the network namespace of the calling thread.
// Whenever somebody else changes our table, lost is called from another
// goroutine, and must not block. The error wraps ErrUnusable.
func Open(lost func()) (*Filter, error) {
	f := &Filter{book: newBook()}
	var err error
	if f.watch, err = startWatch(lost); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnusable, failed(err))
	}
	if err := f.connect(); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrUnusable, err), f.watch.close())
	}
	return f, nil
}

// connect opens the socket through which the table is changed. What it changes
// is told from what others change by its port.
func (f *Filter) connect() error {
	conn, err := nftables.New(nftables.AsLasting(), nftables.WithSockOptions(func(c *netlink.Conn) error {
		f.link = c
		// Without the right to, there is less room; then much at once fails.
		_, _ = c.SetWriteBuffer(socketBuffer), c.SetReadBuffer(socketBuffer)
		return nil
	}))
	if err != nil {
		return fmt.Errorf("reaching the packet filter: %w", err)
	}
	f.conn = conn
	port, err := portOf(f.link)
	f.watch.own.Store(port)
	return err
}

// Configure makes the table what the setup says. Sessions keep their guards.
// The error wraps ErrUnusable.
func (f *Filter) Configure(s Setup) error {
	if len(s.Interface) >= ifnameSize || s.Interface == "" {
		return fmt.Errorf("%w: %q is no interface name", ErrUnusable, s.Interface)
	}
	if f.made && !f.wrong && f.setup.equal(s) {
		return nil
	}
	f.setup = s
	return f.anew()
}

// Apply changes what holds sessions. Before the first Configure it is what the
// table will begin with: until then the one of a former process holds. After an
// error it is not known what the table has of it; the next call makes it anew.
func (f *Filter) Apply(changes []Change) error {
	s := f.book.change(changes)
	switch {
	case !f.made:
		return nil
	case f.wrong:
		return f.anew()
	case s.none():
		return nil
	}
	t := f.objects()
	var errs []error
	for _, l := range s.newLists {
		errs = append(errs, f.addList(t, l))
	}
	for _, list := range t.elements(s.removed, nil) {
		errs = append(errs, f.conn.SetDeleteElements(list.set, list.elements))
	}
	for _, list := range t.elements(s.added, f.book.elements) {
		errs = append(errs, f.conn.SetAddElements(list.set, list.elements))
	}
	for _, l := range s.oldLists {
		errs = append(errs, f.removeList(t, l))
	}
	return f.commit(errs...)
}

// Lost reports whether somebody else has changed the table, or may have. It is
// safe for concurrent use.
func (f *Filter) Lost() bool { return f.watch.lost.Load() }

// Restore makes a table anew that is lost.
func (f *Filter) Restore() error {
	if !f.made {
		return nil
	}
	return f.anew()
}

// Close removes the table. Idempotent; nothing else may be called after it.
func (f *Filter) Close() error {
	if f.conn == nil {
		return nil
	}
	anew(f.conn, table)
	err := errors.Join(f.commit(), f.conn.CloseLasting(), f.watch.close())
	f.conn = nil
	return err
}

// Leave is Close but for the table, which goes on holding what it holds.
func (f *Filter) Leave() error {
	if f.conn == nil {
		return nil
	}
	err := errors.Join(f.conn.CloseLasting(), f.watch.close())
	f.conn = nil
	return err
}

// commit makes what was said so, all of it or nothing.
func (f *Filter) commit(errs ...error) error {
	err := errors.Join(append(errs, f.link.SetDeadline(time.Now().Add(answerTime)))...)
	err = errors.Join(err, failed(f.conn.Flush()))
	if err == nil {
		return nil
	}
	// Answers to it may still come: they must not be taken for those to the next.
	f.wrong = true
	return errors.Join(err, f.conn.CloseLasting(), f.connect())
}

// anew makes the whole table, in the place of whatever is there.
func (f *Filter) anew() error {
	f.watch.lost.Store(false) // what happens from now on is news
	f.wrong = true
	anew(f.conn, table)
	t := f.objects()
	errs := []error{f.addBase(t)}
	for _, l := range f.book.lists {
		errs = append(errs, f.addList(t, l))
	}
	addresses := slices.Collect(maps.Keys(f.book.elements))
	for rest := len(addresses); ; rest = len(addresses) {
		n := min(rest, elementsAnew)
		for _, list := range t.elements(addresses[:n], f.book.elements) {
			errs = append(errs, f.conn.SetAddElements(list.set, list.elements))
		}
		if err := f.commit(errs...); err != nil {
			return fmt.Errorf("%w: %w", ErrUnusable, err)
		}
		if addresses, errs = addresses[n:], nil; len(addresses) == 0 {
			break
		}
	}
	f.made, f.wrong = true, false
	return nil
}
