package entitlement_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/directory/ldap"
	"github.com/heimdraht/heimdraht/provisioner/directory/slapdtest"
	"github.com/heimdraht/heimdraht/provisioner/entitlement"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/store/storetest"
)

// byName lends real directories.
type byName map[string]directory.Directory

func (l byName) Use(d provisioner.Directory, use func(directory.Directory) error) error {
	return use(l[d.Name])
}

// listed keeps what one full read finds: stable ids by login.
type listed struct{ ids map[string]string }

func (l listed) Pass() directory.Pass    { return l }
func (l listed) Changed(directory.Entry) {}
func (l listed) Gone(string)             {}
func (l listed) Live(directory.Source)   {}
func (l listed) Heard()                  {}
func (l listed) Unchanged(...string)     {}
func (l listed) Whole()                  {}
func (l listed) Read(e directory.Entry) {
	if e.Person != nil {
		l.ids[e.Person.Login] = e.StableID
	}
}

// exodus is a tenant of a shared directory, of which another one has the people too, with other ids and another group. Both are
// real slapds.
type exodus struct {
	*world

	former, next *slapdtest.Server
	ids          map[string]string // in the new directory, by login
	staff        []int             // of whom each has a laptop with an open session
}

const newStaffGroup = "cn=Fernzugang," + slapdtest.GroupsBase

