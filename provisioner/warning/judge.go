package warning

import (
	"slices"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity/warn"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Kind is what is warned of.
type Kind string

// The kinds.
const (
	Seats     Kind = "seats"     // of a pool in use, of those owned
	Forecast  Kind = "forecast"  // a pool's are expected not to be enough
	Queue     Kind = "queue"     // laptops waited for a pool's
	Refused   Kind = "refused"   // openings were, for want of a seat or a gateway
	Sessions  Kind = "sessions"  // on a gateway, of those that it may have
	Addresses Kind = "addresses" // of a gateway that are given out
)

// Of is what a warning is of.
type Of string

// What there is.
const (
	Tenant   Of = "tenant"
	Pool     Of = "pool"
	Gateway  Of = "gateway"
	Provider Of = "provider" // all together
)

// End is why a warning ended.
type End string

// Why.
const (
	EndQuiet     End = "quiet"     // two weeks were
	EndGone      End = "gone"      // what it is of is not declared any more
	EndThreshold End = "threshold" // its threshold is not
)

// key names what is warned of: of each one warning stands at a time.
type key struct {
	kind    Kind
	of      Of
	name    string
	percent int64
}

func keyOf(w store.Warning) key { return key{Kind(w.Kind), Of(w.Of), w.Name, w.Percent} }

// subject is a key without its threshold.
func (k key) subject() key { k.percent = 0; return k }

// step is what was so for some time.
type step struct {
	at              time.Time
	lasts           time.Duration
	sign            warn.Sign
	value, capacity int64
	expected        time.Time
}

// rule is what may be warned of, with the steps that are to be judged, in order.
type rule struct {
	key
	steps []step
}

// outcome is a warning as it has become.
type outcome struct {
	store.Warning
	change warn.Change
}

// judge holds rules against the warnings that stand. Those of the given kinds that no rule
// speaks of any more end.
func judge(rules []rule, open []store.Warning, kinds []Kind, now time.Time) (list []outcome) {
	standing := make(map[key]store.Warning, len(open))
	for _, w := range open {
		standing[keyOf(w)] = w
	}
	known, subjects := make(map[key]bool, len(rules)), make(map[key]bool, len(rules))
	for _, r := range rules {
		known[r.key], subjects[r.subject()] = true, true
		list = append(list, r.judge(standing[r.key], now)...)
	}
	for _, w := range open {
		if known[keyOf(w)] || !slices.Contains(kinds, Kind(w.Kind)) {
			continue
		}
		why := EndThreshold
		if !subjects[keyOf(w).subject()] {
			why = EndGone
		}
		list = append(list, ended(w, why, now))
	}
	return list
}

// judge gives what becomes of a warning; the zero Warning does not stand.
func (r rule) judge(w store.Warning, now time.Time) (list []outcome) {
	for _, s := range r.steps {
		next, change := w.Track.Next(s.at, s.lasts, s.sign)
		switch {
		case change == warn.Raised:
			w = store.Warning{
				ID: provisioner.NewID(), Kind: string(r.kind), Of: string(r.of), Name: r.name, Percent: r.percent,
				RaisedAt: now, SeenAt: s.at, Value: s.value, Capacity: s.capacity, Expected: s.expected, Track: next,
			}
			list = append(list, outcome{w, change})
		case change == warn.Ended:
			list = append(list, ended(w, EndQuiet, now))
			w = store.Warning{}
		case next != w.Track:
			w.Track = next
			list = append(list, outcome{w, change})
		}
	}
	return newest(list)
}

// newest leaves of several outcomes of a warning that only changed what is remembered the last.
func newest(list []outcome) (kept []outcome) {
	for i, o := range list {
		if o.change == warn.Nothing && i+1 < len(list) && list[i+1].ID == o.ID {
			continue
		}
		if n := len(kept); o.change == warn.Nothing && n > 0 && kept[n-1].ID == o.ID {
			kept[n-1].Warning = o.Warning
			continue
		}
		kept = append(kept, o)
	}
	return kept
}

func ended(w store.Warning, why End, now time.Time) outcome {
	w.EndedAt, w.EndedWhy, w.Track = now, string(why), warn.Track{Until: w.Track.Until}
	return outcome{w, warn.Ended}
}
