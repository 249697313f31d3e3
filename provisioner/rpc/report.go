package rpc

import (
	"context"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/metering"
)

// reports is what a laptop has reported of the session that its stream holds. The
// zero value: there is none.
type reports struct {
	tenant  string
	session string
	usage   provisioner.Usage    // the last
	told    provisioner.Metering // what the laptop is to say, as it was told
	stream  *metering.Stream
}

// begin begins with a session, new or resumed.
func (r *reports) begin(ctx context.Context, m *metering.Service, s provisioner.Session) {
	r.end()
	told, _ := m.Of(ctx, s.Tenant)
	*r = reports{tenant: s.Tenant, session: s.ID, usage: s.Reported, told: told, stream: m.Open(s.Tenant)}
}

// end forgets it all. Idempotent.
func (r *reports) end() {
	if r.stream != nil {
		r.stream.Forget()
	}
	*r = reports{}
}

// opening is what the laptop is told with its session; nil: nothing is metered.
func (r *reports) opening() *heimdrahtv1.Metering {
	if len(r.told.Products) == 0 {
		return nil
	}
	return fromMetering(r.told)
}

// usageOf is what was reported last of a session; the zero Usage: nothing.
func (r *reports) usageOf(session string) provisioner.Usage {
	if session != r.session {
		return provisioner.Usage{}
	}
	return r.usage
}

// take takes what a laptop says of products. list is what it is to say from now on,
// nil if that is as before.
func (r *reports) take(ctx context.Context, m *metering.Service, u provisioner.Usage, products []*heimdrahtv1.ProductInUse) (list *heimdrahtv1.Metering, clips []metering.Clip) {
	if r.stream == nil {
		return nil, nil
	}
	r.usage = u
	now, ok := m.Of(ctx, r.tenant)
	if !ok {
		now = r.told
	}
	var said []metering.Said
	for _, p := range products[:min(len(products), mostReported)] {
		said = append(said, metering.Said{Product: p.GetName(), InUse: p.GetInUse(), Version: p.GetVersion()})
	}
	// That the list has become shorter, it learns only with this answer.
	said = slices.DeleteFunc(said, func(s metering.Said) bool { return r.told.Lists(s.Product) && !now.Lists(s.Product) })
	uses, clips := metering.Check(now, said)
	r.stream.Say(uses)
	if !now.Equal(r.told) {
		list = fromMetering(now)
	}
	r.told = now
	return list, clips
}

// mostReported bounds what is looked at of a report, to be refused.
const mostReported = 1000

// toUsage reads a laptop's report of a session of which former was reported before.
// What cannot be is left out, or as it was before.
func toUsage(r *heimdrahtv1.RenewSession, former provisioner.Usage) (provisioner.Usage, []metering.Clip) {
	var clips []metering.Clip
	clip := func(german, english string) { clips = append(clips, metering.Clip{German: german, English: english}) }
	m := r.GetUsage()
	u := provisioner.Usage{ReceivedBytes: m.GetReceivedBytes(), SentBytes: m.GetSentBytes(), Clock: toTime(r.GetClock())}
	if m != nil && (u.ReceivedBytes < former.ReceivedBytes || u.SentBytes < former.SentBytes) {
		clip("die Datenmenge ist kleiner als zuvor", "fewer bytes than before")
	}
	u.ReceivedBytes, u.SentBytes = max(u.ReceivedBytes, former.ReceivedBytes), max(u.SentBytes, former.SentBytes)
	if r.GetClock() != nil && u.Clock.IsZero() {
		clip("die Uhrzeit ist keine", "the clock shows no time")
	}
	if m == nil || m.LastHandshakeAgeMs == nil {
		return u, clips
	}
	switch age := m.GetLastHandshakeAgeMs(); {
	case age < 0:
		clip("das letzte Lebenszeichen liegt in der Zukunft", "the last sign of life is in the future")
	case age <= provisioner.UnrenewedLimit.Milliseconds(): // an older one says no more than none
		u.LastHandshake = time.Now().Add(-time.Duration(age) * time.Millisecond)
	}
	return u, clips
}

// toTime reads a time of this era; any other is none.
func toTime(t *timestamppb.Timestamp) time.Time {
	if at := t.AsTime(); t.IsValid() && at.Year() >= 1971 && at.Year() <= 9999 {
		return at
	}
	return time.Time{}
}

// fromMetering is what a laptop is told; nothing is metered where it names no product.
func fromMetering(m provisioner.Metering) *heimdrahtv1.Metering {
	out := &heimdrahtv1.Metering{AgreementReference: m.Agreement.Reference, AgreementDate: fromDay(m.Agreement.Date)}
	for _, p := range m.Products {
		out.Products = append(out.Products, &heimdrahtv1.MeteredProduct{Name: p.Name, Processes: p.Processes})
	}
	return out
}

// fromDay is a calendar day in Germany; empty: none.
func fromDay(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	year, month, day := provisioner.DayOf(t)
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
}

// fromClips says what of a report was not taken; nil: all of it was.
func fromClips(clips []metering.Clip, language string) *heimdrahtv1.Refusal {
	if len(clips) == 0 {
		return nil
	}
	var german, english []string
	for _, c := range clips {
		german, english = append(german, c.German), append(english, c.English)
	}
	return fromRefusal(provisioner.Refuse(provisioner.CodeReportClipped).With("why", strings.Join(german, "; "), strings.Join(english, "; ")), language)
}
