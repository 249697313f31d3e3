//go:build linux

package crash_test

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint"
	"github.com/heimdraht/heimdraht/agent/wireguard"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
	"github.com/heimdraht/heimdraht/provisioner/store/postgrestest"
)

// trio are replicas on one database: the first was made by init, the others by
// copying its configuration and its master key.
type trio struct {
	*ledger

	t       testing.TB
	books   *books
	planes  []*plane
	clients []*provisionertest.Client // signed in as the operator
	loads   []*load                   // one for each
	gateway *gatewayProcess           // connected to the first one
}

func newTrio(t testing.TB, n int) *trio {
	t.Helper()
	return newTrioOn(t, n, onPostgres(t, postgrestest.New(t)))
}

func newTrioOn(t testing.TB, n int, on database) *trio {
	t.Helper()
	directory := provisionertest.ServeDirectory(t, townPeople)
	r := &trio{t: t, ledger: newLedger()}
	first, token := newPlane(t, t.TempDir(), on)
	r.planes = append(r.planes, first)
	for range n - 1 {
		r.planes = append(r.planes, first.replica(t.TempDir()))
	}
	first.start()
	r.books = openBooks(t, first, on)
	client := first.client()
	client.Redeem(token)
	host := newHost()
	declare(t, client, directory, func(d *heimdrahtv1.Declaration) {
		d.LicencePools[0].Contracts[0].Seats = 1000
		d.Gateways[0].Endpoint, d.Gateways[0].Sessions = host+":51820", 1000
	})
	desk := client.Login(provisionertest.Tenant, provisionertest.Helpdesk)
	for i, p := range r.planes {
		if i > 0 {
			p.start()
		}
		c := p.client()
		c.Operator = client.Operator
		l := newLoad(t, r.ledger)
		l.desk = desk
		l.people.Store(int64(1000 * i))
		r.clients, r.loads = append(r.clients, c), append(r.loads, l)
	}
	r.gateway = joinGateway(t, client, "gw1", host, first.address)
	r.gateway.start()
	r.books.connected("gw1", time.Time{})
	return r
}

// laptop is a real one, without rights, that knows some control planes.
func (r *trio) laptop(planes ...*plane) *endpoint.Endpoint {
	return r.laptopBehind(new(bar), planes...)
}

func (r *trio) laptopBehind(barred *bar, planes ...*plane) *endpoint.Endpoint {
	r.t.Helper()
	var addresses []string
	for _, p := range planes {
		addresses = append(addresses, p.address)
	}
	servers, err := control.ParseServers(addresses)
	must(r.t, "reading the servers", err)
	pin, err := control.ParseFingerprint(planes[0].fingerprint)
	must(r.t, "reading the fingerprint", err)
	e, err := endpoint.New(endpoint.Options{
		Store: new(control.MemoryStore), Servers: servers, Pin: pin, Tenant: provisionertest.Tenant,
		Device:     wireguard.Options{Mode: wireguard.Netstack, SmallFootprint: true},
		DeviceName: "laptop", SerialNumber: "SN-4711", Platform: "linux", Version: "test", Language: "en",
		Logger: slog.New(slog.DiscardHandler), Dial: barred.dial,
	})
	must(r.t, "making a laptop", err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	r.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			r.t.Error("the laptop: ", err)
		}
	})
	return e
}

// bar keeps a laptop from an address: laptops try their servers in random order,
// and a test has to know on which one they are. The zero bar keeps it from none.
type bar struct{ address atomic.Value }

func (b *bar) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if address == b.address.Load() {
		return nil, syscall.EHOSTUNREACH
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}

// greets fetches the intranet's word through a laptop's tunnel.
func greets(ctx context.Context, e *endpoint.Endpoint) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	conn, err := e.DialContext(ctx, "tcp", intranet.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	said, err := io.ReadAll(conn)
	if err == nil && string(said) != greeting {
		err = fmt.Errorf("it says %q", said)
	}
	return err
}

