package gateway

import (
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// A gateway in whose name another machine has joined has nothing to hold any
// more; one that merely finds nobody keeps its peers.
func TestAReplacedGatewayDropsItsPeersAtOnce(t *testing.T) {
	for code, want := range map[string]int{"gateway-replaced": 0, "try-later": 2} {
		t.Run(code, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.plane.change(nil, peer(1, 1), peer(2, 2))
				synctest.Wait()
				s, err := status.New(codes.PermissionDenied, code).WithDetails(&heimdrahtv1.Refusal{Code: code, Sentence: "No.", NextStep: "None."})
				if err != nil {
					t.Fatal(err)
				}
				w.plane.with(func() { w.plane.refuse = s.Err() })
				w.plane.disconnect()
				time.Sleep(time.Minute)
				synctest.Wait()
				if got := len(w.device.holds()); got != want {
					t.Errorf("after %s it holds %d peers, want %d", code, got, want)
				}
				w.plane.with(func() { w.plane.refuse = nil })
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				w.exact()
			})
		})
	}
}
