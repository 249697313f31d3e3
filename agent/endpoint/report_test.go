package endpoint

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/heimdraht/heimdraht/agent/endpoint/endpointtest"
	"github.com/heimdraht/heimdraht/agent/usage"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// agreed is what a control plane wants to know under an agreement.
func agreed() *heimdrahtv1.Metering {
	return &heimdrahtv1.Metering{AgreementReference: "DV 2026-03", AgreementDate: "2026-03-01", Products: []*heimdrahtv1.MeteredProduct{
		{Name: "citrix", Processes: []string{"wfica", "wfica32.exe"}}, {Name: "phone", Processes: []string{"sipp"}},
	}}
}

// looker plays what runs on a laptop, and keeps what it was asked for.
type looker struct {
	mu    sync.Mutex
	asked [][]usage.Product
}

func (l *looker) look(products []usage.Product) []usage.Use {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = append(l.asked, products)
	var uses []usage.Use
	for _, p := range products {
		u := usage.Use{Product: p.Name, InUse: p.Name == "citrix"}
		if u.InUse {
			u.Version = "24.1"
		}
		uses = append(uses, u)
	}
	return uses
}

// reports has a laptop that reports when it is asked to, and not by itself.
func reports(t *testing.T, script func(*endpointtest.Script)) (*harness, *Endpoint, *looker, func()) {
	t.Helper()
	h, l := newHarness(t), &looker{}
	h.Script(func(s *endpointtest.Script) { s.RenewEvery = 10 * time.Minute; s.Metering = agreed(); script(s) })
	e := h.laptop(func(o *Options) { o.Look = l.look })
	h.enrol(e)
	h.up(e)
	report := func() {
		t.Helper()
		at := e.Reported()
		e.Want() // a hint, upon which an open session is renewed
		h.Await("renewed")
		eventually(t, e, "the report", func(Status) bool { return e.Reported() != at })
	}
	return h, e, l, report
}

// What is shown as reported is what went over the wire, field by field, and only what
// is listed is looked at.
func TestReportedIsWhatWentOverTheWire(t *testing.T) {
	h, e, l, report := reports(t, func(*endpointtest.Script) {})
	if got := e.Reported(); got != nil {
		t.Fatalf("before anything was reported: %+v", got)
	}
	before := time.Now()
	report()
	shown, sent := e.Reported(), h.Seen().Reports
	if len(sent) != 1 {
		t.Fatalf("%d reports", len(sent))
	}
	var message heimdrahtv1.RenewSession
	check(t, protojson.Unmarshal(shown.Message, &message))
	if !proto.Equal(&message, sent[0]) {
		t.Errorf("shown is\n%v\nand sent was\n%v", &message, sent[0])
	}
	if diff := cmp.Diff(&Agreement{"DV 2026-03", "2026-03-01"}, shown.Agreement); diff != "" || shown.At.Before(before) || shown.At.After(time.Now()) || shown.Clipped != "" {
		t.Errorf("%+v", shown)
	}
	want := &heimdrahtv1.Usage{Products: []*heimdrahtv1.ProductInUse{{Name: "citrix", InUse: true, Version: "24.1"}, {Name: "phone"}}}
	if got := (&heimdrahtv1.Usage{Products: sent[0].GetUsage().GetProducts()}); !proto.Equal(got, want) {
		t.Errorf("reported %v", got)
	}
	asked := []usage.Product{{Name: "citrix", Processes: []string{"wfica", "wfica32.exe"}}, {Name: "phone", Processes: []string{"sipp"}}}
	if diff := cmp.Diff([][]usage.Product{asked}, l.asked); diff != "" {
		t.Error(diff)
	}
}

// The list follows what renewals say; without an agreement nothing is looked at; and
// what the control plane did not take is shown.
func TestMeteringChanges(t *testing.T) {
	h, e, l, report := reports(t, func(s *endpointtest.Script) {
		s.Renewed = func(m *heimdrahtv1.SessionRenewed) {
			m.Metering = &heimdrahtv1.Metering{Products: agreed().GetProducts()} // the agreement is gone
			m.Clipped = &heimdrahtv1.Refusal{Code: "report-clipped", Sentence: "Nicht alles."}
		}
	})
	report()
	eventually(t, e, "what was not taken", func(Status) bool { return e.Reported().Clipped == "Nicht alles." })
	h.Script(func(s *endpointtest.Script) { s.Renewed = nil })
	report()
	if sent := h.Seen().Reports[1]; len(sent.GetUsage().GetProducts()) > 0 || len(l.asked) != 1 {
		t.Errorf("without an agreement reported %v, looked at %v", sent, l.asked)
	}
	if shown := e.Reported(); shown.Agreement != nil || shown.Clipped != "" {
		t.Errorf("shown is %+v", shown)
	}
}

func TestTakeMetering(t *testing.T) {
	if _, err := takeMetering(agreed()); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*heimdrahtv1.Metering){
		"no reference":       func(m *heimdrahtv1.Metering) { m.AgreementReference = "" },
		"no date":            func(m *heimdrahtv1.Metering) { m.AgreementDate = "" },
		"no day":             func(m *heimdrahtv1.Metering) { m.AgreementDate = "2026-02-30" },
		"endless reference":  func(m *heimdrahtv1.Metering) { m.AgreementReference = strings.Repeat("x", 501) },
		"reference steers":   func(m *heimdrahtv1.Metering) { m.AgreementReference = "\x1b[2J" },
		"unnamed":            func(m *heimdrahtv1.Metering) { m.Products[0].Name = "" },
		"name steers":        func(m *heimdrahtv1.Metering) { m.Products[0].Name = "\x1b[2J" },
		"program in a place": func(m *heimdrahtv1.Metering) { m.Products[0].Processes[0] = "/usr/bin/wfica" },
		"unnamed program":    func(m *heimdrahtv1.Metering) { m.Products[0].Processes[0] = "" },
		"endless program":    func(m *heimdrahtv1.Metering) { m.Products[0].Processes[0] = strings.Repeat("x", 65) },
		"programs": func(m *heimdrahtv1.Metering) {
			m.Products[0].Processes = strings.Split(strings.Repeat("x,", 21), ",")[:21]
		},
		"products": func(m *heimdrahtv1.Metering) {
			for len(m.GetProducts()) <= maxProducts {
				m.Products = append(m.Products, m.GetProducts()[0])
			}
		},
	} {
		m := agreed()
		spoil(m)
		if took, err := takeMetering(m); err == nil {
			t.Errorf("%s: took %+v", name, took)
		}
	}
}
