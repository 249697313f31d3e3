package privacy

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/enrolment"
	"github.com/heimdraht/heimdraht/provisioner/session"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// HistoryDays is how long sessions that have ended are kept.
const HistoryDays = 7

// How many histories somebody may look at within a day: enough for a helpdesk's
// day, and far from everybody's working hours.
const (
	historyLimit  = 20
	historyWindow = 24 * time.Hour
	mostSessions  = 1000 // of one person in a week
)

// historyKey is under what somebody's looks are counted.
func historyKey(actor string) string { return "h:" + actor }

// Purpose is what a history is looked at for.
type Purpose string

// The purposes. There is none for looking at somebody's work.
const (
	PurposeFault    Purpose = "fault"                 // her connection does not work as it should
	PurposeIncident Purpose = "security-incident"     // somebody else may have used her access
	PurposeRequest  Purpose = "request-of-the-person" // she asks herself
)

// HistoryRequest asks for the sessions of one person.
type HistoryRequest struct {
	Person, Tenant string
	Purpose        Purpose
	Reason         string // in the asking person's words; recorded
}

// PastSession is a session of the last days, open or closed.
type PastSession struct {
	Device, DeviceName string
	Gateway            string
	Addresses          []netip.Prefix
	OpenedAt, ClosedAt time.Time // ClosedAt is zero: it is open
	Why                provisioner.Code
}

// History gives the sessions of one person in the last seven days, the latest first. The look
// is recorded, with purpose and reason. Beyond 20 within a day it is refused with
// history-limit, which is recorded too.
func (s *Service) History(ctx context.Context, actor provisioner.Actor, r HistoryRequest) ([]PastSession, error) {
	const action = provisioner.ActionReadHistory
	if refusal := provisioner.Allow(actor, action, provisioner.Object{}); refusal != nil {
		return nil, refusal
	}
	switch r.Purpose {
	case PurposeFault, PurposeIncident, PurposeRequest:
	default:
		return nil, provisioner.Refuse(provisioner.CodeInvalid).With("field", "Zweck", "purpose").
			With("why", "es gibt: fault, security-incident, request-of-the-person", "there are: fault, security-incident, request-of-the-person")
	}
	reason, err := reasonOf(r.Reason)
	if err != nil {
		return nil, err
	}
	var found store.FoundPerson
	var refusal *provisioner.Refusal
	err = s.Store.Update(ctx, func(tx *store.Writer) (err error) {
		refusal = nil
		if found, err = enrolment.FindPerson(&tx.Reader, actor, action, r.Person, r.Tenant); err != nil {
			return err
		}
		e := store.Event{
			Actor: actor, Tenant: found.Tenant, Action: string(action), Object: object(found), Reason: reason,
			Details: map[string]string{"purpose": string(r.Purpose)},
		}
		key, since := historyKey(actor.ID), tx.Now.Add(-historyWindow)
		n, first, err := tx.Failures(key, since)
		if err != nil {
			return fmt.Errorf("counting histories: %w", err)
		}
		if n >= historyLimit {
			refusal = provisioner.Refuse(provisioner.CodeHistoryLimit, "limit", strconv.Itoa(historyLimit)).After(first.Add(historyWindow).Sub(tx.Now))
			e.Result = string(refusal.Code)
			return tx.Audit(e)
		}
		if _, err := tx.CountFailure(key, since); err != nil {
			return fmt.Errorf("counting histories: %w", err)
		}
		return tx.Audit(e)
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", action, err)
	}
	if refusal != nil {
		return nil, refusal
	}
	var list []PastSession
	err = s.Store.View(ctx, func(tx *store.Reader) error {
		sessions, err := tx.SessionsSince(found.Person.ID, found.Tenant, time.Now().AddDate(0, 0, -HistoryDays), mostSessions)
		if err != nil {
			return err
		}
		gateways := make(map[string]provisioner.Gateway)
		for _, v := range sessions {
			g, err := gatewayOf(tx, gateways, v.Gateway)
			if err != nil {
				return err
			}
			d, err := tx.Device(v.Device)
			if err != nil {
				return fmt.Errorf("reading a session's device: %w", err)
			}
			list = append(list, PastSession{
				Device: v.Device, DeviceName: d.Name, Gateway: v.Gateway, Addresses: session.Addresses(v, g),
				OpenedAt: v.OpenedAt, ClosedAt: v.ClosedAt, Why: v.ClosedWhy,
			})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", action, err)
	}
	return list, nil
}
