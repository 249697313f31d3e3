package e2e_test

import (
	"encoding/base64"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/agent/state"
	"github.com/heimdraht/heimdraht/provisioner/directory/slapdtest"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// comeBackLate is the laptop of somebody who was away for long. Its certificate
// has expired, and her password brings back the same device at its address.
func (w *town) comeBackLate(t *testing.T) {
	l := w.lap1
	before := l.is(t, "connected")
	l.agent.end(syscall.SIGTERM)
	w.expire(t, l)
	l.startAgent(t)

	w.refused(t, "certificate-expired", l.try(t, "", "heimdraht-agent", "up"))
	s := l.is(t, "refused")
	if s.Code != "certificate-expired" || s.DeviceID != before.DeviceID || !strings.Contains(s.Next, "heimdraht-agent enrol") {
		t.Errorf("want certificate-expired, the device %s and what to type: %+v", before.DeviceID, s)
	}
	if err := page(t.Context(), l.machine, intranetV4); err == nil {
		t.Error("the page can be had with an expired certificate")
	}

	login, password := slapdtest.Person(l.person)
	w.refused(t, "sign-in-failed", l.enrol(t, w.address, login, "falsch"))
	r := l.enrol(t, w.address, login, password)
	if r.code != 0 || !strings.HasPrefix(r.stdout, "Welcome back, ") {
		t.Fatalf("want to be welcomed back:\n%v", r)
	}
	l.run(t, "heimdraht-agent", "up")
	after := l.is(t, "connected")
	if after.DeviceID != before.DeviceID {
		t.Errorf("the device is %s and was %s", after.DeviceID, before.DeviceID)
	}
	if !slices.Equal(after.Addresses, before.Addresses) {
		t.Errorf("the addresses are %v and were %v", after.Addresses, before.Addresses)
	}
	eventually(t, patience, "the page is back", func() error { return page(t.Context(), l.machine, intranetV4) })
	if got := len(w.sessions(t)); got != 2 {
		t.Errorf("%d sessions, want 2", got)
	}
}

// expire gives a laptop whose agent has stopped the certificate it would have
// after a month away: the same one, of the same CA, with other dates.
func (w *town) expire(t *testing.T, l *laptop) {
	t.Helper()
	const identity = "identity"
	dir, err := state.Open(l.path("/var/lib/heimdraht-agent"))
	if err != nil {
		t.Fatal(err)
	}
	// Only what changes is known here; the rest stays as it is.
	held := map[string]any{}
	if err := dir.Load(identity, &held); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// Where the CA's key is: SQLite takes no path that leads into another machine.
	leaf, _ := held["leaf"].(string)
	cmd := w.hq.command(t.Context(), self)
	cmd.Env = append(cmd.Env, roleVariable+"="+roleExpire)
	cmd.Stdin = strings.NewReader(leaf)
	expired, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	held["leaf"] = string(expired)
	held["not_after"], held["renew_at"] = time.Now().Add(-time.Minute), time.Now().Add(-20*time.Minute)
	if err := errors.Join(dir.Save(identity, held), dir.Close()); err != nil {
		t.Fatal(err)
	}
}

// makeExpired reads a certificate and writes one that has ended, each in DER and base64. The CA is
// as young as the test, and no certificate is older than its CA.
func makeExpired(r io.Reader, w io.Writer) error {
	der, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, r))
	if err != nil {
		return err
	}
	end := time.Now().Add(-time.Minute)
	der, err = provisionertest.Dated("/etc/heimdraht/master.key", "/var/lib/heimdraht/heimdraht.db", der, end.Add(-50*time.Minute), end)
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, base64.StdEncoding.EncodeToString(der))
	return err
}
