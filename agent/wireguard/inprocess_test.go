package wireguard

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"golang.zx2c4.com/wireguard/tun"
)

// restlessTUN is a TUN device that reports what it likes.
type restlessTUN struct {
	tun.Device
	events chan tun.Event
}

func (r restlessTUN) Events() <-chan tun.Event { return r.events }

// TestSteadyTUN: a report that the interface is down would close wireguard-go's socket.
func TestSteadyTUN(t *testing.T) {
	link := restlessTUN{events: make(chan tun.Event, 4)}
	for _, event := range []tun.Event{tun.EventDown, tun.EventUp, tun.EventUp | tun.EventMTUUpdate, tun.EventDown} {
		link.events <- event
	}
	close(link.events)
	var heard []tun.Event
	for event := range newSteadyTUN(link).Events() {
		heard = append(heard, event)
	}
	if len(heard) != 1 || heard[0] != tun.EventMTUUpdate {
		t.Errorf("wireguard-go hears %v, want the change of the MTU only", heard)
	}
}

// TestNoDiaryOfPeers: whose handshake was when must not be found in a log.
func TestNoDiaryOfPeers(t *testing.T) {
	var b bytes.Buffer
	log := quietLogger(slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug})))
	log.Verbosef("%v - Received handshake initiation", "peer(abcd…efgh)")
	if b.Len() != 0 {
		t.Errorf("logged: %s", b.String())
	}
	log.Errorf("%v - Failed to send data packets: %v", "peer(abcd…efgh)", errNoKey)
	log.Errorf("Failed to read packet from TUN device: %v", errNoKey)
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "level=DEBUG") || !strings.Contains(lines[1], "level=WARN") {
		t.Errorf("logged: %q", lines)
	}
}
