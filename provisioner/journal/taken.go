package journal

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Taken is what a database does not know yet, out of all journals together.
type Taken struct {
	Devices  []Device // by id
	Gateways []Gateway
	Keys     []Key
	// Forgotten are people who must not come back.
	Forgotten []Forgotten
	// Upto is how far the journals reach, by epoch.
	Upto map[string]int64
	// Doubts say why something that was taken may be missing; empty: nothing is.
	Doubts []string
}

// Since gathers what a database does not know that belongs to an instance,
// stands in an epoch, and knows epochs up to revisions (its own among them).
func Since(files []File, instance, epoch string, known map[string]int64) Taken {
	t := taking{
		known: known, upto: make(map[string]int64), covered: false,
		devices: make(map[string]*device), gateways: make(map[string]Gateway), keys: make(map[string]Key),
		forgotten: make(map[Forgotten]bool),
	}
	var doubts []string
	for _, f := range files {
		for _, d := range f.Damage {
			doubts = append(doubts, fmt.Sprintf("%s is damaged: %s", f.Path, d))
		}
		from := int64(-1) // unknown yet
		for _, frame := range f.Frames {
			if frame.Instance != instance {
				doubts = append(doubts, f.Path+" belongs to another control plane")
				break
			}
			if frame.Epoch == epoch {
				from = beginning(frame, from)
			}
			t.frame(frame)
		}
		// A damaged file may lack what it should reach back to.
		if from >= 0 && from <= known[epoch] && len(f.Damage) == 0 {
			t.covered = true
		}
	}
	switch {
	case !t.covered:
		doubts = append(doubts, fmt.Sprintf("no journal reaches back to the backup, which stands at revision %d", known[epoch]))
	case t.upto[epoch] < known[epoch]:
		doubts = append(doubts, fmt.Sprintf("the journal ends at revision %d, before the backup (%d): it was not written afterwards", t.upto[epoch], known[epoch]))
	}
	return t.result(doubts)
}

// Rank orders the stages that a key goes through.
func Rank(s store.KeyStage) int {
	return slices.Index([]store.KeyStage{store.KeyNext, store.KeyUsed, store.KeyRetired}, s)
}

// beginning is from where a file is without gaps in the epoch, after one more
// frame of it.
func beginning(f Frame, from int64) int64 {
	switch {
	case f.Whole:
		return 0
	case f.From > 0 && (from < 0 || f.From > from):
		return f.From
	default:
		return from
	}
}

// device is what was said of one device.
type device struct {
	Device
	// suspended is the last word of each epoch: in which one of two that do not
	// know each other she got her access back says nothing about the other.
	suspended map[string]said
}

type said struct {
	asOf    int64
	sources []provisioner.SuspensionSource
}

type taking struct {
	known, upto map[string]int64
	covered     bool
	devices     map[string]*device
	gateways    map[string]Gateway
	keys        map[string]Key
	forgotten   map[Forgotten]bool
}

func (t *taking) frame(f Frame) {
	t.upto[f.Epoch] = max(t.upto[f.Epoch], f.Upto)
	for _, k := range f.Keys {
		name := fmt.Sprint(k.Purpose, " ", k.Version)
		if had, ok := t.keys[name]; !ok || Rank(k.Stage) >= Rank(had.Stage) {
			t.keys[name] = k
		}
	}
	if f.AsOf <= t.known[f.Epoch] {
		return
	}
	for _, d := range f.Devices {
		t.device(f, d)
	}
	for _, p := range f.Forgotten {
		t.forgotten[p] = true
	}
	for _, g := range f.Gateways {
		if g.Generation > t.gateways[g.Name].Generation {
			t.gateways[g.Name] = g
		}
	}
}

func (t *taking) device(f Frame, d Device) {
	v := t.devices[d.ID]
	if v == nil {
		v = &device{Device: d, suspended: make(map[string]said)}
		t.devices[d.ID] = v
	}
	if d.Generation > v.Generation {
		v.Generation, v.PublicKey = d.Generation, d.PublicKey
	}
	v.Revoked = v.Revoked || d.Revoked
	if last, ok := v.suspended[f.Epoch]; !ok || f.AsOf >= last.asOf {
		v.suspended[f.Epoch] = said{f.AsOf, d.Suspended}
	}
}

func (t *taking) result(doubts []string) Taken {
	r := Taken{Upto: t.upto, Doubts: doubts}
	for _, id := range slices.Sorted(maps.Keys(t.devices)) {
		v := t.devices[id]
		v.Suspended = nil
		for _, s := range v.suspended {
			v.Suspended = append(v.Suspended, s.sources...)
		}
		slices.Sort(v.Suspended)
		v.Suspended = slices.Compact(v.Suspended)
		r.Devices = append(r.Devices, v.Device)
	}
	r.Forgotten = slices.SortedFunc(maps.Keys(t.forgotten), func(a, b Forgotten) int {
		return cmp.Or(cmp.Compare(a.Person, b.Person), cmp.Compare(a.Tenant, b.Tenant))
	})
	r.Gateways = slices.SortedFunc(maps.Values(t.gateways), func(a, b Gateway) int { return cmp.Compare(a.Name, b.Name) })
	r.Keys = slices.SortedFunc(maps.Values(t.keys), func(a, b Key) int {
		return cmp.Or(cmp.Compare(a.Purpose, b.Purpose), cmp.Compare(a.Version, b.Version))
	})
	return r
}
