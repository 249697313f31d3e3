package rpc

import (
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/licensing"
)

// What is to be done is said as people say it, on the last days too.
func TestWhatIsToBeDoneAboutAContract(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 30, 0, 0, time.UTC)
	for _, c := range []struct {
		warning         licensing.Warning
		german, english string
	}{
		{licensing.Warning{Code: licensing.WarnEnds, At: now.AddDate(0, 0, 9), Seats: 20, Reference: "R-1"},
			"vpn: Der Vertrag R-1 über 20 Plätze endet in 9 Tagen.", "vpn: the contract R-1 over 20 seats ends in 9 days."},
		{licensing.Warning{Code: licensing.WarnEnds, At: now.Add(30 * time.Hour), Seats: 20},
			"vpn: Der Vertrag über 20 Plätze endet morgen.", "vpn: the contract over 20 seats ends tomorrow."},
		{licensing.Warning{Code: licensing.WarnNotice, At: now.Add(time.Hour), Seats: 20},
			"vpn: Der Vertrag über 20 Plätze ist nur noch heute kündbar.", "vpn: notice of the contract over 20 seats can be given today for the last time."},
		{licensing.Warning{Code: licensing.WarnNotice, At: now.AddDate(0, 0, 8), Seats: 20},
			"vpn: Der Vertrag über 20 Plätze ist noch 8 Tage lang kündbar.", "vpn: notice of the contract over 20 seats can be given for 8 more days."},
		{licensing.Warning{Code: licensing.WarnGuarantees, At: now, Seats: 10, Promised: 25},
			"vpn: Zugesagt und reserviert sind 25 Plätze, jetzt gibt es nur 10.", "vpn: 25 seats are guaranteed and reserved, now there are only 10."},
		{licensing.Warning{Code: licensing.WarnGuarantees, At: now.AddDate(0, 0, 60), Seats: 10, Promised: 25},
			"vpn: Zugesagt und reserviert sind 25 Plätze, in 60 Tagen gibt es nur 10.", "vpn: 25 seats are guaranteed and reserved, in 60 days there are only 10."},
	} {
		c.warning.Pool = "vpn"
		if german, english := sentenceOf(c.warning, now, false), sentenceOf(c.warning, now, true); german != c.german || english != c.english {
			t.Errorf("%q and %q, want %q and %q", german, english, c.german, c.english)
		}
	}
}
