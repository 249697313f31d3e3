package app

import (
	"bytes"
	"crypto/tls"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/ca"
	"github.com/heimdraht/heimdraht/provisioner/directory/slapdtest"
)

func TestOwnCertificateIsIssuedAnewInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority, err := ca.New("instance", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		live := new(liveKeys)
		live.current.Store(&keys{authority: authority})
		o := &ownCertificate{keys: live, names: []string{"vpn.stadt.example"}}
		get := func() *tls.Certificate {
			t.Helper()
			c, err := o.get(nil)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		first := get()
		time.Sleep(ca.Lifetime/3*2 - time.Hour)
		if get() != first {
			t.Error("issued anew too early")
		}
		time.Sleep(2 * time.Hour)
		second := get()
		if second == first || !second.Leaf.NotAfter.After(first.Leaf.NotAfter) {
			t.Error("not issued anew")
		}
		// Past the authority's end there is none to be had; the last one is kept,
		// because the clock may be what is wrong.
		time.Sleep(20 * 365 * 24 * time.Hour)
		if get() != second {
			t.Error("the last certificate was dropped")
		}
	})
}

func TestCertificateInFilesIsFollowed(t *testing.T) {
	dir := t.TempDir()
	f := &fileCertificate{certFile: filepath.Join(dir, "tls.crt"), keyFile: filepath.Join(dir, "tls.key")}
	if _, err := f.get(nil); err == nil {
		t.Fatal("a certificate from nowhere")
	}
	lay := func(cert, key []byte, changed time.Time) {
		t.Helper()
		for name, content := range map[string][]byte{f.certFile: cert, f.keyFile: key} {
			if err := os.WriteFile(name, content, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(name, changed, changed); err != nil {
				t.Fatal(err)
			}
		}
	}
	issue := func() slapdtest.Certificates {
		t.Helper()
		made, err := slapdtest.NewCertificates(time.Now(), time.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	get := func() []byte {
		t.Helper()
		c, err := f.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		return c.Certificate[0]
	}
	synctest.Test(t, func(t *testing.T) {
		one, two := issue(), issue()
		began := time.Now()
		lay(one.Cert, one.Key, began)
		first := get()
		lay(two.Cert, one.Key, began.Add(time.Second)) // half of a renewal
		if !bytes.Equal(get(), first) {
			t.Error("looked before its time")
		}
		time.Sleep(lookEvery)
		if !bytes.Equal(get(), first) {
			t.Error("half a renewal was taken")
		}
		lay(two.Cert, two.Key, began.Add(time.Second))
		time.Sleep(lookEvery)
		if bytes.Equal(get(), first) {
			t.Error("the renewed certificate was not taken")
		}
	})
}
