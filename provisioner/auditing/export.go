package auditing

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Earlier is a tenant's record from before tenants had chains of their own.
type Earlier = store.EarlierRecord

// Receiver takes an export, in the order of these methods. An error ends it.
type Receiver interface {
	Begin(installation string, keys []ed25519.PublicKey, checkpoint audit.Checkpoint) error
	Records(chain string, list []audit.Record) error
	Earlier(list []Earlier) error
}

// How much goes to the receiver together.
const (
	sentAtOnce      = 200
	earlierAtOnce   = 50
	sentAtOnceBytes = 256 << 10 // of payloads, and one more
)

// Export gives the whole log of a tenant, or of the installation with every tenant, up to a
// checkpoint that is signed for it. That it was exported, and why, is its last record.
func (s *Service) Export(ctx context.Context, actor provisioner.Actor, tenant, reason string, to Receiver) error {
	if refusal := provisioner.Allow(actor, provisioner.ActionExportAudit, provisioner.Object{Tenant: tenant}); refusal != nil {
		return refusal
	}
	if reason = audit.CleanReason(reason); reason == "" {
		return provisioner.Refuse(provisioner.CodeReasonMissing)
	}
	tenant, err := oneTenant(provisioner.ScopeOf(actor, provisioner.ActionExportAudit), tenant)
	if err != nil {
		return err
	}
	if err := s.Store.Update(ctx, func(tx *store.Writer) error {
		if err := exists(&tx.Reader, tenant); err != nil {
			return err
		}
		return tx.Audit(store.Event{Actor: actor, Tenant: tenant, Action: string(provisioner.ActionExportAudit), Object: object(tenant), Reason: reason})
	}); err != nil {
		return fmt.Errorf("recording that the audit log is exported: %w", err)
	}
	heads, err := s.exported(ctx, tenant)
	if err != nil {
		return err
	}
	check, err := s.speakFor(ctx, heads, tenant == "")
	if err != nil {
		return err
	}
	if err := to.Begin(check.Installation, s.Keys.AuditKeys(), check); err != nil {
		return err
	}
	for _, h := range heads {
		if err := s.sendChain(ctx, h, to); err != nil {
			return err
		}
	}
	if tenant == "" {
		return nil
	}
	return s.sendEarlier(ctx, tenant, to)
}

// exported lists the heads of the chains to export.
func (s *Service) exported(ctx context.Context, tenant string) (heads []audit.ChainHead, err error) {
	err = s.Store.View(ctx, func(tx *store.Reader) error {
		if tenant == "" {
			heads, err = tx.AuditHeads()
			return err
		}
		head, err := tx.AuditHead(tenant)
		heads = []audit.ChainHead{{Chain: tenant, Head: head}}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading how far the audit log has come: %w", err)
	}
	return heads, nil
}

// speakFor signs the heads. Of a chain that does not follow from its last checkpoint that
// one stays our word: who verifies the export finds what was changed.
func (s *Service) speakFor(ctx context.Context, heads []audit.ChainHead, complete bool) (audit.Checkpoint, error) {
	if err := s.sign(ctx, heads, s.Store.Update); err != nil {
		return audit.Checkpoint{}, err
	}
	check := audit.Checkpoint{At: time.Now(), Complete: complete}
	err := s.Store.View(ctx, func(tx *store.Reader) error {
		position, err := tx.Position()
		if err != nil {
			return err
		}
		check.Installation = position.Instance
		for _, h := range heads {
			if !s.isBroken(h.Chain) {
				check.Heads = append(check.Heads, h)
				continue
			}
			last, err := tx.LastCheckpoint(h.Chain)
			if errors.Is(err, store.ErrNone) {
				continue
			}
			if err != nil {
				return err
			}
			if s.isOurs(last.Checkpoint) {
				check.Heads = append(check.Heads, last.Heads...)
			}
		}
		return nil
	})
	if err != nil {
		return check, fmt.Errorf("signing the export: %w", err)
	}
	return audit.Sign(s.Keys.AuditKey(), check), nil
}

func (s *Service) isBroken(chain string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken[chain]
}

// sendChain sends a chain, and holds it against its head on the way: what is wrong is said, and
// sent all the same.
func (s *Service) sendChain(ctx context.Context, head audit.ChainHead, to Receiver) (err error) {
	var list []audit.Record
	size := 0
	flush := func() error {
		if len(list) == 0 {
			return nil
		}
		part := list
		list, size = nil, 0
		return to.Records(head.Chain, part)
	}
	_, found := audit.Verify(audit.Head{}, func(yield func(audit.Record, error) bool) {
		whole := true
		for r, failure := range s.records(ctx, head.Chain, 0, head.Seq) {
			if failure != nil {
				err = fmt.Errorf("reading the audit log: %w", failure)
				return
			}
			size += len(r.Payload)
			list = append(list, r)
			if len(list) == sentAtOnce || size >= sentAtOnceBytes {
				if err = flush(); err != nil {
					return
				}
			}
			whole = whole && yield(r, nil)
		}
	}, head.Head)
	if err != nil {
		return err
	}
	if found != nil {
		s.noteBroken(head.Chain, found)
	}
	return flush()
}

func (s *Service) sendEarlier(ctx context.Context, tenant string, to Receiver) error {
	for after := int64(0); ; {
		list, err := store.Read(ctx, s.Store, func(tx *store.Reader) ([]Earlier, error) { return tx.EarlierRecords(tenant, after, earlierAtOnce) })
		if err != nil {
			return fmt.Errorf("reading the earlier audit log: %w", err)
		}
		if len(list) == 0 {
			return nil
		}
		if err := to.Earlier(list); err != nil {
			return err
		}
		after = list[len(list)-1].Seq
	}
}
