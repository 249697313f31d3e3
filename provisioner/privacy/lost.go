package privacy

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/access"
	"github.com/heimdraht/heimdraht/provisioner/enrolment"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

const (
	// BreachDeadline is within what a personal data breach has to be notified, once
	// one knows of it (Art. 33(1) GDPR).
	BreachDeadline = 72 * time.Hour
	// KeepLost is how long reports are kept: as long as claims can be raised (sections
	// 195, 199 BGB), which is what the documentation of Art. 33(5) is there for.
	KeepLost = 3 * 366 * 24 * time.Hour
)

// How much one answer holds.
const (
	defaultPage = 100
	maxPage     = 1000
)

func within(n int) int {
	if n <= 0 {
		return defaultPage
	}
	return min(n, maxPage)
}

// LostRequest reports a lost or stolen laptop.
type LostRequest struct {
	Device string // id, or a unique beginning of it
	Reason string // recorded
	Stolen bool
	Since  time.Time     // it is gone; zero: nobody knows
	Wait   time.Duration // for the gateways; as in enrolment.TakeRequest
}

// Lost is what became of it.
type Lost struct {
	Report        store.LostDevice
	Device        provisioner.Device
	Confirmations []provisioner.Confirmation
}

// ReportLost revokes a laptop and keeps for the data protection officer that it is
// lost, in one transaction. Reporting it again mends the report, and waits for
// the gateways again; the time of the first report stays.
func (s *Service) ReportLost(ctx context.Context, actor provisioner.Actor, r LostRequest) (Lost, error) {
	const action = provisioner.ActionReportLost
	if refusal := provisioner.Allow(actor, action, provisioner.Object{}); refusal != nil {
		return Lost{}, refusal
	}
	var err error
	if r.Reason, err = reasonOf(r.Reason); err != nil {
		return Lost{}, err
	}
	if r.Since.After(time.Now()) {
		return Lost{}, provisioner.Refuse(provisioner.CodeInvalid).With("field", "Zeitpunkt des Verlusts", "since").
			With("why", "er liegt in der Zukunft", "it lies in the future")
	}
	return s.reportLost(ctx, actor, action, r)
}

// ReportOwnLost is ReportLost of the calling device, by whoever sits at it, which its person answers for. A suspended device
// may; a revoked one is told that it is.
func (s *Service) ReportOwnLost(ctx context.Context, actor provisioner.Actor, stolen bool) (Lost, error) {
	const action = provisioner.ActionReportOwnLost
	if refusal := provisioner.Allow(actor, action, provisioner.Object{Device: actor.ID}); refusal != nil {
		return Lost{}, refusal
	}
	return s.reportLost(ctx, actor, action, LostRequest{Device: actor.ID, Stolen: stolen, Reason: "reported from the laptop itself"})
}

// find finds the device that is lost, and who says so.
func (r LostRequest) find(tx *store.Reader, actor provisioner.Actor, action provisioner.Action) (d provisioner.Device, by string, err error) {
	if d, err = enrolment.FindDevice(tx, actor, action, r.Device); err != nil || action != provisioner.ActionReportOwnLost {
		return d, actor.ID, err
	}
	refusal := d.MayUse(actor.Generation)
	if refusal != nil && (refusal.Code == provisioner.CodeDeviceRevoked || refusal.Code == provisioner.CodeDeviceReplaced) {
		return d, "", refusal
	}
	return d, d.Person, nil
}

func (s *Service) reportLost(ctx context.Context, actor provisioner.Actor, action provisioner.Action, r LostRequest) (Lost, error) {
	var done Lost
	var debts []store.Debt
	var epoch string
	var revision int64
	err := s.Store.UpdateUrgent(ctx, func(tx *store.Writer) error {
		done = Lost{}
		d, by, err := r.find(&tx.Reader, actor, action)
		if err != nil {
			return err
		}
		connected, err := wasConnected(&tx.Reader, d.ID, r.Since, tx.Now)
		if err != nil {
			return fmt.Errorf("looking whether it was connected: %w", err)
		}
		if done.Report, err = tx.PutLost(store.LostDevice{
			ID: provisioner.NewID(), Tenant: d.Tenant, Device: d.ID, Person: d.Person, Stolen: r.Stolen, Reason: r.Reason,
			ReportedAt: tx.Now, ReportedBy: by, LostSince: r.Since, Connected: connected,
		}); err != nil {
			return fmt.Errorf("keeping the report: %w", err)
		}
		if _, err := access.Revoke(tx, actor, d, r.Reason); err != nil {
			return err
		}
		// One that lies beside it would let in whoever has it.
		withdrawn, err := tx.WithdrawInvitations(d.Tenant, d.SerialNumber, d.Person)
		if err != nil {
			return fmt.Errorf("withdrawing invitations: %w", err)
		}
		if debts, err = tx.DebtsOf(d.ID); err != nil {
			return fmt.Errorf("finding the gateways that may still hold the peer: %w", err)
		}
		if done.Device, err = tx.Device(d.ID); err != nil {
			return err
		}
		epoch, revision = tx.Epoch(), tx.Revision()
		details := map[string]string{"person": d.Person, "connected": string(connected), "report": done.Report.ID}
		if r.Stolen {
			details["stolen"] = "yes"
		}
		if withdrawn > 0 {
			details["invitations withdrawn"] = strconv.FormatInt(withdrawn, 10)
		}
		if !r.Since.IsZero() {
			details["lost since"] = r.Since.UTC().Format(time.RFC3339)
		}
		return tx.Audit(store.Event{Actor: actor, Tenant: d.Tenant, Action: string(action), Object: access.Object(d), Reason: r.Reason, Details: details})
	})
	if err != nil {
		return Lost{}, fmt.Errorf("%s: %w", action, err)
	}
	if len(debts) > 0 {
		patient, cancel := context.WithTimeout(ctx, enrolment.Patience(r.Wait))
		done.Confirmations = s.Confirmations.Wait(patient, epoch, debts)
		cancel()
	}
	s.kept(ctx, revision)
	return done, s.noteEnd(ctx, &done)
}

