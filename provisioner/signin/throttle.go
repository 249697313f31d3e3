package signin

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// How many wrong tries are let through. Directories commonly lock an account
// at five; with three before the last one may cost two (Service.cost), the
// directory sees four at most.
const (
	loginLimit  = 3
	loginWindow = 30 * time.Minute
	// After a restore, the tries that were let through since the backup are not
	// known, but the directory has counted them.
	restoredLimit = 1
	sourceLimit   = 30 // an office behind one address mistypes more often than one person
	sourceWindow  = 10 * time.Minute
)

// count is one number of tries that a sign-in adds to.
type count struct {
	key    string
	limit  int64
	window time.Duration
	cost   int64 // how many this try adds
	full   cause // why, if there are too many
}

// sourceCount counts by network address. Of IPv6 the first 64 bits count: one
// connection has that many addresses.
func sourceCount(source string) count {
	return count{key: "s:" + Network(source), limit: sourceLimit, window: sourceWindow, cost: 1, full: causeSourceThrottled}
}

// Network is what a network address is counted by.
func Network(source string) string {
	key := source
	addr, err := netip.ParseAddr(source)
	if err != nil {
		if withPort, err := netip.ParseAddrPort(source); err == nil {
			addr = withPort.Addr()
		}
	}
	if addr.IsValid() {
		addr = addr.Unmap().WithZone("")
		key = addr.String()
		if addr.Is6() {
			key = netip.PrefixFrom(addr, 64).Masked().String()
		}
	}
	return key
}

// loginCount counts by what was typed, whoever it may be.
func loginCount(tenant, folded string, cost int64) count {
	return count{key: "l:" + tenant + "/" + folded, limit: loginLimit, window: loginWindow, cost: cost, full: causeLoginThrottled}
}

// personCount counts by the person found, however her login was spelt: a
// directory takes login, mail address and many spellings for one account, and
// locks that.
func personCount(p directory.Person, directoryName string, cost int64) count {
	return count{key: "p:" + directoryName + "/" + p.StableID, limit: loginLimit, window: loginWindow, cost: cost, full: causeLoginThrottled}
}

// ThrottleKeys are those under which somebody's wrong tries are counted: in a
// tenant, and as a person, whatever the tenant.
func ThrottleKeys(tenant string, p provisioner.Person) (inTenant, ofPerson []string) {
	for _, typed := range []string{p.Login, p.Mail} {
		inTenant = append(inTenant, loginCount(tenant, foldLogin(typed), 1).key)
	}
	ofPerson = append(ofPerson, personCount(directory.Person{StableID: p.StableID}, p.Directory, 1).key)
	for _, c := range factorCounts(p.ID) {
		ofPerson = append(ofPerson, c.key)
	}
	return inTenant, ofPerson
}

// foldLogin makes spellings one that directories take for one (RFC 4518 in
// essence).
func foldLogin(login string) string {
	return strings.Join(strings.Fields(store.Fold(norm.NFKC.String(login))), " ")
}

// costOf is how many of the directory's own counts a try may take: one that is
// wrong as typed is tried once more in NFC (directory.Directory).
func costOf(password Password) int64 {
	if norm.NFC.IsNormalString(string(password)) {
		return 1
	}
	return 2
}

// throttled says which count is full.
type throttled struct{ count count }

func (t *throttled) Error() string { return string(t.count.full) }

// reserve counts a try in advance under every key, or under none if one of
// them is full: then the error is *throttled.
func (s *Service) reserve(ctx context.Context, counts ...count) error {
	return s.Store.Update(ctx, func(tx *store.Writer) error {
		restored, err := tx.LatelyRestored(tx.Now.Add(-loginWindow))
		if err != nil {
			return err
		}
		for _, c := range counts {
			if restored && c.limit == loginLimit {
				c.limit = restoredLimit
			}
			n, _, err := tx.Failures(c.key, tx.Now.Add(-c.window))
			if err != nil {
				return err
			}
			if n >= c.limit {
				return &throttled{c}
			}
		}
		for _, c := range counts {
			for range c.cost {
				if _, err := tx.CountFailure(c.key, tx.Now.Add(-c.window)); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// takeBack uncounts a try that was not answered.
func takeBack(tx *store.Writer, counts []count) error {
	var errs []error
	for _, c := range counts {
		for range c.cost {
			errs = append(errs, tx.UncountFailure(c.key))
		}
	}
	return errors.Join(errs...)
}

// forgive forgets what was counted against a person who has proved her
// password. Of the source only this try is taken back, or one good account
// would let its owner go on guessing at others.
func forgive(tx *store.Writer, counts []count) error {
	var errs []error
	for _, c := range counts {
		if strings.HasPrefix(c.key, "s:") {
			errs = append(errs, takeBack(tx, []count{c}))
			continue
		}
		errs = append(errs, tx.ClearFailures(c.key))
	}
	return errors.Join(errs...)
}