// held is a session as those see it who wait for a stream.
type held struct{ id, stream string }

func (b *books) held(device string) held {
	b.t.Helper()
	all := list(b.t, b.db, func(r *sql.Rows) (h held, err error) { err = r.Scan(&h.id, &h.stream); return h, err },
		`select id, stream from session where device = $1 and closed_at = 0`, device)
	if len(all) != 1 {
		b.t.Fatalf("the device has %d open sessions", len(all))
	}
	return all[0]
}

// TestThreeReplicas has the gateway on one replica, a laptop on the second and the
// helpdesk on the third. The second is killed in the midst of other people's
// work: nothing is lost, the laptop comes back by another server of its list with
// the session it had, and when the third revokes it, the gateway, which hangs on
// the first, confirms at once.
func TestThreeReplicas(t *testing.T) {
	r := newTrio(t, 3)
	third := new(bar)
	third.address.Store(r.planes[2].address)
	e := r.laptopBehind(third, r.planes[1], r.planes[2])
	enrolled, err := e.Enrol(t.Context(), endpoint.EnrolRequest{Login: provisionertest.Staff, Password: provisionertest.Password})
	must(t, "enrolling", err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	must(t, "connecting", e.Up(ctx))
	must(t, "reaching the intranet", greets(ctx, e))
	before := r.books.held(enrolled.DeviceID)
	r.ask(func() { r.known[enrolled.DeviceID] = new(device) })

	var stops []func()
	for i, l := range r.loads {
		stop, abort := l.work(r.clients[i], 3, 1, uint64(i))
		stops = append(stops, stop)
		if i == 1 {
			stops[i] = abort
		}
	}
	for _, l := range r.loads {
		l.await(20)
	}
	r.loads[1].disturbed.Store(true)
	third.address.Store("")
	r.planes[1].kill()
	must(t, "reaching the intranet while its server is dead", greets(ctx, e))
	// Laptops that lose a server come back spread over some time.
	eventually(t, "the laptop comes back", 3*time.Minute, func() error {
		now := r.books.held(enrolled.DeviceID)
		if now.id != before.id {
			t.Fatalf("its session was %s and is %s", before.id, now.id)
		}
		if now.stream == before.stream {
			return fmt.Errorf("its session is still that of the old stream; it says %+v", e.Status("en"))
		}
		return nil
	})
	eventually(t, "the laptop says so", time.Minute, func() error {
		if s := e.Status("en"); !s.ControlPlane {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	must(t, "reaching the intranet afterwards", greets(ctx, e))
	r.loads[0].await(20)
	r.loads[2].await(20)
	for _, stop := range stops {
		stop()
	}
	r.check(r.books, "after the death of a replica")
	r.gateway.exact(r.books, "after the death of a replica")

	answer, err := heimdrahtv1.NewHelpdeskServiceClient(r.clients[2].Dial(nil)).RevokeDevice(
		provisionertest.As(t.Context(), r.loads[2].desk), &heimdrahtv1.RevokeDeviceRequest{DeviceId: enrolled.DeviceID, Reason: "test"})
	must(t, "revoking", err)
	if c := answer.GetConfirmations(); len(c) != 1 || !c[0].GetConfirmed() || c[0].GetGateway() != "gw1" {
		t.Errorf("confirmations %v", c)
	} else if ms := c[0].GetAfterMs(); ms > 1000 { // a generous one: a benchmark measures it
		t.Errorf("confirmed after %d ms", ms)
	} else {
		t.Logf("confirmed by the gateway on another replica after %d ms", ms)
	}
	r.gateway.exact(r.books, "after the revocation")
	if err := greets(ctx, e); err == nil {
		t.Error("the tunnel of a revoked laptop carries traffic")
	}
	eventually(t, "the laptop is told", time.Minute, func() error {
		if s := e.Status("en"); s.Code != "device-revoked" {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
}

// TestDutiesAreTakenOver kills and stops the holder of the control plane's duties.
func TestDutiesAreTakenOver(t *testing.T) {
	r := newTrio(t, 1)
	duties := []string{"expiry", "tidying"}
	all := func(from map[string]dutyRow) map[string]dutyRow {
		now := make(map[string]dutyRow)
		for _, name := range duties {
			now[name] = r.books.taken(name, from[name])
		}
		return now
	}
	first := all(nil)
	second := r.planes[0].replica(t.TempDir())
	second.start()
	r.planes[0].kill()
	seconds := all(first)
	r.planes[0].start()
	must(t, "stopping the holder", second.process.Pause(t.Context()))
	firsts := all(seconds)
	must(t, "letting it go on", second.process.Resume())
	if _, err := provisionertest.TryEnrol(t.Context(), second.client().Dial(nil), provisionertest.NewLaptop(t), provisionertest.Staff, "SN1"); err != nil {
		t.Error("the one that was stopped does not serve: ", err)
	}
	for _, name := range duties {
		var now dutyRow
		eventually(t, "the holder goes on", time.Minute, func() error {
			if now = r.books.duty(name); now.beat < firsts[name].beat+4 {
				return fmt.Errorf("%+v", now)
			}
			return nil
		})
		if now.holder != firsts[name].holder || now.fence != firsts[name].fence {
			t.Errorf("the duty %s went back from %+v to %+v", name, firsts[name], now)
		}
	}
}

// TestAStoppedTransactionKeepsNobodyOut stops a replica while it holds the
// allocation row. The server ends its transaction, and the others go on.
func TestAStoppedTransactionKeepsNobodyOut(t *testing.T) {
	const longest = 4 * time.Second
	r := newTrio(t, 2)
	stop, _ := r.loads[1].work(r.clients[1], 6, 1, 1)
	r.loads[1].await(10)
	caught := false
	for try := 0; try < 200 && !caught; try++ {
		must(t, "stopping a replica", r.planes[1].process.Pause(t.Context()))
		// What the server still had to do for it is done soon.
		patience := time.After(time.Second)
		tick := time.NewTicker(5 * time.Millisecond)
	looking:
		for {
			state := list(t, r.books.db, func(r *sql.Rows) (s string, err error) { err = r.Scan(&s); return s, err },
				`select a.state from pg_stat_activity a join pg_locks l on l.pid = a.pid join pg_class c on c.oid = l.relation
				where c.relname = 'allocation' and l.mode = 'RowShareLock' and a.datname = current_database()`)
			switch {
			case len(state) == 0:
				break looking // it is between two transactions
			case state[0] == "idle in transaction":
				caught = true
				break looking
			}
			select {
			case <-tick.C:
			case <-patience:
				break looking
			}
		}
		tick.Stop()
		if !caught {
			must(t, "letting it go on", r.planes[1].process.Resume())
			r.loads[1].await(1)
		}
	}
	if !caught {
		t.Fatal("the replica was never caught with the allocation row")
	}
	r.loads[1].disturbed.Store(true)
	began := time.Now()
	_, err := provisionertest.TryEnrol(t.Context(), r.clients[0].Dial(nil), provisionertest.NewLaptop(t), provisionertest.Staff, "SN1")
	must(t, "enrolling at the other replica", err)
	if d := time.Since(began); d > longest {
		t.Errorf("the other replica was kept out for %v", d)
	} else {
		t.Logf("the other replica was kept out for %v", d.Round(time.Millisecond))
	}
	must(t, "letting it go on", r.planes[1].process.Resume())
	stop()
	r.loads[1].disturbed.Store(false)
	stop, _ = r.loads[1].work(r.clients[1], 2, 1, 2)
	r.loads[1].await(20)
	stop()
	r.check(r.books, "after a replica was stopped")
	r.gateway.exact(r.books, "after a replica was stopped")
}
