package enrolment_test

import (
	"fmt"
	"testing"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/enrolment"
)

// BenchmarkInvite is one call with as many lines as one may have: each is looked
// for in the directory, which is in memory here, and written with its audit record.
func BenchmarkInvite(b *testing.B) {
	w := newWorld(b)
	r := enrolment.InviteRequest{Lines: make([]enrolment.InviteLine, enrolment.MostInvited)}
	for i := range r.Lines {
		r.Lines[i] = enrolment.InviteLine{Login: "eva", SerialNumber: fmt.Sprint("S", i)}
	}
	for b.Loop() {
		if _, err := w.Invite(b.Context(), as(provisioner.RoleHelpdesk, "stadt"), r); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*len(r.Lines)), "µs/line")
}
