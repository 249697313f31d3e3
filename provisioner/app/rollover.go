package app

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/ca"
	"github.com/heimdraht/heimdraht/provisioner/config"
	"github.com/heimdraht/heimdraht/provisioner/keyring"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Authorities are the CAs of an installation and how far a rollover is.
type Authorities struct {
	Issuing     string // fingerprint
	IssuingEnds time.Time
	Next        string // agents learn of it; empty: no rollover has begun
	Former      string // its certificates are still good; empty: none
	// Bridged says that who knows only the authority before trusts the one after
	// it, by its word.
	Bridged bool
	// Missing are those who still depend on the authority before: while one is
	// next, who has not learnt of it; afterwards, who has a certificate of the
	// former one.
	Missing store.Certificates
}

// leeway covers certificates that a replica issued with the former authority
// while it had not noticed the switch.
const leeway = time.Minute

// authorities reads how the CAs stand.
func authorities(tx *store.Reader, now time.Time) (a Authorities, list []store.SealedKey, err error) {
	if list, err = tx.Keys(keyring.PurposeCA); err != nil {
		return a, nil, err
	}
	since := time.Time{}
	for _, k := range list { // newest first
		certificate, err := parseAuthority(k)
		if err != nil {
			return a, nil, err
		}
		fingerprint := ca.Fingerprint(certificate)
		switch {
		case k.Stage == store.KeyNext:
			a.Next, a.Bridged, since = fingerprint, k.Bridge != nil, k.CreatedAt
		case k.Stage == store.KeyUsed && a.Issuing == "":
			a.Issuing, a.IssuingEnds = fingerprint, certificate.NotAfter
			if a.Next == "" {
				a.Bridged, since = k.Bridge != nil, k.StageAt
			}
		case k.Stage == store.KeyUsed:
			a.Former = fingerprint
		}
	}
	if a.Next != "" || a.Former != "" {
		a.Missing, err = tx.CertificatesBefore(now, since.Add(ca.Lifetime+leeway))
	}
	return a, list, err
}

// LookAtAuthorities tells how the CAs stand.
func LookAtAuthorities(ctx context.Context, c config.ControlPlane) (a Authorities, err error) {
	err = beside(ctx, c, func(s *store.Store) error {
		return s.View(ctx, func(tx *store.Reader) (err error) {
			a, _, err = authorities(tx, time.Now())
			return err
		})
	})
	return a, err
}

// rollingOver is one step of a rollover, in a transaction beside whatever runs.
func rollingOver(ctx context.Context, c config.ControlPlane, action string, step func(tx *store.Writer, a Authorities, list []store.SealedKey) error) (a Authorities, err error) {
	err = beside(ctx, c, func(s *store.Store) error {
		return s.Update(ctx, func(tx *store.Writer) error {
			before, list, err := authorities(&tx.Reader, tx.Now)
			if err != nil {
				return err
			}
			if err := step(tx, before, list); err != nil {
				return err
			}
			if a, _, err = authorities(&tx.Reader, tx.Now); err != nil {
				return err
			}
			return keysChanged(tx, action, map[string]string{"issuing": a.Issuing, "next": a.Next, "former": a.Former})
		})
	})
	return a, err
}

// keysChanged records a change of keys: for the audit log, and for the journal,
// which keeps keys as well.
func keysChanged(tx *store.Writer, action string, details map[string]string) error {
	if _, err := tx.Record(provisioner.Change{Kind: provisioner.ChangeKeys}); err != nil {
		return err
	}
	return tx.Audit(store.Event{
		Actor: provisioner.System("heimdrahtd rollover"), Action: action, Object: audit.Object{Kind: "keys", ID: "control plane"}, Details: details,
	})
}

// BeginCA makes the next CA. The present one goes on issuing; agents learn of
// the next one when they renew their certificates.
func BeginCA(ctx context.Context, c config.ControlPlane) (Authorities, error) {
	master, err := loadMaster(c.MasterKeyFile)
	if err != nil {
		return Authorities{}, err
	}
	return rollingOver(ctx, c, "begin rollover of ca", func(tx *store.Writer, a Authorities, list []store.SealedKey) error {
		if a.Next != "" || a.Former != "" {
			return &SetupError{Code: "rollover-unfinished", What: "a rollover of the CA is under way already", Next: "Look how far it is: heimdrahtd rollover ca status"}
		}
		all, err := tx.AllKeys()
		if err != nil {
			return err
		}
		k, err := newKeys(master, all, tx.Now)
		if err != nil {
			return err
		}
		next, err := ca.New(k.authority.Instance(), tx.Now)
		if err != nil {
			return err
		}
		private, err := next.KeyPKCS8()
		if err != nil {
			return err
		}
		sealed, err := master.Seal(keyring.PurposeCA, private)
		if err != nil {
			return err
		}
		bridge, err := k.authority.Vouch(next)
		if err != nil && !errors.Is(err, ca.ErrNoWord) {
			return err
		}
		return tx.AddKey(store.SealedKey{
			Purpose: keyring.PurposeCA, Version: list[0].Version + 1, Sealed: sealed, Public: next.Certificate().Raw, Bridge: bridge, Stage: store.KeyNext,
		})
	})
}

