//go:build linux

package crash_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc/status"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
	"github.com/heimdraht/heimdraht/provisioner/store/postgrestest"
)

// TestKilledWhileAListIsConfirmed kills the control plane while it takes access from a long list of people by a person's
// word: either nothing has been decided, and it can be again, or it goes on by itself to the end. Whoever asks again is
// told which.
func TestKilledWhileAListIsConfirmed(t *testing.T) {
	t.Parallel()
	for _, on := range []func(testing.TB) database{
		func(testing.TB) database { return onSQLite() },
		func(t testing.TB) database { return onPostgres(t, postgrestest.New(t)) },
	} {
		on := on(t)
		t.Run(on.name, func(t *testing.T) {
			t.Parallel()
			w := newDecided(t, on)
			w.killedWhen("it has just been asked", func() bool { return true })
			half := false
			for try := 1; !half && try <= 5; try++ { // a very fast machine may be done before anybody looks
				w.killedWhen("some have lost it", func() bool {
					confirmed := w.count(`select count(*) from held_loss where confirmed = 1`)
					half = confirmed > 0 && confirmed < w.people-1
					return half
				})
			}
			if !half {
				t.Error("it was never killed half-way")
			}
		})
	}
}

// decided is a control plane with staff, of whom all but one leave the group now and then.
type decided struct {
	t         testing.TB
	plane     *plane
	client    *provisionertest.Client
	books     *books
	directory *provisionertest.DirectoryServer
	laptop    provisionertest.Laptop
	staff     []string // their DNs
	people    int64    // who have the right while all are in the group
	decisions int64    // that were recorded
}

func newDecided(t testing.TB, on database) *decided {
	const staff = 600
	w := &decided{t: t, directory: provisionertest.ServeDirectory(t, staff), staff: []string{provisionertest.DN(provisionertest.Staff)}}
	for n := range staff {
		w.staff = append(w.staff, provisionertest.DN(provisionertest.Login(n)))
	}
	w.people = int64(len(w.staff))
	var token string
	w.plane, token = newPlane(t, t.TempDir(), on)
	w.plane.start()
	w.client = w.plane.client()
	w.client.Redeem(token)
	must(t, "filling the group", w.directory.Set(homeOffice(), "member", w.staff...))
	declare(t, w.client, w.directory, func(*heimdrahtv1.Declaration) {})
	w.books = openBooks(t, w.plane, on)
	w.becomes("everybody has the right", `select count(*) from standing where entitled = 1 and tenant = '`+provisionertest.Tenant+`'`, w.people)
	w.laptop = w.client.Enrol(provisionertest.Login(7), "SN7")
	return w
}

func homeOffice() string { return provisionertest.GroupDN("Homeoffice") }

func (w *decided) count(query string) int64 { return value[int64](w.t, w.books.db, query) }

func (w *decided) becomes(what, query string, want int64) {
	w.t.Helper()
	eventually(w.t, what, time.Minute, func() error {
		if n := w.count(query); n != want {
			return fmt.Errorf("%s: %d, want %d", query, n, want)
		}
		return nil
	})
}

func (w *decided) desk() (heimdrahtv1.DirectoryServiceClient, context.Context) {
	return heimdrahtv1.NewDirectoryServiceClient(w.client.Dial(nil)), provisionertest.As(w.t.Context(), w.client.Operator)
}

func (w *decided) confirm(hash string) (uint32, error) {
	desk, ctx := w.desk()
	answer, err := desk.ConfirmPending(ctx, &heimdrahtv1.ConfirmPendingRequest{Tenant: provisionertest.Tenant, Hash: hash, Reason: "the office is closed"})
	return answer.GetPeople(), err
}

// killedWhen confirms that all but one lose the right, kills as soon as it is time, or when it is done, and looks what has
// become of it.
func (w *decided) killedWhen(what string, now func() bool) {
	w.t.Helper()
	must(w.t, "emptying the group", w.directory.Set(homeOffice(), "member", w.staff[0]))
	w.becomes("all but one are held", `select count(*) from held_loss where confirmed = 0`, w.people-1)
	hash := w.hash()
	answered := make(chan error, 1)
	go func() { _, err := w.confirm(hash); answered <- err }()
	for over := false; !over && !now(); {
		select {
		case err := <-answered:
			must(w.t, "confirming", err)
			over = true
			answered <- nil
		default:
		}
	}
	w.plane.kill()
	<-answered //nolint:errcheck // whatever the call came to: it was killed under it
	w.plane.start()

	asked := w.count(`select count(*) from audit_record where payload like '%directory list%'`)
	if asked == w.decisions {
		w.t.Logf("killed when %s: nothing was decided", what)
		if again := w.hash(); again != hash {
			w.t.Errorf("the list has become another one: %s and %s", hash, again)
		}
		n, err := w.confirm(hash)
		must(w.t, "confirming again", err)
		if int64(n) != w.people-1 {
			w.t.Errorf("confirmed %d people of %d", n, w.people-1)
		}
	}
	w.decisions++
	if _, err := w.confirm(hash); status.Convert(err).Message() != string(provisioner.CodePendingConfirmed) {
		w.t.Errorf("confirming what is confirmed: %v", err)
	}
	w.becomes("what was confirmed is done", `select count(*) from held_loss`, 0)
	w.becomes("one has the right", `select count(*) from standing where entitled = 1 and tenant = '`+provisionertest.Tenant+`'`, 1)
	if n := w.count(`select count(*) from audit_record where payload like '%directory list%'`); n != w.decisions {
		w.t.Errorf("%d decisions are recorded, %d were taken", n, w.decisions)
	}
	if _, err := provisionertest.Open(w.client.Attach(w.t.Context(), w.laptop), ""); status.Convert(err).Message() != string(provisioner.CodeDeviceSuspended) {
		w.t.Errorf("opening with a laptop of somebody on the list: %v", err)
	}

	must(w.t, "filling the group", w.directory.Set(homeOffice(), "member", w.staff...))
	w.becomes("everybody has the right again", `select count(*) from standing where entitled = 1 and tenant = '`+provisionertest.Tenant+`'`, w.people)
}

// hash is that of the list that waits.
func (w *decided) hash() (hash string) {
	w.t.Helper()
	desk, ctx := w.desk()
	eventually(w.t, "the list", time.Minute, func() error {
		answer, err := desk.ListPending(ctx, &heimdrahtv1.ListPendingRequest{Tenant: provisionertest.Tenant, Limit: 1})
		if err == nil && len(answer.GetLists()) == 1 {
			hash = answer.GetLists()[0].GetHash()
			return nil
		}
		return fmt.Errorf("listed are %v, %w", answer, err)
	})
	return hash
}
