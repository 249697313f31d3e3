//go:build linux

package crash_test

import (
	"context"
	"flag"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"google.golang.org/grpc/status"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/store/postgrestest"
)

var killSeed = flag.Uint64("kill-seed", 0, "decides what is killed when, and what is done meanwhile; 0: another one each time")

// killsVariable says how often is killed on each database.
const killsVariable = "HEIMDRAHT_CRASH_KILLS"

const defaultKills = 100

// TestKilledUnderLoad kills the control plane and gateways at random moments
// under load, and holds what is there then against what was answered: no
// answered change is lost, no seat or address is held twice, no revoked device
// has a live peer, and gateways are exact again. A seed decides what is killed
// and at which answer, and what the workers do; how their doings interleave is
// the machine's.
func TestKilledUnderLoad(t *testing.T) {
	t.Parallel() // after those that look at the clock
	kills := defaultKills
	if text := os.Getenv(killsVariable); text != "" {
		var err error
		kills, err = strconv.Atoi(text)
		must(t, "reading "+killsVariable, err)
	}
	seed := *killSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	for _, on := range []func(testing.TB) database{
		func(testing.TB) database { return onSQLite() },
		func(t testing.TB) database { return onPostgres(t, postgrestest.New(t)) },
	} {
		on := on(t)
		t.Run(on.name, func(t *testing.T) {
			t.Parallel()
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("again: go test ./cmd/internal/crash -run %s -kill-seed %d", t.Name(), seed)
				}
			})
			newTown(t, on, seed).killed(kills)
		})
	}
}

// town is a control plane with two gateways, and people.
type town struct {
	*load

	t        testing.TB
	on       database
	seed     uint64
	random   *rand.Rand
	plane    *plane
	client   *provisionertest.Client
	books    *books
	gateways []*gatewayProcess
	survived []int // how often each has lost the control plane since its start
	kills    int
}

const (
	workers = 4
	// townPeople may have two laptops each.
	townPeople = 4000
)

func newTown(t testing.TB, on database, seed uint64) *town {
	w := &town{load: newLoad(t, newLedger()), t: t, on: on, seed: seed, random: rand.New(rand.NewPCG(seed, 0)), survived: make([]int, 2)}
	directory := provisionertest.ServeDirectory(t, townPeople)
	var token string
	w.plane, token = newPlane(t, t.TempDir(), on)
	w.plane.start()
	w.client = w.plane.client()
	w.client.Redeem(token)
	hosts := []string{newHost(), newHost()}
	declare(t, w.client, directory, func(d *heimdrahtv1.Declaration) {
		// Few seats, one of them another tenant's: they run out now and then.
		d.LicencePools[0].Contracts[0].Seats, d.LicencePools[0].Contracts[0].Burst = 60, 4
		d.LicencePools[0].Tenants = []*heimdrahtv1.PoolShare{
			{Tenant: provisionertest.Tenant, Guarantee: 30}, {Tenant: provisionertest.Other, Guarantee: 1},
		}
		d.Gateways[0].Endpoint = hosts[0] + ":51820"
		d.Gateways = append(d.Gateways, &heimdrahtv1.GatewayDeclaration{
			Name: "gw2", Endpoint: hosts[1] + ":51820", Sessions: 100,
			AggregateV4: "10.81.0.0/16", AggregateV6: "fd80:2::/48", Tenants: []string{provisionertest.Tenant},
		})
	})
	w.desk = w.client.Login(provisionertest.Tenant, provisionertest.Helpdesk)
	w.books = openBooks(t, w.plane, on)
	for i, host := range hosts {
		w.gateways = append(w.gateways, joinGateway(t, w.client, fmt.Sprint("gw", i+1), host, w.plane.address))
		w.gateways[i].start()
	}
	w.settle()
	return w
}

// killed kills so often, and looks what has become of it.
func (w *town) killed(kills int) {
	for round := 1; w.kills < kills && !w.t.Failed(); round++ {
		w.disturbed.Store(false)
		stop, abort := w.work(w.client, workers, w.seed, uint64(round))
		w.await(int64(4 + w.random.IntN(14)))
		<-time.After(time.Duration(w.random.IntN(5000)) * time.Microsecond)
		w.disturbed.Store(true)
		what := w.strike()
		if what == "" {
			w.strikeGateway(w.random.IntN(len(w.gateways)))
			w.await(5) // life goes on meanwhile
			stop()
			what = "a gateway"
		} else {
			abort()
			w.plane.start()
		}
		w.settle()
		w.exact(fmt.Sprintf("after kill %d, of %s, in round %d", w.kills, what, round))
	}
	w.finish()
}

