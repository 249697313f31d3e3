package control

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSystemSays(t *testing.T) {
	_, missing := os.ReadFile(filepath.Join(t.TempDir(), "x"))
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer taken.Close()
	_, inUse := net.Listen("tcp", taken.Addr().String())
	for _, c := range []struct {
		err             error
		german, english string
	}{
		{fmt.Errorf("reading: %w", missing), "das gibt es nicht", "no such file or directory"},
		{fmt.Errorf("listening: %w", inUse), "dort läuft schon ein anderes Programm", "address already in use"},
		{fmt.Errorf("opening: %w", os.ErrPermission), "dazu fehlen die Rechte", "opening: permission denied"},
		{&net.DNSError{Err: "no such host", Name: "vpn.stadt.example", IsNotFound: true}, "den Namen vpn.stadt.example gibt es nicht", "lookup vpn.stadt.example: no such host"},
		{&net.DNSError{Err: "timeout", Name: "vpn.stadt.example"}, "der Name vpn.stadt.example ließ sich nicht nachschlagen", "lookup vpn.stadt.example: timeout"},
		{errors.New("it is our own"), "it is our own", "it is our own"},
	} {
		if german, english := SystemSays(c.err); german != c.german || english != c.english {
			t.Errorf("of %v: %q, %q", c.err, german, english)
		}
	}
	p := StateUnusable("/x", fmt.Errorf("the state directory /x cannot be written: %w", missing))
	if p.German.Sentence != "Der Ordner /x kann nicht benutzt werden: das gibt es nicht." || !strings.HasPrefix(p.English.Sentence, "The folder /x cannot be used: no such file") {
		t.Errorf("a state directory: %+v", p)
	}
}
