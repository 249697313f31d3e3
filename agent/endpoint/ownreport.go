package endpoint

import (
	"context"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// Lost is what became of a report that this laptop is lost or stolen.
type Lost struct {
	// Gateways is how many may still have let it in, and Confirmed how many of them have said that they do not any more.
	Gateways  int `json:"gateways"`
	Confirmed int `json:"confirmed"`
	// Until is when the others end it by themselves. Zero: all have confirmed.
	Until time.Time `json:"until,omitzero"`
}

// ReportLost has the control plane revoke this laptop for good, because it is not, or not any more, where it belongs. It tells the
// helpdesk and the data protection officer. The error is a *control.Problem.
func (e *Endpoint) ReportLost(ctx context.Context, stolen bool) (lost Lost, err error) {
	err = e.askOver(ctx, func(ctx context.Context, conn *control.Conn) error {
		answer, err := heimdrahtv1.NewReportServiceClient(conn).ReportOwnLost(ctx, &heimdrahtv1.ReportOwnLostRequest{Stolen: stolen})
		for _, c := range answer.GetConfirmations() {
			lost.Gateways++
			if c.GetConfirmed() {
				lost.Confirmed++
			} else if until := asTime(c.GetGraceUntil()); until.After(lost.Until) {
				lost.Until = until
			}
		}
		return err
	})
	return lost, err
}

// Sent is a diagnosis that the helpdesk has got.
type Sent struct {
	ID        string    `json:"id"`
	KeptUntil time.Time `json:"kept_until"`
}

// SendDiagnosis gives the helpdesk what the person was shown, and what she has to say. The error is a *control.Problem.
func (e *Endpoint) SendDiagnosis(ctx context.Context, text, words string) (sent Sent, err error) {
	err = e.askOver(ctx, func(ctx context.Context, conn *control.Conn) error {
		answer, err := heimdrahtv1.NewReportServiceClient(conn).SendDiagnosis(ctx, &heimdrahtv1.SendDiagnosisRequest{Text: text, Words: words})
		sent = Sent{ID: control.Printable(answer.GetDiagnosisId()), KeptUntil: asTime(answer.GetKeptUntil())}
		return err
	})
	return sent, err
}
