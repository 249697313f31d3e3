package page

import (
	"context"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint"
)

// Laptop is what the page shows and drives, in the name of one account of this machine, with sentences in one language,
// "de" or "en". Errors are a *control.Problem where a person can do something.
type Laptop interface {
	Status(ctx context.Context) (endpoint.Status, error)
	// Why is Status with the chain of what a connection needs. It may take some seconds.
	Why(ctx context.Context) (endpoint.Status, error)
	Up(ctx context.Context) error
	Down(ctx context.Context) error
	Enrol(ctx context.Context, r endpoint.EnrolRequest) (endpoint.Enrolled, error)
	SignInAgain(ctx context.Context, p control.Proof) (goodFor time.Duration, err error)
	// StillHere says that the person is there although nothing is transferred.
	StillHere(ctx context.Context) error
	// BeginFactor makes the secret of a second factor, which ConfirmFactor completes with a first code; it gives the recovery codes.
	BeginFactor(ctx context.Context, r endpoint.FactorRequest) (endpoint.NewFactor, error)
	ConfirmFactor(ctx context.Context, r endpoint.FactorRequest) (recovery []string, err error)
	// BeginByCode gives the code under which this laptop waits. AwaitByCode waits a moment; enrolled false: it waits on.
	BeginByCode(ctx context.Context, address string) (endpoint.Waiting, error)
	AwaitByCode(ctx context.Context, address string) (enrolled bool, err error)
	HouseRules(ctx context.Context) (endpoint.HouseRules, error)
	Acknowledge(ctx context.Context, version string) error
	// ReportLost ends this laptop's access for good.
	ReportLost(ctx context.Context, stolen bool) (endpoint.Lost, error)
	// SendDiagnosis gives the helpdesk a text, and what the person has to say.
	SendDiagnosis(ctx context.Context, text, words string) (endpoint.Sent, error)
	// Reported is nil if nothing was reported yet.
	Reported(ctx context.Context) (*endpoint.Reported, error)
}
