package signin_test

import (
	"slices"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

func (w *world) tenant(t *testing.T) provisioner.Tenant {
	t.Helper()
	v, err := store.Read(t.Context(), w.store, func(tx *store.Reader) (provisioner.Tenant, error) { return tx.Tenant("stadt") })
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestFind(t *testing.T) {
	w := newWorld(t)
	for login, want := range map[string]provisioner.Code{
		"eva": "", " EVA.Muster@stadt.example ": "", "niemand": provisioner.CodeLoginUnknown, "": provisioner.CodeLoginUnknown, "e\x00va": provisioner.CodeLoginUnknown,
		"zwilling": provisioner.CodeLoginAmbiguous, "draussen": provisioner.CodeNotInGroup, "ausgeschieden": provisioner.CodeAccessEnded,
	} {
		proof, err := w.service.Find(t.Context(), w.tenant(t), login)
		if codeOf(err) != want {
			t.Errorf("%q: %v, want %q", login, err, want)
		}
		if err == nil && (proof.Person.StableID != "id-eva" || proof.Person.ID == "" || !slices.Contains(proof.Standing.Groups, staffGroup)) {
			t.Errorf("%q found %+v", login, proof)
		}
	}
	w.ldap.falls(directory.Unavailable)
	if _, err := w.service.Find(t.Context(), w.tenant(t), "eva"); codeOf(err) != provisioner.CodeDirectoryUnavailable {
		t.Errorf("while the directory is away: %v", err)
	}
}

// While the directory is followed, who is known needs no question. Whose login is
// only spelt alike, or who would be refused, is asked for.
func TestFindAmongThoseWhoAreKnown(t *testing.T) {
	w := newWorld(t)
	if _, err := w.service.Find(t.Context(), w.tenant(t), "eva"); err != nil {
		t.Fatal(err)
	}
	w.update(t, func(tx *store.Writer) error {
		return tx.PutFollowing(store.Following{Directory: "stadt-ad", State: store.FollowingLive, HeardAt: time.Now(), Since: time.Now()})
	})
	asked := func(login string) (int, error) {
		before := w.ldap.searched
		_, err := w.service.Find(t.Context(), w.tenant(t), login)
		return w.ldap.searched - before, err
	}
	if n, err := asked("Eva"); n != 0 || err != nil {
		t.Errorf("the directory was asked %d times, %v", n, err)
	}
	// Müller is not Mueller to a directory.
	w.ldap.people["müller"] = account{person: directory.Person{StableID: "id-müller", Login: "müller", DisplayName: "Müller", Groups: []string{staffGroup}}}
	if n, err := asked("müller"); n != 1 || err != nil {
		t.Errorf("who is not known: the directory was asked %d times, %v", n, err)
	}
	if n, err := asked("mueller"); n != 1 || codeOf(err) != provisioner.CodeLoginUnknown {
		t.Errorf("who is spelt alike: the directory was asked %d times, %v", n, err)
	}
	// Who was deleted is not she who has the login now.
	w.update(t, func(tx *store.Writer) error {
		p, err := tx.PersonTyped("stadt", "eva")
		if err != nil {
			return err
		}
		return tx.PutStanding(provisioner.Standing{Person: p.ID, Tenant: "stadt", Ended: provisioner.WhyDeleted, ReadAt: tx.Now})
	})
	w.ldap.change([]string{"eva"}, func(a *account) { a.person.StableID = "id-eva-2" })
	proof, err := w.service.Find(t.Context(), w.tenant(t), "eva")
	if err != nil || proof.Person.StableID != "id-eva-2" {
		t.Errorf("found %+v, %v", proof, err)
	}
}
