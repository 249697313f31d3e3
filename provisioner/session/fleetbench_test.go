package session_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/session"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// BenchmarkLostGateway has 1,500 laptops lose their gateway, each of which asks for another session when it has probed,
// spread as they are told to. An operation is all of them, until the last one has its session; connections and the
// directory are not in it.
func BenchmarkLostGateway(b *testing.B) {
	const laptops = 1500
	w := newWorld(b, laptops)
	ctx, stop := context.WithCancel(context.Background())
	followed := make(chan error, 1)
	go func() { followed <- w.RunFleet(ctx) }()
	defer func() {
		stop()
		if err := <-followed; err != nil {
			b.Error(err)
		}
	}()
	actors := make([]provisioner.Actor, laptops)
	for i := range actors {
		actors[i] = w.laptop(i)
	}
	var waits []time.Duration
	lost, other := "gw1", "gw2"
	for b.Loop() {
		b.StopTimer()
		w.prefer(lost, other)
		end, endOther := w.alive(lost), w.alive(other)
		held := make([]session.Opened, laptops)
		for i, a := range actors {
			if held[i] = w.open(a, session.OpenRequest{Stream: "a"}); held[i].Session.Gateway != lost {
				b.Fatalf("on %s", held[i].Session.Gateway)
			}
		}
		end()
		news := w.News(lost)
		for ; !news.Unheard; news = w.News(lost) {
			<-news.Changed
		}
		b.StartTimer()
		waits = append(waits, w.lose(actors, held, news.Spread)...)
		b.StopTimer()
		endOther()
		lost, other = other, lost
		b.StartTimer()
	}
	slices.Sort(waits)
	b.ReportMetric(float64(waits[len(waits)/2].Microseconds())/1000, "ms-p50")
	b.ReportMetric(float64(waits[len(waits)*99/100].Microseconds())/1000, "ms-p99")
}

// prefer has openings go to a gateway as long as it is there.
func (w *world) prefer(gateway, other string) {
	w.update(func(tx *store.Writer) error {
		for name, weight := range map[string]int64{gateway: 1000, other: 1} {
			g, err := tx.Gateway(name)
			if err != nil {
				return err
			}
			g.Weight, g.Sessions, g.Tenants = weight, 10_000, []string{"stadt"}
			if err := tx.PutGateway(g.Gateway); err != nil {
				return err
			}
		}
		return nil
	})
}

// lose has all laptops say that their gateway is silent, and tells for how long each waited for another session.
func (w *world) lose(actors []provisioner.Actor, held []session.Opened, spread time.Duration) []time.Duration {
	waits := make([]time.Duration, len(actors))
	var all sync.WaitGroup
	for i, a := range actors {
		all.Go(func() {
			time.Sleep(rand.N(spread)) // real: it is the spread that is measured
			began := time.Now()
			o, err := w.Open(context.Background(), a, session.OpenRequest{Stream: "a", Resume: held[i].Session.ID, GatewaySilent: true})
			waits[i] = time.Since(began)
			if err != nil || o.Resumed || o.Session.Gateway == held[i].Session.Gateway {
				w.t.Errorf("laptop %d: %+v, %v", i, o.Session, err)
			}
		})
	}
	all.Wait()
	return waits
}
