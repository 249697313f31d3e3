package app_test

import (
	"context"
	"crypto/tls"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/heimdraht/heimdraht/provisioner/app"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Names are taken up while connections stand; what is read at the start only is named, and then nothing changes.
func TestReload(t *testing.T) {
	c := made(t)
	a, err := start(t, c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	if err := a.Alive(t.Context()); err != nil {
		t.Error(err)
	}
	names := func() []string {
		t.Helper()
		conn, err := tls.Dial("tcp", a.Address(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		return conn.ConnectionState().PeerCertificates[0].DNSNames
	}
	other := c
	other.Names = []string{"vpn.stadt.example"}
	if err := a.Reload(other); err != nil {
		t.Fatal(err)
	}
	if got := names(); !slices.Equal(got, other.Names) {
		t.Errorf("the certificate names %v", got)
	}

	restart := other
	restart.Names = []string{"elsewhere.stadt.example"}
	restart.Listen, restart.Database, restart.Audit.SecurityDays = "127.0.0.1:1", "/elsewhere", 7
	var setup *app.SetupError
	if err := a.Reload(restart); !errors.As(err, &setup) || setup.Code != "restart-needed" || !strings.Contains(setup.What, "listen, database, audit") {
		t.Errorf("what needs a restart: %v", err)
	}
	broken := other
	broken.TLS.CertFile, broken.TLS.KeyFile = "/nowhere.crt", "/nowhere.key"
	if err := a.Reload(broken); !errors.As(err, &setup) || setup.Code != "certificate-unusable" {
		t.Errorf("a certificate that is not there: %v", err)
	}
	if got := names(); !slices.Equal(got, other.Names) {
		t.Errorf("after refusals the certificate names %v", got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := a.Alive(t.Context()); !errors.Is(err, store.ErrClosed) {
		t.Errorf("alive after its end: %v", err)
	}
}
