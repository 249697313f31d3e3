package app

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/ca"
	"github.com/heimdraht/heimdraht/provisioner/config"
)

// certificateOf gives the server's certificate at each handshake.
type certificateOf func(*tls.ClientHelloInfo) (*tls.Certificate, error)

// serverCertificate is how the control plane shows itself: with the certificate
// of a public authority if one is configured, else with one of its own authority.
func (k *liveKeys) serverCertificate(c config.ControlPlane) (certificateOf, error) {
	if c.TLS.CertFile != "" {
		f := &fileCertificate{certFile: c.TLS.CertFile, keyFile: c.TLS.KeyFile}
		if _, err := f.get(nil); err != nil {
			return nil, &SetupError{Code: "certificate-unusable", What: "cannot use the certificate in `tls`", Next: "See that both files are there, readable, PEM, and belong together.", Err: err}
		}
		return f.get, nil
	}
	names := c.Names
	if len(names) == 0 {
		host, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("reading this machine's name: %w", err)
		}
		names = []string{host}
	}
	o := &ownCertificate{keys: k, names: names}
	if _, err := o.get(nil); err != nil {
		e := &SetupError{Code: "certificate-not-issued", What: "cannot issue the server's certificate", Next: "Check `names` in the configuration.", Err: err}
		if errors.Is(err, ca.ErrAuthorityDates) {
			e.Code, e.Next = "clock-wrong", "Set this machine's clock."
		}
		return nil, e
	}
	return o.get, nil
}

// ownCertificate issues the server's certificate anew when two thirds of its
// time are over, or another authority issues. Its key lives in this process
// only.
type ownCertificate struct {
	keys  *liveKeys
	names []string

	mu      sync.Mutex
	by      *ca.Authority // issued current
	current *tls.Certificate
}

func (o *ownCertificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now, keys := time.Now(), o.keys.now()
	if o.current != nil && o.by == keys.authority && now.Before(o.current.Leaf.NotAfter.Add(-ca.Lifetime/3)) && now.After(o.current.Leaf.NotBefore) {
		return o.current, nil
	}
	issued, err := keys.authority.NewServer(o.names, now, keys.shown...)
	if err != nil {
		if o.current != nil {
			return o.current, nil // better than none; a clock that jumped may come back
		}
		return nil, err
	}
	o.by, o.current = keys.authority, &issued
	return o.current, nil
}

// lookEvery is how often files are looked at for a renewed certificate.
const lookEvery = time.Minute

// fileCertificate follows a certificate that something else renews in place.
type fileCertificate struct {
	certFile, keyFile string

	mu      sync.Mutex
	current *tls.Certificate
	looked  time.Time
	changed time.Time // of the certificate's file, when it was read
}

func (f *fileCertificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current != nil && time.Since(f.looked) < lookEvery {
		return f.current, nil
	}
	f.looked = time.Now()
	info, err := os.Stat(f.certFile)
	if err == nil && f.current != nil && info.ModTime().Equal(f.changed) {
		return f.current, nil
	}
	var read tls.Certificate
	if err == nil {
		read, err = tls.LoadX509KeyPair(f.certFile, f.keyFile)
	}
	if err != nil {
		if f.current != nil {
			return f.current, nil // half written, perhaps: the next look finds it whole
		}
		return nil, err
	}
	f.current, f.changed = &read, info.ModTime()
	return f.current, nil
}
