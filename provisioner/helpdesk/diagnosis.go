package helpdesk

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/access"
	"github.com/heimdraht/heimdraht/provisioner/enrolment"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

const (
	// KeepDiagnoses is how long the helpdesk has to look at what somebody has sent.
	KeepDiagnoses = 14 * 24 * time.Hour
	// diagnosesADay is how many one device may send within a day.
	diagnosesADay = 5
	maxDiagnosis  = 64 << 10
	maxOwnWords   = 1000
)

// Diagnosis is what somebody has sent from her laptop.
type Diagnosis = store.Diagnosis

// KeepDiagnosis keeps what the person of the calling device has sent, and tells until when. A suspended device may send: that
// it does not connect is what she wants to be helped with. It is no audit event: nothing changes for anybody.
func (s *Service) KeepDiagnosis(ctx context.Context, actor provisioner.Actor, text, ownWords string) (kept Diagnosis, until time.Time, err error) {
	if refusal := provisioner.Allow(actor, provisioner.ActionSendDiagnosis, provisioner.Object{Device: actor.ID}); refusal != nil {
		return kept, until, refusal
	}
	if refusal := judgeDiagnosis(text, ownWords); refusal != nil {
		return kept, until, refusal
	}
	err = s.Store.Update(ctx, func(tx *store.Writer) error {
		d, err := ownDevice(&tx.Reader, actor)
		if err != nil {
			return err
		}
		sent, first, err := tx.DiagnosesSince(d.ID, tx.Now.AddDate(0, 0, -1))
		if err != nil {
			return fmt.Errorf("counting what the laptop has sent: %w", err)
		}
		if sent >= diagnosesADay {
			return provisioner.Refuse(provisioner.CodeDiagnosesMany).After(first.AddDate(0, 0, 1).Sub(tx.Now))
		}
		kept = Diagnosis{ID: provisioner.NewID(), Device: d.ID, Tenant: d.Tenant, SentAt: tx.Now.Truncate(time.Millisecond), Words: readable(ownWords), Body: readable(text)}
		return tx.AddDiagnosis(kept)
	})
	if err != nil {
		return kept, until, fmt.Errorf("keeping a diagnosis: %w", err)
	}
	return kept, kept.SentAt.Add(KeepDiagnoses), nil
}

// judgeDiagnosis refuses what is no diagnosis.
func judgeDiagnosis(text, ownWords string) *provisioner.Refusal {
	switch {
	case len(text) > maxDiagnosis || len(ownWords) > maxOwnWords:
		return provisioner.Refuse(provisioner.CodeInvalid).With("field", "Störungsmeldung", "diagnosis").With("why", "sie ist zu lang", "it is too long")
	case !json.Valid([]byte(text)):
		return provisioner.Refuse(provisioner.CodeInvalid).With("field", "Störungsmeldung", "diagnosis").With("why", "sie ist kein JSON", "it is no JSON")
	}
	return nil
}

// readable takes out what could play tricks on whoever reads it; JSON writes nothing of it as it is.
func readable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) || r == ' ' {
			return r
		}
		return -1
	}, strings.ToValidUTF8(text, ""))
}

// Diagnoses shows what was sent from a device, found as enrolment.FindDevice finds it, the latest first. The look is recorded.
func (s *Service) Diagnoses(ctx context.Context, actor provisioner.Actor, device string) (list []Diagnosis, err error) {
	const action = provisioner.ActionReadDiagnoses
	var d provisioner.Device
	if err := s.Store.View(ctx, func(tx *store.Reader) error {
		if d, err = enrolment.FindDevice(tx, actor, action, device); err != nil {
			return err
		}
		list, err = tx.Diagnoses(d.ID, time.Now().Add(-KeepDiagnoses), int(KeepDiagnoses/(24*time.Hour))*diagnosesADay)
		return err
	}); err != nil {
		return nil, fmt.Errorf("%s: %w", action, err)
	}
	return list, s.looked(ctx, actor, d.Tenant, action, access.Object(d), nil)
}