func newExodus(t *testing.T) *exodus {
	t.Helper()
	x := &exodus{former: startCity(t, 30), next: startCity(t, 30), staff: []int{2, 4, 6, 8, 12, 14}, ids: map[string]string{}}
	x.next.Add(newStaffGroup, "objectClass: groupOfNames", "member: "+slapdtest.StaffGroup)
	s, err := store.Open(t.Context(), storetest.SQLite(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	lent := byName{}
	for name, server := range map[string]*slapdtest.Server{"stadt-ad": x.former, "neu-ad": x.next} {
		d, err := ldap.New(server.Configuration(), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = d.Close() })
		lent[name] = d
	}
	if err := lent["neu-ad"].Feed(directory.Interest{Bases: []string{slapdtest.PeopleBase}, Groups: []string{newStaffGroup}}).Reconcile(t.Context(), listed{x.ids}); err != nil {
		t.Fatal(err)
	}
	x.world = &world{t: t, store: s, log: new(logged), tenant: provisioner.Tenant{
		Name: "stadt", DisplayName: "Stadt", Directory: "stadt-ad", StaffGroup: slapdtest.StaffGroup, Policy: provisioner.DefaultPolicy(),
	}}
	x.declare()
	x.rights = entitlement.New(entitlement.Options{
		Store: s, Directories: lent, Logger: slog.New(slog.NewTextHandler(x.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	x.run()
	x.eventually("the former directory is followed", func() bool { return x.live("stadt-ad") && len(x.entitled()) > 0 })
	for _, n := range x.staff {
		x.addDevice(x.formerID(n))
	}
	return x
}

func (x *exodus) declare() {
	x.t.Helper()
	x.update(func(tx *store.Writer) error {
		for name, server := range map[string]*slapdtest.Server{"stadt-ad": x.former, "neu-ad": x.next} {
			if err := tx.PutDirectory(provisioner.Directory{Name: name, Servers: []string{server.LDAPS}, Base: slapdtest.PeopleBase}); err != nil {
				return err
			}
		}
		if err := tx.PutTenant(x.tenant); err != nil {
			return err
		}
		// The former directory has another tenant, to whom everybody is known who is in this group.
		if err := tx.PutTenant(provisioner.Tenant{Name: "kreis", Directory: "stadt-ad", StaffGroup: slapdtest.Helpdesk, Policy: provisioner.DefaultPolicy()}); err != nil {
			return err
		}
		if err := tx.PutPool(provisioner.LicencePool{
			Name: "vpn", Model: provisioner.PoolConcurrent, Contracts: []provisioner.Contract{{Seats: 1000}}, Shares: []provisioner.PoolShare{{Tenant: "stadt"}},
		}); err != nil {
			return err
		}
		return tx.PutGateway(provisioner.Gateway{
			Name: "gw1", Endpoint: "192.0.2.1:51820", Sessions: 1000, AggregateV4: netip.MustParsePrefix("10.80.0.0/16"), Tenants: []string{"stadt"},
		})
	})
}

// run runs the service until the test ends, or stop is called.
func (x *exodus) run() {
	ctx, cancel := context.WithCancel(context.Background()) // ends in the cleanup, which the test's context does not reach
	done := make(chan error, 1)
	go func() { done <- x.rights.Run(ctx) }()
	x.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			x.t.Error(err)
		}
	})
	x.t.Cleanup(x.stop)
}

func (x *exodus) live(directory string) bool {
	x.t.Helper()
	f, err := store.Read(x.t.Context(), x.store, func(tx *store.Reader) (store.Following, error) { return tx.Following(directory) })
	return err == nil && f.IsLive(time.Now())
}

func login(n int) string { name, _ := slapdtest.Person(n); return name }

// formerID finds somebody in the former directory by what is known.
func (x *exodus) formerID(n int) string {
	x.t.Helper()
	var id string
	if err := x.store.View(x.t.Context(), func(tx *store.Reader) error {
		p, err := tx.PersonTyped("stadt", login(n))
		id = p.StableID
		return err
	}); err != nil {
		x.t.Fatal(err)
	}
	return id
}

func (x *exodus) proposal(people ...int) entitlement.MoveProposal {
	x.t.Helper()
	declared := x.tenant
	declared.Directory, declared.StaffGroup = "neu-ad", newStaffGroup
	p := entitlement.MoveProposal{Tenant: "stadt", Directory: "neu-ad", Declared: &declared, Reason: "leaves the shared domain"}
	for i, n := range people {
		p.Lines = append(p.Lines, entitlement.IdentityLine{Line: i + 1, From: x.formerID(n), To: x.ids[login(n)]})
	}
	return p
}

func (x *exodus) proposed(p entitlement.MoveProposal) entitlement.Move {
	x.t.Helper()
	found, err := x.rights.ProposeMove(x.t.Context(), operator, p)
	if err != nil || len(found.Problems) > 0 {
		x.t.Fatalf("proposed %+v, %v", found, err)
	}
	return found
}

func (x *exodus) uses() string {
	x.t.Helper()
	t, err := store.Read(x.t.Context(), x.store, func(tx *store.Reader) (provisioner.Tenant, error) { return tx.Tenant("stadt") })
	if err != nil {
		x.t.Fatal(err)
	}
	return t.Directory
}

// byDirectory gives the device that was somebody's under her former id, and what the directory has suspended it for.
func (x *exodus) byDirectory(id string) (provisioner.Device, string) {
	x.t.Helper()
	d := x.device(id)
	for _, v := range d.SuspendedBy {
		if v.Source == provisioner.SuspendedByDirectory {
			return d, v.Reason
		}
	}
	return d, ""
}

// TestATenantLeaves: a tenant with people, laptops and open sessions goes on with another directory, which decides from then on, and the
// former one does not any more.
func TestATenantLeaves(t *testing.T) {
	x := newExodus(t)
	former := map[int]string{}
	before := map[int]provisioner.Device{}
	for _, n := range x.staff {
		former[n] = x.formerID(n)
	}
	x.update(func(tx *store.Writer) error {
		d, err := tx.Device("device" + former[14])
		if err != nil {
			return err
		}
		_, err = tx.SuspendDevice(d, provisioner.Suspension{Source: provisioner.SuspendedByHelpdesk, Reason: "left in a train", Since: tx.Now})
		return err
	})
	for _, n := range x.staff {
		before[n] = x.device(former[n])
	}

	p := x.proposal(x.staff[:5]...)
	found, err := x.rights.ProposeMove(t.Context(), operator, p)
	if err != nil || len(found.Problems) != 1 || found.Problems[0].Code != entitlement.IdentityNotMapped || found.Problems[0].Person.Login != login(14) || found.Problems[0].Line != 0 {
		t.Fatalf("without one of them: %+v, %v", found.Problems, err)
	}
	found = x.proposed(x.proposal(x.staff...))
	if again := x.proposed(x.proposal(x.staff...)); again.Hash != found.Hash || !again.ProposedAt.Truncate(time.Millisecond).Equal(found.ProposedAt.Truncate(time.Millisecond)) {
		t.Errorf("proposed again: %+v", again.TenantMove)
	}
	shown, err := x.rights.ReadMove(t.Context(), admin("a", "stadt"), found.Hash)
	if err != nil || len(shown.List) != 6 || len(shown.Changes) != 2 || len(shown.Gone) != 0 || shown.List[0].NewLogin == "" {
		t.Errorf("shown %+v, %v", shown, err)
	}
	for who, c := range map[string]struct {
		actor  provisioner.Actor
		reason string
		want   provisioner.Code
	}{
		"the same":                 {operator, "x", provisioner.CodeFourEyes},
		"without a reason":         {admin("a", "stadt"), " ", provisioner.CodeReasonMissing},
		"another tenant's":         {admin("b", "kreis"), "x", provisioner.CodeProposalUnknown},
		"the helpdesk":             {provisioner.Actor{ID: "h", Grants: []provisioner.Grant{{Role: provisioner.RoleHelpdesk, Tenant: "stadt"}}}, "x", provisioner.CodeNotAllowed},
		"whoever confirms another": {admin("a", "stadt"), "x", ""},
	} {
		hash := found.Hash
		if c.want == "" {
			hash, c.want = "ffff", provisioner.CodeProposalUnknown
		}
		if _, err := x.rights.ConfirmMove(t.Context(), c.actor, hash, c.reason); codeOf(err) != c.want {
			t.Errorf("confirmed by %s: %v", who, err)
		}
	}
	if x.uses() != "stadt-ad" || x.formerID(2) != former[2] {
		t.Fatal("something has changed before it was confirmed")
	}

	if n, err := x.rights.ConfirmMove(t.Context(), admin("a", "stadt"), found.Hash, "compared"); err != nil || n != 6 {
		t.Fatalf("confirmed %d, %v", n, err)
	}
	x.eventually("the new directory is followed", func() bool { return x.live("neu-ad") && x.log.count("a full read was compared") > 1 })
	for _, n := range x.staff {
		now, why := x.byDirectory(former[n])
		if now.Person != before[n].Person || now.Generation != before[n].Generation || len(now.SuspendedBy) != len(before[n].SuspendedBy) || why != "" {
			t.Errorf("%d has %+v, and had %+v", n, now, before[n])
		}
		if id := x.formerID(n); id != x.ids[login(n)] {
			t.Errorf("%d is known as %s", n, id)
		}
	}
	if x.uses() != "neu-ad" || x.connected() != 6 || len(x.pending().People) != 0 {
		t.Errorf("the tenant uses %s, %d sessions are open, held are %+v", x.uses(), x.connected(), x.pending().People)
	}
	if _, err := x.rights.ConfirmMove(t.Context(), admin("a", "stadt"), found.Hash, "again"); codeOf(err) != provisioner.CodeProposalUnknown {
		t.Errorf("confirmed again: %v", err)
	}

	// Whoever is deleted in the former directory stays; that it was noticed is seen by somebody who comes after her.
	x.former.Delete(slapdtest.PersonDN(2))
	x.former.Put(slapdtest.Helpdesk, "member", slapdtest.PersonDN(22))
	x.eventually("the former directory was heard", func() bool {
		found := false
		x.update(func(tx *store.Writer) error {
			_, err := tx.PersonTyped("kreis", login(22))
			found = err == nil
			return nil
		})
		return found
	})
	if _, why := x.byDirectory(former[2]); why != "" || x.connected() != 6 {
		t.Errorf("deleted in the former directory, and suspended for %q", why)
	}
	// Whoever is locked in the new one has left.
	x.next.Set(slapdtest.PersonDN(4), "pwdAccountLockedTime", "000001010000Z")
	x.eventually("who is locked in the new directory has no access", func() bool { _, why := x.byDirectory(former[4]); return why == "locked" && x.connected() == 5 })
}

// TestWhatATenantLeavesBehind: somebody with a laptop whom no line names counts as gone where that was said, as the brake lets her; it
// ends with her alone.
func TestWhatATenantLeavesBehind(t *testing.T) {
	x := newExodus(t)
	left := x.formerID(14)
	p := x.proposal(x.staff[:5]...)
	p.UnmappedGone = true
	found := x.proposed(p)
	if len(found.Gone) != 1 || found.Gone[0].Login != login(14) {
		t.Errorf("left behind are %+v", found.Gone)
	}
	if shown, err := x.rights.ReadMove(t.Context(), admin("a", "stadt"), found.Hash); err != nil || !slices.Equal(shown.Gone, found.Gone) {
		t.Errorf("shown %+v, %v", shown.Gone, err)
	}
	// Somebody has enrolled since.
	x.addDevice(x.formerID(16))
	if _, err := x.rights.ConfirmMove(t.Context(), admin("a", "stadt"), found.Hash, "compared"); codeOf(err) != provisioner.CodeProposalVoid || x.uses() != "stadt-ad" {
		t.Errorf("confirmed what does not hold any more: %v", err)
	}
	p = x.proposal(2, 4, 6, 8, 12, 16)
	p.UnmappedGone = true
	found = x.proposed(p)
	if _, err := x.rights.ConfirmMove(t.Context(), admin("a", "stadt"), found.Hash, "compared"); err != nil {
		t.Fatal(err)
	}
	x.eventually("who was left behind has no access", func() bool { _, why := x.byDirectory(left); return why == "deleted" && x.connected() == 6 })
}

// TestAHalfMove: whoever confirmed a move dies in the middle of it, and so does who follows directories; the next one goes on.
func TestAHalfMove(t *testing.T) {
	x := newExodus(t)
	found := x.proposed(x.proposal(x.staff...))
	x.stop()
	former := map[int]string{}
	for _, n := range x.staff {
		former[n] = x.formerID(n)
	}
	if err := entitlement.BeginMove(t.Context(), x.rights, admin("a", "stadt"), found.Hash, "compared"); err != nil || x.uses() != "neu-ad" {
		t.Fatalf("not begun: %v, %s", err, x.uses())
	}
	x.update(func(tx *store.Writer) error {
		m, err := tx.TenantMove(found.Hash)
		if err != nil {
			return err
		}
		list, err := tx.MovedPeople(m.Hash, 2)
		for _, i := range list {
			if _, fault := tx.MovePerson(m, i); fault != nil {
				return fault
			}
		}
		return err
	})
	var carried int
	for _, n := range x.staff {
		if x.formerID(n) != former[n] {
			carried++
		}
	}
	if carried != 2 || x.connected() != len(x.staff) {
		t.Fatalf("%d of %d are carried over, %d sessions are open", carried, len(x.staff), x.connected())
	}
	// Nobody is made known, or judged, in between.
	x.update(func(tx *store.Writer) error {
		tenant, err := tx.Tenant("stadt")
		if err != nil {
			return err
		}
		for _, about := range []provisioner.Tenant{tenant, x.tenant} {
			if _, err := entitlement.Settle(tx, about, entitlement.Word{Person: provisioner.Person{Directory: about.Directory, StableID: "x"}}); codeOf(err) != provisioner.CodeTenantMoved {
				t.Errorf("settled by %s: %v", about.Directory, err)
			}
		}
		return nil
	})
	x.run()
	x.eventually("the new directory is followed", func() bool { return x.live("neu-ad") })
	for _, n := range x.staff {
		if _, why := x.byDirectory(former[n]); x.formerID(n) != x.ids[login(n)] || why != "" {
			t.Errorf("%d is known as %s, and suspended for %q", n, x.formerID(n), why)
		}
	}
	if x.connected() != len(x.staff) || len(x.pending().People) != 0 {
		t.Errorf("%d sessions are open, held are %+v", x.connected(), x.pending().People)
	}
}

func TestWhatCannotMove(t *testing.T) {
	x := newExodus(t)
	x.next.Set(slapdtest.PersonDN(4), "pwdAccountLockedTime", "000001010000Z")
	lines := func(l ...entitlement.IdentityLine) func(*entitlement.MoveProposal) {
		return func(p *entitlement.MoveProposal) { p.Lines, p.UnmappedGone = l, true }
	}
	x.update(func(tx *store.Writer) error {
		k, err := tx.KeepPerson(provisioner.Person{Directory: "neu-ad", StableID: x.ids[login(6)], Login: login(6)})
		if err != nil {
			return err
		}
		d := provisioner.Device{ID: "theirs", Tenant: "kreis", Person: k.ID, Generation: 1, EnrolledAt: tx.Now}
		copy(d.PublicKey[:], "another key")
		return tx.AddDevice(d)
	})
	line := func(n int, from, to string) entitlement.IdentityLine {
		return entitlement.IdentityLine{Line: n, From: from, To: to}
	}
	id := func(n int) string { return x.ids[login(n)] }
	p := x.proposal()
	lines(line(1, x.formerID(2), id(2)), line(2, "", "x2"), line(3, x.formerID(2), "x3"), line(4, x.formerID(8), id(2)), line(5, "nobody", "x5"),
		line(6, x.formerID(14), "x6"), line(7, x.formerID(6), id(6)), line(8, x.formerID(4), id(4)), line(9, x.formerID(12), id(21)))(&p)
	found, err := x.rights.ProposeMove(t.Context(), operator, p)
	want := []entitlement.IdentityProblem{
		{Line: 2, Code: entitlement.IdentityEmpty}, {Line: 3, Code: entitlement.IdentityTwice, Also: 1}, {Line: 4, Code: entitlement.IdentityTwice, Also: 1},
		{Line: 5, Code: entitlement.IdentityUnknown}, {Line: 6, Code: entitlement.IdentityNotRead}, {Line: 7, Code: entitlement.IdentityTaken},
		{Line: 8, Code: entitlement.IdentityWouldLose}, {Line: 9, Code: entitlement.IdentityWouldLose},
	}
	if err != nil || !slices.Equal(found.Problems, want) {
		t.Errorf("problems %+v, want %+v, %v", found.Problems, want, err)
	}

	good := lines(line(1, x.formerID(2), id(2)))
	for name, c := range map[string]struct {
		actor  provisioner.Actor
		change func(*entitlement.MoveProposal)
		want   provisioner.Code
	}{
		"the tenant's administrator":  {admin("a", "stadt"), good, provisioner.CodeNotAllowed},
		"without a reason":            {operator, func(p *entitlement.MoveProposal) { good(p); p.Reason = "" }, provisioner.CodeReasonMissing},
		"without lines":               {operator, lines(), provisioner.CodeInvalid},
		"a tenant that is none":       {operator, func(p *entitlement.MoveProposal) { good(p); p.Tenant = "weiler" }, provisioner.CodeNotFound},
		"a directory that is none":    {operator, func(p *entitlement.MoveProposal) { good(p); p.Declared, p.Directory = nil, "nirgends" }, provisioner.CodeNotFound},
		"the directory that it has":   {operator, func(p *entitlement.MoveProposal) { good(p); p.Declared, p.Directory = nil, "stadt-ad" }, provisioner.CodeDeclarationInvalid},
		"another one than the file's": {operator, func(p *entitlement.MoveProposal) { good(p); p.Directory = "stadt-ad" }, provisioner.CodeInvalid},
		"a policy besides":            {operator, func(p *entitlement.MoveProposal) { good(p); p.Declared.Policy.DevicesPerPerson = 9 }, provisioner.CodeDeclarationInvalid},
		"a group that is not there": {operator, func(p *entitlement.MoveProposal) {
			good(p)
			p.Declared.StaffGroup = "cn=nirgends," + slapdtest.GroupsBase
		}, provisioner.CodeDeclarationInvalid},
	} {
		p := x.proposal()
		c.change(&p)
		if _, err := x.rights.ProposeMove(t.Context(), c.actor, p); codeOf(err) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	x.next.Stop()
	p = x.proposal()
	good(&p)
	if _, err := x.rights.ProposeMove(t.Context(), operator, p); codeOf(err) != provisioner.CodeDirectoryUnreadable {
		t.Errorf("a directory that is away: %v", err)
	}
	if x.uses() != "stadt-ad" || x.connected() != len(x.staff) {
		t.Error(fmt.Sprint("something has changed: ", x.uses(), x.connected()))
	}
}
