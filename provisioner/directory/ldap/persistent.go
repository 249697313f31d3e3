package ldap

import (
	"context"
	"errors"
	"fmt"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	goldap "github.com/go-ldap/ldap/v3"

	"github.com/heimdraht/heimdraht/provisioner/directory"
)

// Persistent search (draft-ietf-ldapext-psearch-03).
const (
	oidPersistentSearch = "2.16.840.1.113730.3.4.3"
	oidEntryChange      = "2.16.840.1.113730.3.4.7"

	changeAdd    = 1
	changeDelete = 2
	changeModify = 4
	changeModDN  = 8
)

// persistentSearch asks for all changes from now on, each with what it was.
type persistentSearch struct{}

func (persistentSearch) GetControlType() string { return oidPersistentSearch }

func (persistentSearch) String() string { return "persistent search" }

func (persistentSearch) Encode() *ber.Packet {
	boolean := func(b bool) *ber.Packet {
		return ber.NewBoolean(ber.ClassUniversal, ber.TypePrimitive, ber.TagBoolean, b, "")
	}
	value := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "PersistentSearch")
	value.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, changeAdd|changeDelete|changeModify|changeModDN, "changeTypes"))
	value.AppendChild(boolean(true)) // changesOnly
	value.AppendChild(boolean(true)) // returnECs
	control := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "Control")
	control.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, oidPersistentSearch, "controlType"))
	control.AppendChild(boolean(true)) // critical
	control.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, string(value.Bytes()), "controlValue"))
	return control
}

// followPersistent asks for changes first and reads everything after that, so that nothing gets lost in between; what
// has changed meanwhile waits on the line and is told twice.
func (f *feed) followPersistent(ctx context.Context, on site, to directory.Observer) error {
	w, err := f.openWire(ctx, on)
	if err != nil {
		return err
	}
	defer w.close()
	roots := map[int64]string{}
	for _, root := range on.roots {
		id, err := w.search(root, goldap.ScopeWholeSubtree, on.flavour.FeedFilter(), on.flavour.FeedAttributes(), persistentSearch{})
		if err != nil {
			return err
		}
		roots[id] = root
	}
	w.due = time.Now() // its answer says that the searches have been taken up
	for live := false; ; {
		w.hurry(f.regroupAt())
		m, err := w.next()
		switch {
		case err != nil:
			return err
		case !m.beat:
			if err := f.persistentMessage(w, on, roots[m.id], m, to); err != nil {
				return err
			}
			continue
		case !live:
			if err := f.readAll(ctx, on, to); err != nil {
				return err
			}
			to.Live(on.source(directory.WayPersistentSearch))
			live = true
		}
		if err := f.regroupIfDue(ctx, on, to); err != nil {
			return err
		}
		to.Heard()
	}
}

func (f *feed) persistentMessage(w *wire, on site, root string, m message, to directory.Observer) error {
	switch m.tag {
	case opDone:
		err := m.err()
		switch {
		case err == nil:
			return errors.New("the server has ended the persistent search")
		case goldap.IsErrorAnyOf(err, goldap.LDAPResultUnavailableCriticalExtension, goldap.LDAPResultUnwillingToPerform, goldap.LDAPResultInsufficientAccessRights):
			return fmt.Errorf("%w: %w", errNotOffered, err)
		}
		return f.limited(on, 0, err)
	case opEntry:
		return f.persistentEntry(w, on, root, m, to)
	}
	return nil
}

func (f *feed) persistentEntry(w *wire, on site, root string, m message, to directory.Observer) error {
	change, err := entryChange(m)
	if err != nil {
		return err
	}
	dn, attributes, err := w.entry(m)
	if err != nil {
		return err
	}
	if change != changeDelete {
		return f.change(on, root, dn, attributes, to)
	}
	id, err := on.flavour.ID(attributes)
	if err != nil { // not all servers say more of it than where it was
		id = f.idAt(dn)
	}
	f.gone(id, to)
	return nil
}

// idAt returns the stable id of the entry that was told there, or nothing.
func (f *feed) idAt(dn string) string {
	folded, _ := fold(dn) // what cannot be folded is nobody's
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ids[folded]
}

// entryChange reads what has happened to an entry (draft-ietf-ldapext-psearch-03, section 6). Without the control it is
// as it is sent.
func entryChange(m message) (int64, error) {
	control, ok := m.control(oidEntryChange)
	if !ok {
		return changeModify, nil
	}
	value, ok := control.want(tagSequence)
	change, ok2 := value.number(tagEnumerated)
	if !ok || !ok2 {
		return 0, errMalformed
	}
	return change, nil
}
