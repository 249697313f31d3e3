package wireguard

import (
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun"
)

// portioned has wireguard-go take no more than portion packets at a time from the interface and the sockets. It keeps 64 KB
// for each of them in each of its three readers; with its own 128 that is 24 MB, which Go clears, and thereby has resident,
// on every device but a process's first. The kernel hands over as many as ever: what is more than a portion waits here.
func portioned(link tun.Device, bind conn.Bind, portion int) (tun.Device, conn.Bind, error) {
	if portion == 0 || portion >= link.BatchSize() || portion >= bind.BatchSize() {
		return link, bind, nil // all, or one of them takes fewer anyway
	}
	packets, err := newPortions(portion, link.BatchSize())
	if err != nil {
		return link, bind, err
	}
	return &portionedTUN{Device: link, portion: portion, packets: packets}, &portionedBind{Bind: bind, portion: portion}, nil
}

// portions reads many packets at a time and hands them on in portions. It belongs to one reader.
type portions struct {
	// memory has the packets beyond the first portion. It is not Go's, which would clear all of it for each device: of each
	// packet's 64 KB only the pages are there that something was written to.
	memory []byte

	// What is read into: the caller's own buffers first, so that most packets are where they belong at once.
	packets   [][]byte
	sizes     []int
	endpoints []conn.Endpoint

	next, end int   // the packets that wait to be handed on
	err       error // comes after them
	readAt    time.Time
}

func newPortions(portion, most int) (*portions, error) {
	const each = device.MaxMessageSize + 1 // whole pages
	memory, err := unix.Mmap(-1, 0, (most-portion)*each, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("reserving memory for packets: %w", err)
	}
	// Huge pages would be there whole, at once. A kernel that knows none refuses, and is right.
	_ = unix.Madvise(memory, unix.MADV_NOHUGEPAGE)
	p := &portions{memory: memory, packets: make([][]byte, most), sizes: make([]int, most), endpoints: make([]conn.Endpoint, most)}
	for i := range most - portion {
		p.packets[portion+i] = memory[i*each:][:device.MaxMessageSize:device.MaxMessageSize]
	}
	return p, nil
}

// free gives the memory back. The reader must have come to its end.
func (p *portions) free() {
	if p.memory != nil {
		_ = unix.Munmap(p.memory) // it is what was mapped
	}
	*p = portions{}
}

// read hands on what waits, behind offset bytes; if nothing does, it reads.
func (p *portions) read(packets [][]byte, sizes []int, endpoints []conn.Endpoint, offset int, from conn.ReceiveFunc) (int, error) {
	if p.next < p.end || p.err != nil {
		return p.handOn(packets, sizes, endpoints, offset)
	}
	copy(p.packets, packets)
	p.forgetAfterPause()
	count, err := from(p.packets, p.sizes, p.endpoints)
	now := min(count, len(packets))
	copy(sizes, p.sizes[:now])
	copy(endpoints, p.endpoints[:now])
	if now == count {
		return count, err
	}
	p.next, p.end, p.err = now, count, err
	return now, nil
}

// handOn gives a portion of what waits, and the error after the last.
func (p *portions) handOn(packets [][]byte, sizes []int, endpoints []conn.Endpoint, offset int) (int, error) {
	n := 0
	for ; n < len(packets) && p.next < p.end; n++ {
		size := p.sizes[p.next]
		copy(packets[n][offset:], p.packets[p.next][offset:offset+size])
		sizes[n] = size
		if endpoints != nil { // an interface has none
			endpoints[n] = p.endpoints[p.next]
		}
		p.next++
	}
	if p.next < p.end {
		return n, nil
	}
	err := p.err
	p.err = nil
	return n, err
}

// quiet is how long nothing has come by when the pages that traffic has used are given back. A laptop on which nobody works
// sends and gets something every 25 s.
const quiet = 10 * time.Second

// forgetAfterPause gives back the pages of all buffers, of which nobody needs what is in them: traffic from before the pause,
// or the zeros with which Go hands out memory that was used.
func (p *portions) forgetAfterPause() {
	now := time.Now()
	if now.Sub(p.readAt) >= quiet {
		for _, packet := range p.packets {
			forget(packet)
		}
	}
	p.readAt = now
}

// forget gives back the pages of one buffer, which has zeros in it then. Nothing else lies in them: Go gives a buffer of this
// size whole pages, and a kernel with larger ones refuses where a buffer does not begin with one.
func forget(packet []byte) {
	if len(packet) == device.MaxMessageSize {
		_ = unix.Madvise(packet, unix.MADV_DONTNEED)
	}
}

// portionedTUN is an interface that is read in portions. It has one reader, as wireguard-go has.
type portionedTUN struct {
	tun.Device
	portion int
	packets *portions
}

// BatchSize is a portion.
func (t *portionedTUN) BatchSize() int { return t.portion }

// Read reads packets of programs.
func (t *portionedTUN) Read(packets [][]byte, sizes []int, offset int) (int, error) {
	count, err := t.packets.read(packets, sizes, nil, offset, func(packets [][]byte, sizes []int, _ []conn.Endpoint) (int, error) {
		return t.Device.Read(packets, sizes, offset)
	})
	if err != nil && !errors.Is(err, tun.ErrTooManySegments) {
		t.packets.free() // wireguard-go reads no more
	}
	return count, err
}

// portionedBind is wireguard-go's socket, read in portions.
//
// A laptop always answers from the address that its system would take, and not from the one that it was last reached at:
// that is for machines with many. wireguard-go forgets that address when routes change only if the socket is its own.
type portionedBind struct {
	conn.Bind
	portion int
}

// BatchSize is a portion.
func (b *portionedBind) BatchSize() int { return b.portion }

// Open listens. Each socket has its reader.
func (b *portionedBind) Open(port uint16) ([]conn.ReceiveFunc, uint16, error) {
	receive, port, err := b.Bind.Open(port)
	if err != nil {
		return nil, 0, err
	}
	var all []*portions
	for i, from := range receive {
		packets, err := newPortions(b.portion, b.Bind.BatchSize())
		if err != nil {
			for _, p := range all {
				p.free()
			}
			return nil, 0, errors.Join(err, b.Bind.Close())
		}
		all = append(all, packets)
		receive[i] = packets.receive(withoutSource(from))
	}
	return receive, port, nil
}

// receive reads from one socket.
func (p *portions) receive(from conn.ReceiveFunc) conn.ReceiveFunc {
	return func(packets [][]byte, sizes []int, endpoints []conn.Endpoint) (int, error) {
		count, err := p.read(packets, sizes, endpoints, 0, from)
		if errors.Is(err, net.ErrClosed) {
			p.free() // wireguard-go reads no more of this socket
		}
		return count, err
	}
}

// withoutSource forgets which address packets came to.
func withoutSource(from conn.ReceiveFunc) conn.ReceiveFunc {
	return func(packets [][]byte, sizes []int, endpoints []conn.Endpoint) (int, error) {
		count, err := from(packets, sizes, endpoints)
		for i, size := range sizes[:count] {
			if size > 0 { // else the endpoint is one from before, which is in use
				endpoints[i].ClearSrc()
			}
		}
		return count, err
	}
}
