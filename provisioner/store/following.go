package store

import "time"

// Following is how a directory is followed, as the replica whose duty it is has said last.
type Following struct {
	Directory string
	State     FollowingState
	Since     time.Time // of the state
	// HeardAt is when everything that the server knew of had been taken in. Zero: never yet.
	HeardAt time.Time
	// ChangedAt is when the directory last said something new of anybody, ReconciledAt when the last full read came
	// to its end. Zero: never yet.
	ChangedAt, ReconciledAt time.Time
	People, Groups          int64
	FollowingDetails
}

// FollowingState is one of three.
type FollowingState string

// The states.
const (
	FollowingReads FollowingState = "reading"   // a full read is under way, for the first time or after a loss
	FollowingLive  FollowingState = "following" // changes are noticed
	FollowingDown  FollowingState = "down"      // the directory is lost
)

// FollowingDetails are kept as one text.
type FollowingDetails struct {
	Replica string `json:"replica"`
	Server  string `json:"server,omitempty"` // URL
	Flavour string `json:"flavour,omitempty"`
	Way     string `json:"way,omitempty"`     // how changes are noticed
	Limited string `json:"limited,omitempty"` // what this way does not notice
	// Problem is why the directory is lost, Advice what to do about it.
	Problem string `json:"problem,omitempty"`
	Advice  string `json:"advice,omitempty"`
	// MissingGroups are those that decide something and cannot be read: nothing is taken away for them.
	MissingGroups []string `json:"missing_groups,omitempty"`
}

// heardFresh is how old the last word of a followed directory may be to count as what it says now.
const heardFresh = 45 * time.Second

// IsLive reports whether the directory is followed, so that what is kept of people is what it says now.
func (f Following) IsLive(now time.Time) bool {
	return f.State == FollowingLive && now.Sub(f.HeardAt) < heardFresh
}

const selectFollowing = `select directory, state, since, heard_at, changed_at, reconciled_at, people, groups, details from directory_following `

func scanFollowing(s scanner) (f Following, err error) {
	var since, heard, changed, reconciled int64
	var details string
	if err := s.Scan(&f.Directory, &f.State, &since, &heard, &changed, &reconciled, &f.People, &f.Groups, &details); err != nil {
		return f, err
	}
	f.Since, f.HeardAt, f.ChangedAt, f.ReconciledAt = at(since), at(heard), at(changed), at(reconciled)
	return f, fromJSON(details, &f.FollowingDetails)
}

// Following reads how a directory is followed; ErrNone if nobody has begun to.
func (r *Reader) Following(directory string) (Following, error) {
	return one(r.q, scanFollowing, selectFollowing+`where directory = $1`, directory)
}

// Followings lists all by name.
func (r *Reader) Followings() ([]Following, error) {
	return all(r.q, scanFollowing, selectFollowing+`order by directory`)
}

// PutFollowing keeps how a directory is followed.
func (w *Writer) PutFollowing(f Following) error {
	f.Replica = w.store.replica
	details, err := toJSON(f.FollowingDetails)
	if err != nil {
		return err
	}
	return run(w.q, `insert into directory_following (directory, state, since, heard_at, changed_at, reconciled_at, people, groups, details)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		on conflict (directory) do update set state = excluded.state, since = excluded.since, heard_at = excluded.heard_at,
			changed_at = excluded.changed_at, reconciled_at = excluded.reconciled_at, people = excluded.people,
			groups = excluded.groups, details = excluded.details`,
		f.Directory, string(f.State), ms(f.Since), ms(f.HeardAt), ms(f.ChangedAt), ms(f.ReconciledAt), f.People, f.Groups, details)
}
