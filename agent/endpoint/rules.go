package endpoint

import (
	"context"
	"fmt"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// HouseRules are those of the person's administration as they are now, and how she stands to them.
type HouseRules struct {
	// HouseRules nil: there are none.
	*control.HouseRules

	// AcknowledgedAt is when she acknowledged this version. Zero: she has not.
	AcknowledgedAt time.Time `json:"acknowledged_at,omitzero"`
}

// HouseRules asks for the house rules. The error is a *control.Problem.
func (e *Endpoint) HouseRules(ctx context.Context) (rules HouseRules, err error) {
	err = e.ask(ctx, func(ctx context.Context, s heimdrahtv1.EnrolmentServiceClient) error {
		answer, err := s.GetHouseRules(ctx, &heimdrahtv1.GetHouseRulesRequest{})
		rules = HouseRules{HouseRules: control.FromHouseRules(answer.GetHouseRules()), AcknowledgedAt: asTime(answer.GetAcknowledgedAt())}
		return err
	})
	return rules, err
}

// Acknowledge says that the person has acknowledged a version of the house rules. If that was in the way of a
// connection that is wanted, it is tried again. The error is a *control.Problem.
func (e *Endpoint) Acknowledge(ctx context.Context, version string) error {
	err := e.ask(ctx, func(ctx context.Context, s heimdrahtv1.EnrolmentServiceClient) error {
		_, err := s.AcknowledgeHouseRules(ctx, &heimdrahtv1.AcknowledgeHouseRulesRequest{Version: version})
		return err
	})
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.problem != nil && e.problem.Code == codeHouseRules {
		e.halted, e.problem = nil, nil
		e.touch()
	}
	return nil
}

// ask makes one call in the name of the laptop.
func (e *Endpoint) ask(ctx context.Context, call func(context.Context, heimdrahtv1.EnrolmentServiceClient) error) error {
	return e.askOver(ctx, func(ctx context.Context, conn *control.Conn) error {
		return call(ctx, heimdrahtv1.NewEnrolmentServiceClient(conn))
	})
}

// askOver is ask, of whatever service.
func (e *Endpoint) askOver(ctx context.Context, call func(context.Context, *control.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, enrolWithin)
	defer cancel()
	conn, err := e.connect(ctx)
	if err != nil {
		return inTime(err)
	}
	// What was answered counts; the connection is of no more use.
	defer func() { _ = conn.Close() }()
	if err := call(ctx, conn); err != nil {
		return inTime(fmt.Errorf("asking the control plane: %w", control.FromStatus(err)))
	}
	return nil
}
