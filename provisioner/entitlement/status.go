package entitlement

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Status is how a directory is followed.
type Status struct {
	store.Following
	How     State
	Tenants []string // among those that the caller may see
	Pending int      // people of these tenants on whom nobody has decided
	// Technical reports that the caller looks after the directory. If not, Following's details are only the missing
	// groups of these tenants.
	Technical bool
}

// State is how well a directory is followed.
type State string

// The states.
const (
	StateWaiting   State = "waiting"   // nobody has begun to
	StateReading   State = "reading"   // a full read is under way
	StateFollowing State = "following" // changes are noticed
	StateDown      State = "down"      // it is lost
	StateSilent    State = "silent"    // it was followed when that was last noted, and nothing has been noted for too long
)

func stateOf(f store.Following, now time.Time) State {
	switch {
	case f.State == store.FollowingReads:
		return StateReading
	case f.State == store.FollowingDown:
		return StateDown
	case f.IsLive(now):
		return StateFollowing
	case f.State == store.FollowingLive:
		return StateSilent
	default:
		return StateWaiting
	}
}

// Status tells how the directories of the caller's tenants are followed, by name. Servers and what is wrong with them
// are told to those who may decide in one of a directory's tenants.
func (s *Service) Status(ctx context.Context, actor provisioner.Actor) (list []Status, err error) {
	const action = provisioner.ActionReadPending
	if refusal := provisioner.Allow(actor, action, provisioner.Object{}); refusal != nil {
		return nil, refusal
	}
	sees, decides := provisioner.ScopeOf(actor, action), provisioner.ScopeOf(actor, provisioner.ActionConfirmPending)
	err = s.Store.View(ctx, func(tx *store.Reader) error {
		tenants, err := tx.Tenants(sees)
		if err != nil {
			return err
		}
		held, err := tx.HeldCounts()
		if err != nil {
			return err
		}
		at, asked := map[string]int{}, map[string][]string{}
		list = nil
		for _, t := range tenants {
			i, known := at[t.Directory]
			if !known {
				f, err := tx.Following(t.Directory)
				if err != nil && !errors.Is(err, store.ErrNone) {
					return err
				}
				f.Directory = t.Directory
				i = len(list)
				at[t.Directory] = i
				list = append(list, Status{Following: f, How: stateOf(f, time.Now())})
			}
			v := &list[i]
			v.Tenants = append(v.Tenants, t.Name)
			v.Pending += int(held[t.Name])
			v.Technical = v.Technical || decides.Includes(t.Name)
			asked[t.Directory] = append(asked[t.Directory], t.GroupsAsked()...)
		}
		for i := range list {
			list[i].narrow(asked[list[i].Directory])
		}
		return nil
	})
	slices.SortFunc(list, func(a, b Status) int { return strings.Compare(a.Directory, b.Directory) })
	return list, err
}

// narrow leaves of the details what the caller may see, whose tenants ask for groups.
func (v *Status) narrow(asked []string) {
	missing := slices.DeleteFunc(v.MissingGroups, func(g string) bool { return !provisioner.InGroup(asked, g) })
	if !v.Technical {
		v.FollowingDetails = store.FollowingDetails{}
	}
	v.MissingGroups = missing
}
