package firewall

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// overheardPause is how often the table is made anew at the most because it is
// not known what became of it.
const overheardPause = 5 * time.Second

// watch listens to what the kernel tells of changes of the packet filter, so
// that nobody has to read ten thousand elements to see that nothing changed.
type watch struct {
	link *netlink.Conn
	own  atomic.Uint32 // the port from which we change it
	lost atomic.Bool   // somebody else has changed our table, or may have

	closing chan struct{}
	done    chan struct{}
}

func startWatch(lost func()) (*watch, error) {
	link, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, fmt.Errorf("listening to the packet filter: %w", err)
	}
	_ = link.SetReadBuffer(socketBuffer) // with less, more may be overheard, and is looked at for nothing
	if err := link.JoinGroup(unix.NFNLGRP_NFTABLES); err != nil {
		return nil, errors.Join(fmt.Errorf("listening to the packet filter: %w", err), link.Close())
	}
	w := &watch{link: link, closing: make(chan struct{}), done: make(chan struct{})}
	go w.run(lost)
	return w, nil
}

func (w *watch) run(lost func()) {
	defer close(w.done)
	for {
		messages, err := w.link.Receive()
		if err != nil { // something was overheard, mostly because too much was told
			select {
			case <-w.closing:
				return
			case <-time.After(overheardPause):
			}
			w.lost.Store(true)
			lost()
			continue
		}
		for _, m := range messages {
			if w.concerns(m) {
				w.lost.Store(true)
				lost()
				break
			}
		}
	}
}

// concerns says whether a message tells of our table and is not our own doing.
func (w *watch) concerns(m netlink.Message) bool {
	const headerSize = 4 // of nfnetlink
	if m.Header.PID == w.own.Load() || m.Header.Type>>8 != unix.NFNL_SUBSYS_NFTABLES || len(m.Data) < headerSize ||
		m.Data[0] != unix.NFPROTO_INET || m.Header.Type&0xff == unix.NFT_MSG_NEWGEN {
		return false
	}
	attributes, err := netlink.NewAttributeDecoder(m.Data[headerSize:])
	if err != nil {
		return true
	}
	for attributes.Next() {
		// Of tables, chains, rules, sets and elements alike, the first names the table.
		if attributes.Type() == unix.NFTA_TABLE_NAME {
			return attributes.String() == table
		}
	}
	return attributes.Err() != nil
}

// portOf is the address of a socket, by which the kernel says who did something.
func portOf(link *netlink.Conn) (port uint32, err error) {
	raw, err := link.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("reaching the packet filter: %w", err)
	}
	var name unix.Sockaddr
	var failed error
	if err := raw.Control(func(fd uintptr) { name, failed = unix.Getsockname(int(fd)) }); err != nil {
		return 0, fmt.Errorf("reaching the packet filter: %w", err)
	}
	own, ok := name.(*unix.SockaddrNetlink)
	if failed != nil || !ok {
		return 0, fmt.Errorf("asking for the address of a socket: %w", errors.Join(failed, errors.ErrUnsupported))
	}
	return own.Pid, nil
}

func (w *watch) close() error {
	close(w.closing)
	err := w.link.Close()
	<-w.done
	return err
}