// strike kills the control plane, with gateways or without, and says so; nothing
// if it is a gateway's turn.
func (w *town) strike() string {
	if w.random.IntN(3) == 0 {
		return ""
	}
	w.plane.kill()
	w.kills++
	what := "the control plane"
	for i := range w.gateways {
		// One that has lost the control plane several times waits for longer.
		if w.survived[i]++; w.survived[i] > 2 || w.random.IntN(4) == 0 {
			w.strikeGateway(i)
			what += " and " + w.gateways[i].name
		}
	}
	return what
}

func (w *town) strikeGateway(i int) {
	w.gateways[i].kill()
	w.gateways[i].start()
	w.survived[i] = 0
	w.kills++
}

// settle waits until the control plane serves and all gateways are connected.
func (w *town) settle() {
	w.t.Helper()
	for _, g := range w.gateways {
		w.books.connected(g.name, time.Time{})
	}
}

// exact holds the database against what was answered, and the gateways against
// the database.
func (w *town) exact(when string) {
	w.t.Helper()
	sessions := w.check(w.books, when)
	for _, g := range w.gateways {
		g.exactly(w.t, openKeys(sessions, g.name), when)
	}
}

// finish holds over the protocol what the ledger says, ends in order, and reads
// the audit log.
func (w *town) finish() {
	w.disturbed.Store(false)
	one := &worker{load: w.load, plane: w.client, random: w.random, conn: w.client.Dial(nil)}
	dead, resumed := 0, 0
	for _, d := range w.devices {
		var last *session
		if n := len(d.sessions); n > 0 {
			last = d.sessions[n-1]
		}
		switch {
		case d.revokeAnswer && dead < 20:
			dead++
			one.dead(w.t.Context(), d)
		case last != nil && !last.closeAsked && !d.revokeAsked && resumed < 20:
			resumed++
			w.resumes(d, last)
		}
	}
	if dead == 0 || resumed == 0 || w.closed == 0 || w.renewed == 0 {
		w.t.Errorf("%d revoked and %d open devices were tried, %d sessions closed, %d renewed: the load was too small", dead, resumed, w.closed, w.renewed)
	}
	w.plane.terminate()
	w.check(w.books, "after an orderly end")
	w.records()
	w.t.Logf("%d kills: %d devices enrolled, %d sessions opened, %d renewed, %d closed, %d devices revoked",
		w.kills, len(w.devices), w.opened, w.renewed, w.closed, w.revoked)
}

// resumes holds that a device goes on with its session.
func (w *town) resumes(d *device, s *session) {
	w.t.Helper()
	own := w.client.Dial(&d.Certificate)
	defer own.Close()
	stream, err := heimdrahtv1.NewSessionServiceClient(own).Attach(w.t.Context())
	must(w.t, "attaching", err)
	answer, err := provisionertest.Open(stream, s.id)
	if err != nil || !answer.GetOpened().GetResumed() || answer.GetOpened().GetSessionId() != s.id {
		w.t.Errorf("resuming %s: %v, %v", s.id, answer, status.Convert(err))
	}
}

// records of the audit log verify, and every answered enrolment and revocation
// has one.
func (w *town) records() {
	w.t.Helper()
	o := store.Options{Database: w.on.dsn, Password: w.on.password, SchemaAsIs: true, Logger: slog.New(slog.DiscardHandler)}
	if o.Database == "" {
		o.Database = w.plane.file()
	}
	s, err := store.Open(context.Background(), o)
	must(w.t, "opening the store", err)
	defer func() { must(w.t, "closing the store", s.Close()) }()
	done := make(map[string]bool)
	must(w.t, "reading the audit log", s.View(context.Background(), func(tx *store.Reader) error {
		heads, err := tx.AuditHeads()
		if err != nil {
			return err
		}
		for _, head := range heads {
			records, err := tx.AuditRecords(head.Chain, 0, 1<<30)
			if err != nil {
				return err
			}
			for _, r := range records {
				e, err := audit.DecodeEvent(r.Payload)
				if err != nil {
					return err
				}
				done[e.Action+" "+e.Object.ID] = true
			}
			if _, err := audit.Verify(audit.Head{}, sequence(records), head.Head); err != nil {
				return err
			}
		}
		return nil
	}))
	for _, d := range w.devices {
		if !done[string(provisioner.ActionEnrol)+" "+d.ID] || d.revokeAnswer && !done[string(provisioner.ActionRevokeDevice)+" "+d.ID] {
			w.t.Errorf("no record says that device %s was enrolled, or revoked (%v)", d.ID, d.revokeAnswer)
		}
	}
}

func sequence(records []audit.Record) iter.Seq2[audit.Record, error] {
	return func(yield func(audit.Record, error) bool) {
		for _, r := range records {
			if !yield(r, nil) {
				return
			}
		}
	}
}
