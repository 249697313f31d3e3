package rpc_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// unfinished is a message that is announced as large, comes as far as it is to,
// and never ends.
type unfinished struct {
	sent  io.Reader
	piece int // bytes of each frame
	said  func()
	over  <-chan struct{}
}

func (u *unfinished) Read(b []byte) (int, error) {
	n, err := u.sent.Read(b[:min(u.piece, len(b))])
	if err == nil {
		return n, nil
	}
	u.said()
	<-u.over
	return 0, errors.New("the test is over")
}

// flood is what a hostile connection sends.
type flood struct {
	name         string
	calls, bytes int
	piece        int
	refused      bool // else what it sends has room, and waits for the rest
}

// run opens connections that send unfinished messages, and returns when all
// have been answered, or have said what they wanted.
func (f flood) run(t *testing.T, s *provisionertest.Server, connections int) (end func()) {
	t.Helper()
	over := make(chan struct{})
	var settled, ended sync.WaitGroup
	payload := make([]byte, f.bytes)
	ctx, stop := context.WithCancel(t.Context())
	for range connections {
		client := &http.Transport{
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true},
			Protocols:       new(http.Protocols), HTTP2: &http.HTTP2Config{StrictMaxConcurrentRequests: true}, DisableCompression: true,
			MaxConnsPerHost: 1, // else each call would dial, before the first connection is there
		}
		client.Protocols.SetHTTP2(true)
		t.Cleanup(client.CloseIdleConnections)
		for range f.calls {
			settled.Add(1)
			done := sync.OnceFunc(settled.Done)
			ended.Go(func() {
				defer done()
				prefix := binary.BigEndian.AppendUint32([]byte{0}, 7<<20)
				body := &unfinished{sent: io.MultiReader(bytes.NewReader(prefix), bytes.NewReader(payload)), piece: f.piece, said: done, over: over}
				code, err := post(ctx, client, s.Address(), body)
				if ctx.Err() == nil && (!f.refused || err != nil || code != "message-too-large") {
					t.Errorf("%s: answered with %q, %v", f.name, code, err)
				}
			})
		}
	}
	settled.Wait()
	return func() {
		stop()
		close(over)
		ended.Wait()
	}
}

func post(ctx context.Context, client *http.Transport, address string, body io.Reader) (message string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+address+heimdrahtv1.EnrolmentService_Enrol_FullMethodName, body)
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/grpc")
	request.Header.Set("Te", "trailers")
	answer, err := client.RoundTrip(request)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return answer.Header.Get("Grpc-Message") + answer.Trailer.Get("Grpc-Message"), errors.Join(err, answer.Body.Close())
}

// heap is what lies in memory now.
func heap() int64 {
	runtime.GC() // what pools keep goes with the second one
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// Whoever has shown nothing makes us hold little, however it is sent; and who
// is somebody goes on meanwhile, with messages as large as may be.
func TestStrangersAreNotTakenIn(t *testing.T) {
	s := provisionertest.Start(t, nil)
	s.JoinGateway("gw1").Run()
	const connections = 20
	for i, f := range []flood{
		{"one large message", 1, 1 << 20, 16 << 10, true},
		{"large messages", 16, 512 << 10, 16 << 10, true},
		{"as much as there is room for", 1, 30 << 10, 16 << 10, false},
		{"as many small ones as there may be, byte by byte", 14, 120, 1, false},
		{"a large one, byte by byte", 1, 64 << 10, 1, true},
	} {
		before := heap()
		end := f.run(t, s, connections)
		held := (heap() - before) / connections
		t.Logf("%s: %d KB a connection, both its ends together", f.name, held>>10)
		// Unbounded it is 8 MB and more. Of this, the most is what the library and the client
		// keep of each frame of a single byte.
		if held > 2<<20 {
			t.Errorf("%s: a connection makes us hold %d KB", f.name, held>>10)
		}
		othersGoOn(t, s, fmt.Sprint("SN", i))
		large(t, s)
		end()
	}
}

// large has the operator apply a declaration of nearly 4 MB.
func large(t *testing.T, s *provisionertest.Server) {
	t.Helper()
	d := provisionertest.Declaration()
	for i := range 60 {
		ca := proto.CloneOf(d.GetDirectories()[0])
		ca.Name, ca.CaPem = fmt.Sprint("ldap", i), strings.Repeat(strings.Repeat("x", 63)+"\n", 1000)
		d.Directories = append(d.Directories, ca)
	}
	s.Apply(d)
}

// Many who call over one connection at once, as a proxy's may, wait for each
// other at the most.
func TestCallsOfStrangersWaitForEachOther(t *testing.T) {
	s := provisionertest.Start(t, nil)
	client := heimdrahtv1.NewAuthServiceClient(s.Dial(nil))
	var group sync.WaitGroup
	for range 100 {
		group.Go(func() {
			_, err := client.RedeemToken(english(), &heimdrahtv1.RedeemTokenRequest{Token: strings.Repeat("x", 1500)})
			expect(t, "a wrong token", err, "token-invalid")
		})
	}
	group.Wait()
}
