package wireguard

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"runtime"
	"slices"
	"testing"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun"
	"pgregory.net/rapid"
)

// burst is what one reading of an interface or a socket brings.
type burst struct {
	count int
	err   error
}

// source brings numbered packets, as many at a time as its bursts say, and then its end.
type source struct {
	tun.Device
	t      *rapid.T
	bursts []burst
	sent   [][]byte
	end    error
}

func (s *source) BatchSize() int { return conn.IdealBatchSize }

func (s *source) Read(packets [][]byte, sizes []int, offset int) (int, error) {
	if len(packets) != s.BatchSize() || len(sizes) != s.BatchSize() {
		s.t.Fatalf("room for %d packets and %d sizes, wanted it for %d", len(packets), len(sizes), s.BatchSize())
	}
	if len(s.bursts) == 0 {
		return 0, s.end
	}
	r := s.bursts[0]
	s.bursts = s.bursts[1:]
	for i := range r.count {
		packet := binary.BigEndian.AppendUint32(nil, uint32(len(s.sent)))
		packet = append(packet, bytes.Repeat([]byte{byte(len(s.sent))}, len(s.sent)*7919%9000)...)
		if len(s.sent)%50 == 49 { // the largest there can be
			packet = append(packet, make([]byte, device.MaxMessageSize-offset-len(packet))...)
		}
		sizes[i] = copy(packets[i][offset:], packet)
		if sizes[i] != len(packet) {
			s.t.Fatalf("a packet of %d bytes found room for %d", len(packet), sizes[i])
		}
		s.sent = append(s.sent, packet)
	}
	return r.count, r.err
}

// TestPortions: whatever comes at a time, everything is handed on whole, in order and once, errors after the packets that
// came with them, and never more than a portion.
func TestPortions(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		portion := rapid.SampledFrom([]int{1, 2, 32, 127}).Draw(t, "portion")
		offset := rapid.SampledFrom([]int{0, 16}).Draw(t, "offset")
		s := &source{t: t, end: os.ErrClosed}
		errorsToCome := 0
		for range rapid.IntRange(0, 4).Draw(t, "readings") {
			r := burst{count: rapid.IntRange(0, conn.IdealBatchSize).Draw(t, "count")}
			if rapid.Bool().Draw(t, "too many") {
				r.err = tun.ErrTooManySegments
				errorsToCome++
			}
			s.bursts = append(s.bursts, r)
		}
		link, bind, err := portioned(s, newBind(Options{}), portion)
		if err != nil {
			t.Fatal(err)
		}
		if link.BatchSize() != portion || bind.BatchSize() != portion {
			t.Fatalf("%d and %d at a time, wanted %d", link.BatchSize(), bind.BatchSize(), portion)
		}
		packets, sizes := make([][]byte, portion), make([]int, portion)
		var got [][]byte
		for {
			for i := range packets { // wireguard-go hands each buffer on and takes another
				packets[i] = new([device.MaxMessageSize]byte)[:]
			}
			n, err := link.Read(packets, sizes, offset)
			for i := range n {
				got = append(got, bytes.Clone(packets[i][offset:offset+sizes[i]]))
			}
			if errors.Is(err, os.ErrClosed) {
				break
			}
			if err != nil {
				if errorsToCome--; len(got) != len(s.sent) {
					t.Fatalf("the error came after %d of %d packets", len(got), len(s.sent))
				}
			}
		}
		if errorsToCome != 0 {
			t.Errorf("%d errors more or fewer than there were", errorsToCome)
		}
		if !slices.EqualFunc(got, s.sent, bytes.Equal) {
			t.Errorf("%d packets came of %d, or others, or in another order", len(got), len(s.sent))
		}
	})
}

// TestPortionsOfASocket sends packets over the loopback and closes the socket under its readers.
func TestPortionsOfASocket(t *testing.T) {
	t.Parallel()
	const portion, count = 4, 300
	b := &portionedBind{Bind: conn.NewDefaultBind(), portion: portion}
	receive, port, err := b.Open(0)
	must(t, err)
	sender, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(port)})
	must(t, err)
	defer func() { _ = sender.Close() }()
	got := make(chan uint32, count)
	ended := make(chan error)
	for _, from := range receive {
		go func() {
			packets, sizes, endpoints := make([][]byte, portion), make([]int, portion), make([]conn.Endpoint, portion)
			for i := range packets {
				packets[i] = make([]byte, device.MaxMessageSize)
			}
			for {
				n, err := from(packets, sizes, endpoints)
				if err != nil {
					ended <- err
					return
				}
				for i := range n {
					if from := endpoints[i].DstToString(); from != sender.LocalAddr().String() || endpoints[i].SrcIP().IsValid() {
						t.Errorf("from %s to %v", from, endpoints[i].SrcIP())
					}
					got <- binary.BigEndian.Uint32(packets[i][:sizes[i]])
				}
			}
		}()
	}
	for i := range uint32(count) {
		_, err := sender.Write(binary.BigEndian.AppendUint32(nil, i))
		must(t, err)
	}
	for i := range uint32(count) {
		if n := <-got; n != i {
			t.Fatalf("packet %d came where %d was due", n, i)
		}
	}
	must(t, b.Close())
	for range receive {
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("error %v, want net.ErrClosed", err)
		}
	}
}

// TestForget: a buffer whose pages are given back is empty, and its neighbours are as they were.
func TestForget(t *testing.T) {
	t.Parallel()
	pattern := bytes.Repeat([]byte{0xa5}, device.MaxMessageSize)
	buffers := make([]*[device.MaxMessageSize]byte, 64)
	small := make([][]byte, len(buffers))
	for i := range buffers {
		buffers[i] = new([device.MaxMessageSize]byte)
		copy(buffers[i][:], pattern)
		small[i] = bytes.Clone(pattern[:100])
	}
	for i := 0; i < len(buffers); i += 2 {
		forget(buffers[i][:])
	}
	forget(small[0])
	runtime.GC()
	empty := make([]byte, device.MaxMessageSize)
	for i, b := range buffers {
		switch forgotten := i%2 == 0; {
		case !bytes.Equal(small[i], pattern[:100]):
			t.Fatal("something else was forgotten")
		case !forgotten && !bytes.Equal(b[:], pattern):
			t.Fatalf("buffer %d was forgotten with its neighbour", i)
		case forgotten && os.Getpagesize() == 4096 && !bytes.Equal(b[:], empty):
			t.Fatalf("buffer %d was not forgotten", i)
		}
	}
}
