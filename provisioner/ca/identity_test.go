package ca_test

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/ca"
)

func TestIdentityRoundTrip(t *testing.T) {
	segment := rapid.StringMatching(`[a-z0-9-]{1,63}`)
	rapid.Check(t, func(t *rapid.T) {
		want := ca.Identity{
			Kind: ca.KindGateway, ID: segment.Draw(t, "id"),
			Generation: rapid.Int64Range(1, math.MaxInt64).Draw(t, "generation"),
		}
		if rapid.Bool().Draw(t, "device") {
			want.Kind, want.Tenant = ca.KindDevice, segment.Draw(t, "tenant")
		}
		instance := segment.Draw(t, "instance")
		uri, err := want.URI(instance)
		if err != nil {
			t.Fatal(err)
		}
		got, from, err := ca.ParseIdentity(uri.String())
		if err != nil || got != want || from != instance {
			t.Fatalf("%v became %v of %s: %v", want, got, from, err)
		}
	})
}

// Ids as the domain draws them can stand in certificates.
func TestDomainIDs(t *testing.T) {
	uri, err := ca.Identity{Kind: ca.KindDevice, Tenant: "stadt-2", ID: provisioner.NewID(), Generation: 1}.URI(provisioner.NewID())
	if err != nil {
		t.Fatal(err)
	}
	if len(uri.String()) > 255 {
		t.Errorf("%s has %d bytes", uri, len(uri.String()))
	}
}

func TestParseIdentityRefuses(t *testing.T) {
	for _, uri := range []string{
		"", "spiffe://", "spiffe://i", "spiffe://i/",
		"https://i/gateway/g/generation/1",
		"SPIFFE://i/gateway/g/generation/1",
		"spiffe:///gateway/g/generation/1",
		"spiffe://i:1/gateway/g/generation/1",
		"spiffe://u@i/gateway/g/generation/1",
		"spiffe://I/gateway/g/generation/1",
		"spiffe://i/gateway//generation/1",
		"spiffe://i/gateway/../generation/1",
		"spiffe://i/gateway/g%31/generation/1",
		"spiffe://i/gateway/G/generation/1",
		"spiffe://i/gateway/g/generation/1/",
		"spiffe://i/gateway/g/generation/1?x=1",
		"spiffe://i/gateway/g/generation/1#x",
		"spiffe://i/gateway/g/generation/",
		"spiffe://i/gateway/g/generation/0",
		"spiffe://i/gateway/g/generation/01",
		"spiffe://i/gateway/g/generation/-1",
		"spiffe://i/gateway/g/generation/+1",
		"spiffe://i/gateway/g/generation/0x1",
		"spiffe://i/gateway/g/generation/9223372036854775808",
		"spiffe://i/gateway/g/Generation/1",
		"spiffe://i/device/d/generation/1",
		"spiffe://i/tenant/t/gateway/g/generation/1",
		"spiffe://i/tenant//device/d/generation/1",
		"spiffe://i/tenant/t/device/d/generation/1 ",
		"spiffe://i/tenant/t/device/d\x00/generation/1",
		"spiffe://i/tenant/t/device/" + strings.Repeat("d", 64) + "/generation/1",
	} {
		if id, instance, err := ca.ParseIdentity(uri); !errors.Is(err, ca.ErrIdentity) || id != (ca.Identity{}) || instance != "" {
			t.Errorf("%q was read as %v of %s: %v", uri, id, instance, err)
		}
	}
}

// What is read is exactly what would be written: no two texts are one
// identity.
func FuzzParseIdentity(f *testing.F) {
	f.Add("spiffe://hq3k/tenant/stadt/device/d1/generation/3")
	f.Add("spiffe://hq3k/gateway/gw1/generation/1")
	f.Add("spiffe://hq3k/gateway/gw1/generation/01")
	f.Fuzz(func(t *testing.T, uri string) {
		id, instance, err := ca.ParseIdentity(uri)
		if err != nil {
			if !errors.Is(err, ca.ErrIdentity) {
				t.Fatal(err)
			}
			return
		}
		if back, err := id.URI(instance); err != nil || back.String() != uri {
			t.Errorf("%q was read as %v of %s, which is %v: %v", uri, id, instance, back, err)
		}
	})
}

// Whatever a laptop sends as its request is refused as a request, or gives a
// certificate that says what we say.
func FuzzIssueClient(f *testing.F) {
	a, err := ca.New("hq3k", start())
	if err != nil {
		f.Fatal(err)
	}
	bundle, err := ca.NewBundle(a.Certificate())
	if err != nil {
		f.Fatal(err)
	}
	request, _ := csr(f)
	f.Add(request)
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request}))
	f.Add([]byte("-----BEGIN CERTIFICATE REQUEST-----"))
	f.Fuzz(func(t *testing.T, request []byte) {
		issued, err := a.IssueClient(request, device(), start())
		if err != nil {
			if !errors.Is(err, ca.ErrRequest) {
				t.Fatal(err)
			}
			return
		}
		id, _, err := bundle.Verify([]*x509.Certificate{parse(t, issued.DER)}, start())
		if err != nil || id != device() {
			t.Fatalf("%v, %v", id, err)
		}
	})
}

func FuzzParseBundle(f *testing.F) {
	a, err := ca.New("hq3k", start())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate().Raw}))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		b, err := ca.ParseBundle(text)
		if err != nil {
			return
		}
		if again, err := ca.ParseBundle(b.PEM()); err != nil || len(again.DER()) != len(b.DER()) {
			t.Error(err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	a, err := ca.New("hq3k", start())
	if err != nil {
		b.Fatal(err)
	}
	bundle, err := ca.NewBundle(a.Certificate())
	if err != nil {
		b.Fatal(err)
	}
	chain := []*x509.Certificate{issue(b, a, device(), start())}
	for b.Loop() {
		if _, _, err := bundle.Verify(chain, start()); err != nil {
			b.Fatal(err)
		}
	}
}