// wasConnected says whether a device was connected since a time, or is now.
func wasConnected(tx *store.Reader, device string, since, now time.Time) (store.Connected, error) {
	from := since
	if since.IsZero() {
		from = now
	}
	was, err := tx.ConnectedAfter(device, from)
	switch {
	case err != nil || was:
		return store.ConnectedYes, err
	case since.IsZero(), since.Before(now.AddDate(0, 0, -HistoryDays)):
		return store.ConnectedUnknown, nil
	default:
		return store.ConnectedNo, nil
	}
}

// noteEnd keeps when the access had ended: once the last gateway has confirmed, or
// where none held it, with the revocation.
func (s *Service) noteEnd(ctx context.Context, done *Lost) error {
	l := &done.Report
	l.EndedAt = done.Device.RevokedAt
	for _, c := range done.Confirmations {
		l.EndedAt = latest(l.EndedAt, done.Device.RevokedAt.Add(c.After))
		l.EndsAt = latest(l.EndsAt, c.GraceUntil)
	}
	if slices.ContainsFunc(done.Confirmations, func(c provisioner.Confirmation) bool { return !c.Confirmed }) {
		l.EndedAt = time.Time{}
	}
	err := s.Store.Update(context.WithoutCancel(ctx), func(tx *store.Writer) error { return tx.EndLost(l.ID, l.EndedAt, l.EndsAt) })
	if err != nil {
		return fmt.Errorf("keeping when the access had ended: %w", err)
	}
	return nil
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// ListRequest asks for a page of a list.
type ListRequest struct {
	Tenant string // empty: every tenant in scope
	Limit  int    // 0: 100, at most 1,000
	After  string // what the former answer ended with
}

// LostDevices lists reports, the latest first; next is what to ask After for more,
// empty at the end. The look is recorded.
func (s *Service) LostDevices(ctx context.Context, actor provisioner.Actor, r ListRequest) (list []store.LostDevice, next string, err error) {
	const action = provisioner.ActionListLost
	if refusal := provisioner.Allow(actor, action, provisioner.Object{Tenant: r.Tenant}); refusal != nil {
		return nil, "", refusal
	}
	limit := within(r.Limit)
	var after store.LostDevice
	if r.After != "" {
		var ms int64
		if _, err := fmt.Sscanf(r.After, "%d-%s", &ms, &after.ID); err != nil {
			return nil, "", badPage(err)
		}
		after.ReportedAt = time.UnixMilli(ms)
	}
	scope := provisioner.ScopeOf(actor, action).Narrow(r.Tenant)
	if err := s.looked(ctx, actor, action, scope); err != nil {
		return nil, "", err
	}
	if list, err = store.Read(ctx, s.Store, func(tx *store.Reader) ([]store.LostDevice, error) { return tx.LostDevices(scope, after, limit+1) }); err != nil {
		return nil, "", fmt.Errorf("%s: %w", action, err)
	}
	if len(list) > limit {
		list = list[:limit]
		next = fmt.Sprintf("%d-%s", list[limit-1].ReportedAt.UnixMilli(), list[limit-1].ID)
	}
	return list, next, nil
}

func badPage(cause error) *provisioner.Refusal {
	return provisioner.Refuse(provisioner.CodeInvalid).With("field", "Seite", "page_token").
		With("why", "so eine gibt es nicht", "there is no such page").Because(cause)
}

// looked records a look at a list, in each tenant that was looked at; over all of
// them in the installation's own log.
func (s *Service) looked(ctx context.Context, actor provisioner.Actor, action provisioner.Action, scope provisioner.Scope) error {
	tenants, everywhere := scope.Tenants()
	if everywhere {
		tenants = []string{""}
	}
	err := s.Store.Update(ctx, func(tx *store.Writer) error {
		for _, t := range tenants {
			if err := tx.Audit(store.Event{Actor: actor, Tenant: t, Action: string(action)}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("recording who looked: %w", err)
	}
	return nil
}
