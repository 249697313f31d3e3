package access

import (
	"fmt"
	"strconv"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Single is the taking, or giving back, of one person's access by one person alone.
type Single struct {
	Tenant, Person string
	Reason         string
	Emergency      bool
}

// Alone counts that somebody's access is taken, or given back, without a second person, and refuses it with
// second-person if it is one person too many. An emergency is recorded, and does not count. It belongs into the
// transaction that does it, once something has changed. The control plane itself takes as it has to.
func Alone(tx *store.Writer, actor provisioner.Actor, s Single) error {
	switch {
	case actor.Has(provisioner.RoleSystem):
		return nil
	case s.Emergency:
		return tx.Audit(store.Event{
			Actor: actor, Tenant: s.Tenant, Action: "declare emergency", Object: audit.Object{Kind: "person", ID: s.Person}, Reason: s.Reason,
		})
	}
	others, first, err := tx.TakenAlone(actor.ID, s.Person, tx.Now.Add(-provisioner.AloneWithin))
	if err != nil {
		return fmt.Errorf("counting whose access somebody has taken alone: %w", err)
	}
	if others >= provisioner.PeopleAlone {
		return provisioner.Refuse(provisioner.CodeSecondPerson, "limit", strconv.Itoa(provisioner.PeopleAlone)).
			After(first.Add(provisioner.AloneWithin).Sub(tx.Now))
	}
	return tx.NoteTakenAlone(actor.ID, s.Tenant, s.Person)
}
