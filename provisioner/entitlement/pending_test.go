package entitlement_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/entitlement"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// holds has so many people held, and gives the hash of their list.
func (w *world) holds(people int) string {
	w.t.Helper()
	w.feed.put(group(staffGroup, dnOf("p000")))
	w.settled()
	p := w.pending()
	if len(p.People) != people {
		w.t.Fatalf("held are %v, want %d", ids(p.People), people)
	}
	return p.Hash
}

// decisions lists what has been recorded about lists.
func (w *world) decisions() (actions []string) {
	w.t.Helper()
	records, err := store.Read(w.t.Context(), w.store, func(tx *store.Reader) ([]store.AuditRecord, error) {
		return tx.FindAudit(store.AuditQuery{Scope: provisioner.Everywhere(), Limit: 10_000})
	})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, r := range slices.Backward(records) {
		e, err := audit.DecodeEvent(r.Payload)
		if err != nil {
			w.t.Fatal(err)
		}
		if e.Object.Kind == "directory list" {
			actions = append(actions, e.Action)
		}
	}
	return actions
}

// TestDecisionsThatCannotBe: nothing has happened, and what is said leads on.
func TestDecisionsThatCannotBe(t *testing.T) {
	t.Parallel()
	const people = 20
	w := newWorld(t, people)
	hash := w.holds(people - 1)
	w.feed.put(person("p001", disabled)) // so it is another list
	w.settled()
	now := w.pending().Hash
	for _, tt := range []struct {
		name string
		d    entitlement.Decision
		want provisioner.Code
	}{
		{"no such tenant", entitlement.Decision{Tenant: "nirgends", Hash: now, Reason: "yes"}, provisioner.CodeNotFound},
		{"a list that was", entitlement.Decision{Tenant: "stadt", Hash: hash, Reason: "yes"}, provisioner.CodePendingChanged},
		{"no hash", entitlement.Decision{Tenant: "stadt", Reason: "yes"}, provisioner.CodePendingChanged},
		{"half a hash", entitlement.Decision{Tenant: "stadt", Hash: now[:6], Reason: "yes"}, provisioner.CodePendingChanged},
		{"a hash for everything", entitlement.Decision{Tenant: "stadt", Hash: strings.Repeat("%", len(now)), Reason: "yes"}, provisioner.CodePendingChanged},
		{"something long", entitlement.Decision{Tenant: "stadt", Hash: strings.Repeat("a", 1<<20), Reason: "yes"}, provisioner.CodePendingChanged},
		{"no reason", entitlement.Decision{Tenant: "stadt", Hash: now, Reason: " \t\n"}, provisioner.CodeReasonMissing},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := w.rights.Confirm(t.Context(), operator, tt.d); codeOf(err) != tt.want {
				t.Errorf("confirming: %v", err)
			}
			if _, err := w.rights.Dismiss(t.Context(), operator, tt.d); codeOf(err) != tt.want {
				t.Errorf("dismissing: %v", err)
			}
		})
	}
	if _, err := w.rights.Pending(t.Context(), operator, "nirgends"); codeOf(err) != provisioner.CodeNotFound {
		t.Errorf("the list of a tenant that there is not: %v", err)
	}
	if n, p := w.connected(), w.pending(); n != people || len(p.People) != people-1 || p.Hash != now || len(w.decisions()) != 0 {
		t.Errorf("%d sessions are open, held are %v, decided was %v", n, ids(p.People), w.decisions())
	}
	// As it may come out of a mail.
	if n, err := w.rights.Confirm(t.Context(), operator, entitlement.Decision{Tenant: "stadt", Hash: " " + strings.ToUpper(now) + "\n", Reason: "yes"}); n != people-1 || err != nil {
		t.Errorf("confirmed %d, %v", n, err)
	}
}

// TestTwoPeopleDecideAtOnce: one of them does, and the other is told who.
func TestTwoPeopleDecideAtOnce(t *testing.T) {
	t.Parallel()
	confirm, dismiss := (*entitlement.Service).Confirm, (*entitlement.Service).Dismiss
	const people = 40
	for _, tt := range []struct {
		name          string
		first, second func(*entitlement.Service, context.Context, provisioner.Actor, entitlement.Decision) (int, error)
	}{
		{"both confirm", confirm, confirm},
		{"one confirms, one dismisses", confirm, dismiss},
		{"both dismiss", dismiss, dismiss},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, people)
			d := entitlement.Decision{Tenant: "stadt", Hash: w.holds(people - 1), Reason: "at once"}
			names := []string{"Olga", "Oskar"}
			var n [2]int
			var err [2]error
			var both sync.WaitGroup
			for i, decide := range []func(*entitlement.Service, context.Context, provisioner.Actor, entitlement.Decision) (int, error){tt.first, tt.second} {
				who := operator
				who.ID, who.Name = names[i], names[i]
				both.Go(func() { n[i], err[i] = decide(w.rights, t.Context(), who, d) })
			}
			both.Wait()
			won := slices.Index(err[:], nil)
			if won < 0 || n[won] != people-1 || n[1-won] != 0 {
				t.Fatalf("decided about %v, %v", n, err)
			}
			actions := w.decisions()
			if len(actions) != 1 {
				t.Fatalf("recorded is %v", actions)
			}
			want, entitled := provisioner.CodePendingDismissed, people
			if actions[0] == string(provisioner.ActionConfirmPending) {
				want, entitled = provisioner.CodePendingConfirmed, 1
			}
			r, refused := provisioner.AsRefusal(err[1-won])
			if !refused || r.Code != want || !strings.Contains(r.Error(), names[won]) {
				t.Errorf("whoever was late is told %v, want %s by %s", err[1-won], want, names[won])
			}
			w.eventually("what was decided is done", func() bool { return w.connected() == entitled })
			if left := w.pending(); len(left.People) != 0 {
				t.Errorf("still held are %v", ids(left.People))
			}
		})
	}
}
