package endpoint

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/usage"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// What a laptop lets itself be asked of products.
const (
	maxProducts    = 50
	maxProcesses   = 20
	maxProcessName = 64
	maxAgreement   = 500
)

// metering is what is to be said of products, and under which agreement with the staff council.
type metering struct {
	agreement Agreement
	products  []usage.Product
}

// Agreement is one with the staff council.
type Agreement struct {
	Reference string `json:"reference"`
	Date      string `json:"date"` // ISO 8601
}

// Reported is what this laptop has told the control plane last.
type Reported struct {
	At time.Time `json:"at"`
	// Agreement is under which it told of products. Nil: of none.
	Agreement *Agreement `json:"works_agreement,omitempty"`
	// Message is all that went over the wire, as JSON: heimdraht.v1.RenewSession, in proto/heimdraht/v1/session.proto.
	Message json.RawMessage `json:"message"`
	// Clipped says what of it the control plane did not take. Empty: all of it, as far as is known.
	Clipped string `json:"clipped,omitempty"`
	// Conditions is what it has told when it connected of what the administration asks of laptops, as JSON:
	// heimdraht.v1.ConditionReport. None: nothing is asked.
	Conditions json.RawMessage `json:"conditions,omitempty"`
}

// checkMetering takes what the control plane wants to know of products, as long as an agreement with the staff council
// is named. Else, and of what exceeds the limits, nothing is told; a session is none the worse for it.
func (e *Endpoint) checkMetering(m *heimdrahtv1.Metering) *metering {
	if len(m.GetProducts()) == 0 {
		return nil
	}
	took, err := takeMetering(m)
	if err != nil {
		e.log.Warn("tell nothing of products", "error", err)
		return nil
	}
	return took
}

func takeMetering(m *heimdrahtv1.Metering) (*metering, error) {
	took := &metering{agreement: Agreement{m.GetAgreementReference(), m.GetAgreementDate()}}
	_, err := time.Parse(time.DateOnly, took.agreement.Date)
	switch {
	case err != nil || took.agreement.Reference == "" || len(took.agreement.Reference) > maxAgreement || !printable(took.agreement.Reference):
		return nil, errors.New("the control plane names no agreement with the staff council")
	case len(m.GetProducts()) > maxProducts:
		return nil, errors.New("the control plane asks for too many products")
	}
	for _, p := range m.GetProducts() {
		if p.GetName() == "" || !plainText(p.GetName()) || len(p.GetProcesses()) > maxProcesses {
			return nil, errors.New("the control plane asks for a product without a name, or with too many programs")
		}
		for _, name := range p.GetProcesses() {
			if name == "" || len(name) > maxProcessName || !printable(name) || strings.ContainsAny(name, `/\`) {
				return nil, errors.New("the control plane asks for something that is no program's name")
			}
		}
		took.products = append(took.products, usage.Product{Name: p.GetName(), Processes: p.GetProcesses()})
	}
	return took, nil
}

// look says of the products that are metered, and of nothing else, whether they run.
func (e *Endpoint) look(m *metering) (list []*heimdrahtv1.ProductInUse) {
	if m == nil || e.options.Look == nil {
		return nil
	}
	for _, u := range e.options.Look(m.products) {
		list = append(list, &heimdrahtv1.ProductInUse{Name: u.Product, InUse: u.InUse, Version: u.Version})
	}
	return list
}

// note keeps a report as it was sent, for whoever wants to see it.
func (e *Endpoint) note(report *heimdrahtv1.RenewSession, m *metering) {
	message, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(report)
	if err != nil { // not of a message of ours
		e.log.Error("could not keep what is reported", "error", err)
		return
	}
	noted := &Reported{At: time.Now().UTC(), Message: message}
	if m != nil && len(report.GetUsage().GetProducts()) > 0 {
		noted.Agreement = &m.agreement
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.reported = noted
}

// heard follows what the answer to a report says of it, and of the next ones.
func (e *Endpoint) heard(m *heimdrahtv1.SessionRenewed) {
	list := e.checkMetering(m.GetMetering())
	e.mu.Lock()
	defer e.mu.Unlock()
	if m.GetMetering() != nil && e.held != nil {
		next := *e.held
		next.metering = list
		e.held = &next
	}
	if m.GetClipped() != nil && e.reported != nil {
		next := *e.reported
		next.Clipped = control.FromRefusal(m.GetClipped()).Text(e.language).Sentence
		e.reported = &next
	}
}

// Reported is what this laptop has told the control plane last; nil: nothing yet.
func (e *Endpoint) Reported() *Reported {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.conditions == nil {
		return e.reported
	}
	told := Reported{At: e.conditionsAt, Message: json.RawMessage("{}")}
	if e.reported != nil {
		told = *e.reported
	}
	told.Conditions = e.conditions
	return &told
}
