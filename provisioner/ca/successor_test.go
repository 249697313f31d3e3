package ca_test

import (
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/ca"
)

// Whoever knows only the former authority trusts the server of the new one by
// the former one's word, and whoever knows only the new one needs none.
func TestVouch(t *testing.T) {
	former, successor := authority(t, "hq3k", start().AddDate(-9, 0, 0)), authority(t, "hq3k", start())
	word, err := former.Vouch(successor)
	if err != nil {
		t.Fatal(err)
	}
	bridge, err := x509.ParseCertificate(word)
	if err != nil {
		t.Fatal(err)
	}
	server, err := successor.NewServer([]string{"vpn.stadt.example"}, start(), successor.Certificate(), bridge, former.Certificate())
	if err != nil {
		t.Fatal(err)
	}
	if len(server.Certificate) != 4 {
		t.Errorf("the server shows %d certificates", len(server.Certificate))
	}
	verify := func(known *x509.Certificate, between ...*x509.Certificate) error {
		o := x509.VerifyOptions{
			Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), DNSName: "vpn.stadt.example", CurrentTime: start(),
			KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		}
		o.Roots.AddCert(known)
		for _, c := range between {
			o.Intermediates.AddCert(c)
		}
		_, err := server.Leaf.Verify(o)
		return err
	}
	if err := verify(former.Certificate(), successor.Certificate(), bridge, former.Certificate()); err != nil {
		t.Errorf("who knows the former authority: %v", err)
	}
	if err := verify(successor.Certificate()); err != nil {
		t.Errorf("who knows the new one: %v", err)
	}
	if err := verify(former.Certificate(), successor.Certificate()); err == nil {
		t.Error("trusted without the former one's word")
	}
	if err := verify(authority(t, "hq3k", start()).Certificate(), bridge, former.Certificate()); err == nil {
		t.Error("trusted by a stranger")
	}
	// The word is for servers' chains: it makes nobody an authority of ours.
	if _, err := ca.NewBundle(bridge); err == nil {
		t.Error("the bridge became an authority")
	}
}

// What a retired authority signed is known, and counts as expired.
func TestRetired(t *testing.T) {
	old, current := authority(t, "hq3k", start().AddDate(-9, 0, 0)), authority(t, "hq3k", start())
	bundle, err := bundleOf(t, current).Retired(old.Certificate())
	if err != nil {
		t.Fatal(err)
	}
	if n := len(bundle.DER()); n != 1 {
		t.Errorf("agents learn of %d authorities", n)
	}
	chain := []*x509.Certificate{issue(t, old, device(), start())}
	id, validity, err := bundle.Verify(chain, start())
	if err != nil || id != device() || !validity.Expired {
		t.Errorf("of the retired one: %+v, %+v, %v", id, validity, err)
	}
	if actor, err := bundle.Identify(chain, start()); err != nil || !actor.Expired {
		t.Errorf("of the retired one: %+v, %v", actor, err)
	}
	if _, validity, err := bundle.Verify([]*x509.Certificate{issue(t, current, device(), start())}, start()); err != nil || validity.Expired {
		t.Errorf("of the present one: %+v, %v", validity, err)
	}
	if _, _, err := bundleOf(t, current).Verify(chain, start()); !errors.Is(err, ca.ErrForeign) {
		t.Errorf("the bundle that it was made of has changed: %v", err)
	}
	if _, err := bundle.Retired(current.Certificate()); err == nil {
		t.Error("one that is trusted was retired")
	}
	if _, _, err := bundle.Verify([]*x509.Certificate{issue(t, authority(t, "hq3k", start()), device(), start())}, start().Add(time.Hour)); !errors.Is(err, ca.ErrForeign) {
		t.Errorf("a stranger: %v", err)
	}
}
