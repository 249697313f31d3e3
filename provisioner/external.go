package provisioner

import "time"

// External is a trainee, or somebody of another house, in a tenant: known in the
// directory, and answered for by a person of the tenant until a day.
type External struct {
	Person  string
	Tenant  string
	Sponsor string // who answers for her, by id
	Until   time.Time
	Reason  string
	EndedAt time.Time // when access was taken because the day is over; zero: it was not
}

// ExternalLongest is how far ahead an external person's end may lie: ninety days,
// and the rest of the last one.
const ExternalLongest = 91 * 24 * time.Hour

// NeedsSponsor refuses the enrolment of somebody whom the directory counts among the
// tenant's external people, as long as nobody answers for her.
func (t Tenant) NeedsSponsor(s Standing) *Refusal {
	if s.ExternalUntil.IsZero() && InGroup(s.Groups, t.Policy.ExternalGroup) {
		return Refuse(CodeSponsorMissing)
	}
	return nil
}

// externalEnded refuses an external person whose day is over.
func externalEnded(s Standing, now time.Time) *Refusal {
	if s.ExternalUntil.IsZero() || now.Before(s.ExternalUntil) {
		return nil
	}
	return Refuse(CodeExternalEnded)
}
