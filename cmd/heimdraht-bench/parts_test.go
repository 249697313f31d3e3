//go:build linux

package main

import (
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heimdraht/heimdraht/internal/testneed"
)

func TestQuantiles(t *testing.T) {
	var s sample
	if s.quantile(.5) != 0 || s.mean() != 0 {
		t.Error("an empty sample has figures")
	}
	for i := range 100 {
		s.add(time.Duration(99-i) * time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{0: 0, .5: 50 * time.Millisecond, .99: 99 * time.Millisecond, 1: 99 * time.Millisecond} {
		if got := s.quantile(q); got != want {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
}

func TestFigures(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.0123: "0.0123", 1: "1.000", 12.345: "12.35", 123.45: "123.5", 12345.6: "12346"} {
		if got := strings.TrimSpace(figure(v)); got != want {
			t.Errorf("%v is printed as %s, want %s", v, got, want)
		}
	}
}

// TestPacedWaitsForNobody: one that is slow delays none of those after it, and a delay counts from when a thing was
// due.
func TestPacedWaitsForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 1050*time.Millisecond)
		defer cancel()
		var s sample
		err := paced(ctx, 10, func(_ context.Context, i int, due time.Time) error {
			if i == 0 {
				<-time.After(5 * time.Second)
			}
			s.add(time.Since(due))
			return nil
		})
		if err != nil || s.count() != 10 || s.quantile(.5) != 0 || s.quantile(1) != 5*time.Second {
			t.Errorf("%d done, median %v, longest %v, error %v", s.count(), s.quantile(.5), s.quantile(1), err)
		}
	})
}

// TestTown: everybody has a tenant, nobody another's login, and laptops call from addresses of their own.
func TestTown(t *testing.T) {
	town := town{people: 29_000, tenants: 500, gateways: 16, seed: 1}
	perTenant := make(map[string]int)
	serials, sources := make(map[string]bool), make(map[netip.Addr]bool)
	for n := range 2 * town.people {
		tenant, _, serial := town.device(n)
		perTenant[tenant]++
		serials[serial] = true
		if a := laptopAddress(n); !a.IsLoopback() || a.As4()[1] < 16 {
			t.Fatalf("laptop %d calls from %v", n, a)
		}
		sources[laptopAddress(n)] = true
	}
	if len(serials) != 2*town.people || len(sources) != 2*town.people || len(perTenant) != town.tenants {
		t.Errorf("%d serial numbers, %d addresses, %d tenants", len(serials), len(sources), len(perTenant))
	}
	if city := perTenant["bench-000"]; city != 2*11_600 {
		t.Errorf("the city has %d devices", city)
	}
	if a, b := town.ldif("s", "p"), town.ldif("s", "p"); a != b || strings.Count(a, "\nobjectClass: inetOrgPerson\n") != town.people {
		t.Error("the same seed gives another town, or not everybody is in it")
	}
	networks := make(map[string]bool)
	for _, tenant := range town.tenantList(1) {
		networks[tenant.GetNetworks()[0].GetAllow()[0]] = true
	}
	if len(networks) != town.tenants {
		t.Errorf("%d tenants share %d networks", town.tenants, len(networks))
	}
}

func TestUsageOfThisProcess(t *testing.T) {
	before, err := usageOf(os.Getpid())
	if err != nil || before.rss < 1<<20 {
		t.Fatalf("this process uses %+v, %v", before, err)
	}
	for x, began := 1, time.Now(); time.Since(began) < 50*time.Millisecond; x++ {
		_ = x * x
	}
	after, err := usageOfTree(os.Getpid())
	if err != nil || after.cpu <= before.cpu {
		t.Errorf("50 ms of work: from %v to %v, %v", before.cpu, after.cpu, err)
	}
	if _, err := usageOf(1 << 30); err == nil {
		t.Error("a process that is not there uses something")
	}
}

// TestOwnPostgres: a server of the run's own answers on its socket, and leaves nothing behind.
func TestOwnPostgres(t *testing.T) {
	if _, err := postgresProgram("initdb"); err != nil {
		testneed.Missing(t, err.Error())
	}
	var said strings.Builder
	r := &runner{say: newProgress(&said), dir: t.TempDir()}
	if err := r.startPostgres(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn, err := new(net.Dialer).DialContext(t.Context(), "unix", filepath.Join(r.postgres.dir, ".s.PGSQL.5432"))
	if err != nil {
		t.Error(err)
	} else {
		_ = conn.Close()
	}
	if u, err := usageOfTree(r.postgres.pid); err != nil || u.rss < 1<<20 {
		t.Errorf("its processes use %+v, %v", u, err)
	}
	dir := r.postgres.dir
	for range 2 {
		if err := r.postgres.stop(); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("its directory is still there: %v", err)
	}
}
