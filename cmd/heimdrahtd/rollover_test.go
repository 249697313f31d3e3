package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/heimdraht/heimdraht/agent/control"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// sleeper is a laptop with the real agent's first trust, certificate and bundle.
type sleeper struct {
	*control.Identity

	id     string
	login  string
	server control.Server
}

// connects connects as the laptop, by the bundle that it has.
func (s *sleeper) connects(t *testing.T) *control.Conn {
	t.Helper()
	conn, err := control.Connect(t.Context(), control.Options{Servers: []control.Server{s.server}, Identity: s.Identity, Agent: "test", Language: "en", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// byPin connects as somebody who knows a fingerprint, and nothing else.
func byPin(t *testing.T, address, pin string) (*control.Conn, error) {
	t.Helper()
	a, err := control.ParseAddress(address + "#" + pin)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := control.Connect(t.Context(), control.Options{Servers: []control.Server{a.Server}, Trust: control.Trust{Pin: a.Pin}, Agent: "test", Logger: slog.New(slog.DiscardHandler)})
	if err == nil {
		t.Cleanup(func() { _ = conn.Close() })
	}
	return conn, err
}

func (l *load) sleeper(n int) *sleeper {
	l.t.Helper()
	conn, err := byPin(l.t, l.process.address, l.Fingerprint())
	if err != nil {
		l.t.Fatal(err)
	}
	request, err := control.NewKeyRequest()
	if err != nil {
		l.t.Fatal(err)
	}
	login := provisionertest.Login(n)
	answer, err := heimdrahtv1.NewEnrolmentServiceClient(conn).Enrol(l.t.Context(), &heimdrahtv1.EnrolRequest{
		Tenant: provisionertest.Tenant, Login: login, Password: provisionertest.Password, CertificateRequest: request.CSR,
		WireguardPublicKey: provisionertest.NewWireGuardKey(), DeviceName: "laptop", SerialNumber: fmt.Sprint("SL", n), Platform: "linux", AgentVersion: "test",
	})
	if err != nil {
		l.t.Fatal(err)
	}
	first, err := control.ParseFingerprint(l.Fingerprint())
	if err != nil {
		l.t.Fatal(err)
	}
	id, err := control.SaveIdentity(new(control.MemoryStore), request, answer.GetCertificate(), control.Trust{Pin: first})
	if err != nil {
		l.t.Fatal(err)
	}
	return &sleeper{Identity: id, id: answer.GetDeviceId(), login: login, server: conn.Server}
}

// opens opens a session over a connection, and gives the stream, which holds it.
func opens(t *testing.T, conn grpc.ClientConnInterface) (heimdrahtv1.SessionService_AttachClient, *heimdrahtv1.SessionOpened) {
	t.Helper()
	stream, err := heimdrahtv1.NewSessionServiceClient(conn).Attach(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	answer, err := provisionertest.Open(stream, "")
	if err != nil || answer.GetOpened() == nil {
		t.Fatal(answer, err)
	}
	return stream, answer.GetOpened()
}

// until does something until it is well, for as long as a control plane may take
// to notice a rollover.
func until(t *testing.T, what string, well func() error) {
	t.Helper()
	end := time.Now().Add(30 * time.Second)
	for {
		err := well()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %v", what, err)
		}
		<-time.After(200 * time.Millisecond)
	}
}

// TestRolloverTouchesNoLaptop rolls CA and session keys over beneath a connected
// laptop, a gateway, and laptops that sleep through one stage or all of them.
func TestRolloverTouchesNoLaptop(t *testing.T) {
	l := newLoad(t, 100)
	l.start()
	defer func() { l.kill() }()
	l.signIn()
	l.gateway.Run()
	awake, dozing, asleep := l.sleeper(1), l.sleeper(2), l.sleeper(3)
	conn := awake.connects(t)
	stream, session := opens(t, conn)
	// held says that the laptop's session goes on, on the stream that it has.
	held := func(when string) {
		t.Helper()
		if err := stream.Send(&heimdrahtv1.AttachRequest{Event: &heimdrahtv1.AttachRequest_Renew{Renew: &heimdrahtv1.RenewSession{SessionId: session.GetSessionId()}}}); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		answer, err := stream.Recv()
		if err != nil || answer.GetRenewed() == nil {
			t.Fatalf("%s: the laptop is told %v, %v", when, answer, err)
		}
		if l.gateway.Peer(session.GetSessionId()) == nil {
			t.Fatalf("%s: the gateway holds no peer", when)
		}
	}
	former := l.Fingerprint()

	l.must("rollover", "session-keys")
	until(t, "the new session key", func() error {
		if !strings.Contains(l.process.log.String(), "session_key=2") {
			return errors.New("it is not used yet")
		}
		return nil
	})
	l.gateway.Stop() // it gives no sign of life by itself
	l.gateway.Run()
	_, opened := opens(t, dozing.connects(t))
	if !bytes.Equal(l.gateway.Peer(opened.GetSessionId()).GetPresharedKey(), opened.GetConfiguration().GetPresharedKey()) {
		t.Error("laptop and gateway have different preshared keys")
	}
	if v := l.keyVersion(opened.GetSessionId()); v != 2 {
		t.Errorf("a new session uses version %d", v)
	}
	held("after the rollover of session keys")
	if v := l.keyVersion(session.GetSessionId()); v != 1 {
		t.Errorf("the open session uses version %d", v)
	}

	l.refused("rollover-not-begun", "rollover", "ca", "switch")
	l.refused("rollover-not-begun", "rollover", "ca", "finish")
	if out := l.must("rollover", "ca", "begin"); !strings.Contains(out, "vouches for it") {
		t.Error(out)
	}
	l.refused("rollover-unfinished", "rollover", "ca", "begin")
	l.refused("rollover-too-early", "rollover", "ca", "switch")
	until(t, "learning of the next CA", func() error {
		if err := awake.Renew(t.Context(), conn, control.Proof{}); err != nil {
			t.Fatal(err)
		}
		if n := len(awake.Trust().Authorities); n != 2 {
			return fmt.Errorf("the bundle holds %d", n)
		}
		return nil
	})
	held("after the beginning")

	until(t, "switching", func() error { _, err := l.command("rollover", "ca", "switch"); return err })
	var next string
	until(t, "the next CA issuing", func() error {
		next = fingerprintShown(t, l.process.address, former)
		if next == former {
			return fmt.Errorf("the server still shows the former CA first")
		}
		return nil
	})
	for name, pin := range map[string]string{"former": former, "next": next} {
		if _, err := byPin(t, l.process.address, pin); err != nil {
			t.Errorf("with the %s fingerprint: %v", name, err)
		}
	}
	if _, err := byPin(t, l.process.address, strings.Repeat("1", 64)); err == nil {
		t.Error("with any fingerprint")
	}
	held("after the switch")
	// It knows only the former CA, its certificate is of the former one, and it
	// renews as if nothing had been.
	conn2 := dozing.connects(t)
	opens(t, conn2)
	if err := dozing.Renew(t.Context(), conn2, control.Proof{}); err != nil {
		t.Fatal(err)
	}
	opens(t, dozing.connects(t))

	l.refused("rollover-too-early", "rollover", "ca", "finish")
	// Who renewed in the first minute is counted with them: a replica may not have
	// noticed the switch by then.
	if out := l.must("rollover", "ca", "status"); !strings.Contains(out, "Missing   3 devices, 1 gateways [gw1]") {
		t.Error(out)
	}
	l.must("rollover", "ca", "finish", "--now")
	until(t, "retiring", func() error {
		log := l.process.log.String()
		if last := strings.LastIndex(log, " authorities="); !strings.HasPrefix(log[last:], " authorities=1 ") {
			return errors.New("the control plane has not noticed")
		}
		return nil
	})
	conn3 := asleep.connects(t)
	if s, err := heimdrahtv1.NewSessionServiceClient(conn3).Attach(t.Context()); err == nil {
		if answer, err := provisionertest.Open(s, ""); err == nil {
			t.Errorf("a laptop with a certificate of the retired CA is told %v", answer)
		}
	}
	// It slept through all of it: its owner types her password.
	if err := asleep.Renew(t.Context(), conn3, control.Proof{}); err == nil {
		t.Error("renewed without a password")
	}
	if err := asleep.Renew(t.Context(), conn3, control.Proof{Login: asleep.login, Password: provisionertest.Password}); err != nil {
		t.Fatal(err)
	}
	if n := len(asleep.Trust().Authorities); n != 1 {
		t.Errorf("its bundle holds %d", n)
	}
	opens(t, asleep.connects(t))
	// A pin that was laid down years ago still finds the server.
	if _, err := byPin(t, l.process.address, former); err != nil {
		t.Errorf("with the former fingerprint, after all: %v", err)
	}
	held("after the end")

	l.gateway.Stop()
}

// refused runs the program, which must refuse with a code.
func (l *load) refused(code string, args ...string) {
	l.t.Helper()
	if out, err := l.command(args...); err == nil || !strings.Contains(err.Error(), "("+code+")") {
		l.t.Errorf("%v: %s, %v", args, out, err)
	}
}

func (l *load) keyVersion(session string) (version int64) {
	l.t.Helper()
	l.view(func(tx *store.Reader) error {
		s, err := tx.Session(session)
		version = s.KeyVersion
		return err
	})
	return version
}

// fingerprintShown is that of the first CA that the server shows.
func fingerprintShown(t *testing.T, address, trusted string) (shown string) {
	t.Helper()
	c := provisionertest.Connect(t, address, trusted)
	shown, err := c.FirstAuthority(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return shown
}