// SwitchCA lets the next CA issue. Where it has no word of the one before, those
// who have not learnt of it would be lost: now says that they may be.
func SwitchCA(ctx context.Context, c config.ControlPlane, now bool) (Authorities, error) {
	return rollingOver(ctx, c, "switch ca", func(tx *store.Writer, a Authorities, list []store.SealedKey) error {
		next := list[0]
		if next.Stage != store.KeyNext {
			return &SetupError{Code: "rollover-not-begun", What: "no rollover of the CA has begun", Next: "Begin it: heimdrahtd rollover ca begin"}
		}
		if wait := next.CreatedAt.Add(spread).Sub(tx.Now); wait > 0 {
			return &SetupError{Code: "rollover-too-early", What: "not every control plane may know the next CA yet", Next: fmt.Sprintf("Switch again in %d seconds.", int(wait.Seconds())+1)}
		}
		if n := a.Missing.Devices + int64(len(a.Missing.Gateways)); n > 0 && !a.Bridged && !now {
			return &SetupError{
				Code: "rollover-too-early",
				What: fmt.Sprintf("%d devices and gateways have not learnt of the next CA, and the present one, made by an older version, cannot vouch for it", n),
				Next: "Wait until they have renewed their certificates, " + a.Missing.Last.Format(time.DateOnly) + " at the latest. With --now they have to enrol or join anew.",
			}
		}
		return tx.StageKey(keyring.PurposeCA, next.Version, store.KeyUsed)
	})
}

// FinishCA retires the former CA. While living certificates of it are out, only
// now retires it: their holders then prove themselves by password, and gateways
// join anew.
func FinishCA(ctx context.Context, c config.ControlPlane, now bool) (Authorities, error) {
	return rollingOver(ctx, c, "retire ca", func(tx *store.Writer, a Authorities, list []store.SealedKey) error {
		if a.Former == "" {
			return &SetupError{Code: "rollover-not-begun", What: "there is no former CA to retire", Next: "Look how far the rollover is: heimdrahtd rollover ca status"}
		}
		if n := a.Missing.Devices + int64(len(a.Missing.Gateways)); n > 0 && !now {
			what := fmt.Sprintf("%d devices still have certificates of the former CA", a.Missing.Devices)
			if len(a.Missing.Gateways) > 0 {
				what += ", and the gateways " + strings.Join(a.Missing.Gateways, ", ")
			}
			return &SetupError{
				Code: "rollover-too-early", What: what + "; the last one ends on " + a.Missing.Last.Format(time.DateOnly),
				Next: "Wait until then: they renew by themselves. If its key has been stolen: --now, and people prove themselves by password, and gateways join anew.",
			}
		}
		issuing := false
		for _, k := range list {
			if k.Stage == store.KeyUsed && issuing {
				if err := tx.StageKey(keyring.PurposeCA, k.Version, store.KeyRetired); err != nil {
					return err
				}
			}
			issuing = issuing || k.Stage == store.KeyUsed
		}
		return nil
	})
}

// SessionKeys is what became of the roots of sessions' preshared keys.
type SessionKeys struct {
	Version int64   // for new sessions
	Dropped []int64 // versions of which no session was open
}

// unusedFor is how long a version must have had a successor before it is
// dropped: no opening that took it can still be under way.
const unusedFor = time.Hour

// RollOverSessionKeys makes the next version for new sessions. Sessions that are
// open live on with theirs.
func RollOverSessionKeys(ctx context.Context, c config.ControlPlane) (made SessionKeys, err error) {
	master, err := loadMaster(c.MasterKeyFile)
	if err != nil {
		return made, err
	}
	err = beside(ctx, c, func(s *store.Store) error {
		if _, err := openKeys(ctx, s, master); err != nil {
			return err
		}
		return s.Update(ctx, func(tx *store.Writer) error {
			made = SessionKeys{}
			list, err := tx.Keys(keyring.PurposeSessionRoot)
			if err != nil {
				return err
			}
			for i := 1; i < len(list); i++ { // newest first
				open, err := tx.KeyVersionOpen(list[i].Version)
				if err != nil {
					return err
				}
				if open || tx.Now.Before(list[i-1].CreatedAt.Add(unusedFor)) {
					continue
				}
				if err := tx.DropKey(keyring.PurposeSessionRoot, list[i].Version); err != nil {
					return err
				}
				made.Dropped = append(made.Dropped, list[i].Version)
			}
			made.Version = list[0].Version + 1
			sealed, err := keyring.NewSessionRoot().Seal(master, made.Version)
			if err != nil {
				return err
			}
			if err := tx.AddKey(store.SealedKey{Purpose: keyring.PurposeSessionRoot, Version: made.Version, Sealed: sealed}); err != nil {
				return err
			}
			return keysChanged(tx, "roll over session keys", map[string]string{"version": strconv.FormatInt(made.Version, 10)})
		})
	})
	return made, err
}
