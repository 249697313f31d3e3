package ldap_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/directory/ldap"
	"github.com/heimdraht/heimdraht/provisioner/directory/sambatest"
)

const adBenchPeople = 2000

// BenchmarkActiveDirectoryChange is how long it takes from before an administrator changes somebody until the feed has
// told it; changes come one after the other, so each has to wait until the notices of the last one have been gathered.
func BenchmarkActiveDirectoryChange(b *testing.B) {
	for _, way := range adWays() {
		b.Run(way.name, func(b *testing.B) {
			s := sambatest.Start(b, sambatest.Options{People: adBenchPeople})
			f := open(b, way.cfg(s)).Feed(adInterest())
			if way.want.Way == directory.WayUSN {
				f = ldap.ByNumbers(f)
			}
			r := followOn(b, f, newObserver())
			defer func() { _ = r.end() }()
			var took []time.Duration
			for n := 0; b.Loop(); n++ {
				dn, name := sambatest.PersonDN(n%adBenchPeople), fmt.Sprint("Nummer ", n)
				id := r.named(b, sambatest.PersonLogin(n%adBenchPeople)).StableID
				start := time.Now()
				s.Set(dn, "displayName", name)
				r.until(b, name, func() bool { return r.entries[id].Person.DisplayName == name })
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-p50")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "ms-p99")
		})
	}
}

// BenchmarkActiveDirectoryFirstRead is how long it takes until a feed is live.
func BenchmarkActiveDirectoryFirstRead(b *testing.B) {
	s := sambatest.Start(b, sambatest.Options{People: adBenchPeople})
	d := open(b, s.SyncConfiguration())
	for b.Loop() {
		r := followOn(b, d.Feed(adInterest()), newObserver())
		_ = r.end()
	}
}
