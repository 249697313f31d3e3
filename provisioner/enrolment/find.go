package enrolment

import (
	"fmt"
	"strings"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// shortestPrefix is how much of a device's id must be given: 30 bits, so that
// a slip of the finger hardly ever names another device.
const shortestPrefix = 6

// FindDevice finds a device by its id or a unique beginning of it, among those
// with which actor may do action. A device of a tenant beyond that is not
// found, like one that does not exist.
func FindDevice(tx *store.Reader, actor provisioner.Actor, action provisioner.Action, typed string) (provisioner.Device, error) {
	if refusal := provisioner.Allow(actor, action, provisioner.Object{}); refusal != nil {
		return provisioner.Device{}, refusal
	}
	id := strings.ToLower(strings.TrimSpace(typed))
	if len(id) < shortestPrefix {
		return provisioner.Device{}, provisioner.Refuse(provisioner.CodeInvalid).With("field", "Gerät", "device_id").
			With("why", fmt.Sprintf("es braucht mindestens %d Zeichen", shortestPrefix), fmt.Sprintf("it takes at least %d characters", shortestPrefix))
	}
	list, err := tx.DevicesByPrefix(provisioner.ScopeOf(actor, action), id)
	if err != nil {
		return provisioner.Device{}, fmt.Errorf("finding a device: %w", err)
	}
	switch len(list) {
	case 0:
		return provisioner.Device{}, notFound("Dieses Gerät", "device", typed)
	case 1:
		d := list[0]
		if refusal := provisioner.Allow(actor, action, provisioner.Object{Tenant: d.Tenant, Device: d.ID}); refusal != nil {
			return provisioner.Device{}, refusal
		}
		return d, nil
	default:
		return provisioner.Device{}, provisioner.Refuse(provisioner.CodeAmbiguous, "name", shown(typed)).With("what", "Geräte", "device")
	}
}

// FindPerson finds a person by id in a tenant, or in the only one in which
// actor may do action with her. Of others it tells nothing.
func FindPerson(tx *store.Reader, actor provisioner.Actor, action provisioner.Action, id, tenant string) (store.FoundPerson, error) {
	if refusal := provisioner.Allow(actor, action, provisioner.Object{}); refusal != nil {
		return store.FoundPerson{}, refusal
	}
	scope := provisioner.ScopeOf(actor, action).Narrow(strings.TrimSpace(tenant))
	list, err := tx.PersonIn(scope, strings.ToLower(strings.TrimSpace(id)))
	if err != nil {
		return store.FoundPerson{}, fmt.Errorf("finding a person: %w", err)
	}
	switch len(list) {
	case 0:
		return store.FoundPerson{}, notFound("Diese Person", "person", id)
	case 1:
		if refusal := provisioner.Allow(actor, action, provisioner.Object{Tenant: list[0].Tenant}); refusal != nil {
			return store.FoundPerson{}, refusal
		}
		return list[0], nil
	default:
		names := make([]string, len(list))
		for i, f := range list {
			names[i] = f.Tenant
		}
		return store.FoundPerson{}, provisioner.Refuse(provisioner.CodeTenantMissing, "tenants", strings.Join(names, ", "))
	}
}

func notFound(was, what, typed string) *provisioner.Refusal {
	return provisioner.Refuse(provisioner.CodeNotFound, "name", shown(typed)).With("what", was, what)
}

// shown is what somebody typed, fit to be shown again.
func shown(typed string) string { return audit.CleanText(typed, 64) }
