package testprocess_test

import (
	"net"
	"os/exec"
	"sync"
	"testing"

	"github.com/heimdraht/heimdraht/internal/testprocess"
)

// A port that was given back can be listened on at once, while children are being started that have copies of sockets.
func TestAPortIsFreeAtOnce(t *testing.T) {
	stop := make(chan struct{})
	var starting sync.WaitGroup
	for range 3 {
		starting.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_ = exec.CommandContext(t.Context(), "/bin/true").Run()
				}
			}
		})
	}
	for range 500 {
		address, err := testprocess.FreeAddress(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
		if err != nil {
			t.Errorf("listening on a free address: %v", err)
			break
		}
		if err := testprocess.Unlisten(l); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	starting.Wait()
}
