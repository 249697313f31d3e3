package endpoint

import (
	"encoding/json"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint/endpointtest"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// FuzzOrders sends two orders that a hostile control plane may send on an open
// session: nothing may panic or hang, the laptop can always say how it stands, and
// when the person wants no connection any more there is none.
func FuzzOrders(f *testing.F) {
	add := func(first, second *heimdrahtv1.AttachResponse) {
		a, err := proto.Marshal(first)
		if err != nil {
			f.Fatal(err)
		}
		b, err := proto.Marshal(second)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(a, b)
	}
	refused := &heimdrahtv1.AttachResponse{Order: &heimdrahtv1.AttachResponse_Refused{Refused: &heimdrahtv1.Refusal{Code: "no-seat", RetryAfterMs: -1}}}
	renewed := &heimdrahtv1.AttachResponse{Order: &heimdrahtv1.AttachResponse_Renewed{Renewed: &heimdrahtv1.SessionRenewed{SessionId: "s-1"}}}
	add(openedOnPaper("s-2", false), endpointtest.Closed("s-2", "session-expired", time.Second))
	add(refused, openedOnPaper("", true))
	add(renewed, endpointtest.Closed("s-1", "device-revoked", 0))
	add(asked("q", "firewall"), asked("", "\x00"))
	add(&heimdrahtv1.AttachResponse{}, &heimdrahtv1.AttachResponse{Order: &heimdrahtv1.AttachResponse_Opened{}})
	add(&heimdrahtv1.AttachResponse{}, &heimdrahtv1.AttachResponse{Order: &heimdrahtv1.AttachResponse_Refused{Refused: &heimdrahtv1.Refusal{}}})
	add(&heimdrahtv1.AttachResponse{Order: &heimdrahtv1.AttachResponse_Closed{}}, &heimdrahtv1.AttachResponse{Order: &heimdrahtv1.AttachResponse_Renewed{}})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		var first, second heimdrahtv1.AttachResponse
		if proto.Unmarshal(a, &first) != nil || proto.Unmarshal(b, &second) != nil {
			return
		}
		onPaper(t, nil, func(t *testing.T, e *Endpoint, p *paperPlane, tunnel *paperTunnel) {
			check(t, e.Up(t.Context()))
			p.order(&first)
			pass(time.Second)
			p.order(&second)
			pass(2 * time.Minute)
			for _, language := range []string{"de", "en"} {
				if s := e.Status(language); s.State == "" || s.Sentence == "" && s.Code == "" {
					t.Errorf("it cannot say how it stands: %+v", s)
				}
			}
			check(t, e.Down(t.Context()))
			if tunnel.standing() {
				t.Error("a tunnel that nobody wants")
			}
		})
	})
}

// FuzzLoad reads what may stand in the laptop's files after somebody has changed
// them: it is this laptop's, or a problem with words, or nothing.
func FuzzLoad(f *testing.F) {
	f.Add(`{"device_id":"d-1","tenant":"stadt","login":"eva","private_key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}`)
	f.Add(`{"device_id":"d-1","server":"::::","private_key":"4BFAVmDQbBQ9UOgJGqVN0YNvPdTFpQ3bYoVxwfKPn3g="}`)
	f.Add(`{}`)
	f.Fuzz(func(t *testing.T, content string) {
		var saved savedDevice
		store := &control.MemoryStore{}
		if err := json.Unmarshal([]byte(content), &saved); err != nil {
			return
		}
		check(t, store.Save(deviceFile, saved))
		e := &Endpoint{options: Options{Store: store}}
		if err := e.load(); err != nil {
			if p, ok := control.AsProblem(err); !ok || p.German.Sentence == "" || p.English.Next == "" {
				t.Errorf("no words for %v", err)
			}
		}
		_ = e.servers()
	})
}
