package provisionertest

import (
	"context"
	"crypto/tls"
	"net"
	"testing"
	"time"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/directory/memory"
	"github.com/heimdraht/heimdraht/provisioner/directory/slapdtest"
)

// DirectoryServer is the town's directory behind LDAPS, for a control plane in
// another process.
type DirectoryServer struct {
	*memory.Directory

	Address string // host and port
	CA      []byte // PEM
}

// ServeDirectory serves the town's directory, with additional staff, until the
// test ends.
func ServeDirectory(t testing.TB, people int) *DirectoryServer {
	t.Helper()
	made, err := slapdtest.NewCertificates(time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour))
	if err != nil {
		t.Fatal("making the directory's certificate: ", err)
	}
	pair, err := tls.X509KeyPair(made.Cert, made.Key)
	if err != nil {
		t.Fatal("reading the directory's certificate: ", err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal("listening for the directory: ", err)
	}
	d := &DirectoryServer{Directory: Directory(t, people), Address: l.Addr().String(), CA: made.CA}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- d.Serve(ctx, l, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error("serving the directory: ", err)
		}
	})
	return d
}

// DeclarationOver is Declaration with the directory reached over LDAPS.
func DeclarationOver(address, caPEM, passwordFile string) *heimdrahtv1.Declaration {
	d := Declaration()
	d.Directories[0].Servers = []string{"ldaps://" + address}
	d.Directories[0].CaPem = caPEM
	d.Directories[0].BindPasswordFile = passwordFile
	return d
}
