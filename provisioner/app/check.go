package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/config"
	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/directory/ldap"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Finding is one line of a check.
type Finding struct {
	What   string
	OK     bool
	Code   string // stable, of SetupCatalogue; empty where all is well
	Detail string
	Next   string // what to do; there is always something unless all is well
}

const (
	// checkTime is how long one directory may take.
	checkTime = 30 * time.Second
	// soon is when the end of a certificate is near enough to be said.
	soon = 14 * 24 * time.Hour
)

// Check looks at everything the control plane needs, changes nothing, and says
// each finding as it is found. It may run while the control plane does.
func Check(ctx context.Context, c config.ControlPlane, say func(Finding)) {
	master, err := loadMaster(c.MasterKeyFile)
	sayOf(say, "master key", err, c.MasterKeyFile)
	err = beside(ctx, c, func(s *store.Store) error {
		position, err := store.Read(ctx, s, (*store.Reader).Position)
		if err != nil {
			return err
		}
		sayOf(say, "database", nil, fmt.Sprintf("%s, at revision %d", c.Database, position.Revision))
		clock, err := lookAtClock(ctx, s)
		if err != nil {
			return err
		}
		say(clock)
		say(lookAtJournal(c, position))
		checkFiles(c, say)
		if master != nil {
			k, err := openKeys(ctx, s, master)
			sayOf(say, "keys", err, "the master key opens them")
			if err == nil {
				checkCertificate(c, k, say)
			}
		}
		return checkDeclared(ctx, s, say)
	})
	if err != nil {
		sayOf(say, "database", err, "")
	}
}

// checkFiles looks at those that only a part of the control planes needs.
func checkFiles(c config.ControlPlane, say func(Finding)) {
	if r, err := receiverOf(c); r != nil || err != nil {
		sayOf(say, "webhook", err, "warnings can be signed")
	}
}

// sayOf is a finding that is well if err is nil.
func sayOf(say func(Finding), what string, err error, detail string) {
	if err == nil {
		say(Finding{What: what, OK: true, Detail: detail})
		return
	}
	f := Finding{What: what, Code: "check-failed", Detail: err.Error(), Next: "Run heimdrahtd check again. If it stays, report this line: it is a fault of the program."}
	var setup *SetupError
	if errors.As(err, &setup) {
		f.Code, f.Next = setup.Code, setup.Next
	}
	say(f)
}

// clockDrift is how far the clock may lie behind the database.
const clockDrift = time.Minute

// clockRecords is how many of the last records the clock is held against: what
// was recorded since it was set back would hide that it was.
const clockRecords = 1000

// lookAtClock holds the clock against the last records of the audit log: one that
// was set back would give out leases and certificates that have ended already.
func lookAtClock(ctx context.Context, s *store.Store) (Finding, error) {
	last, err := store.Read(ctx, s, func(tx *store.Reader) (time.Time, error) { return tx.LastAudited(clockRecords) })
	now := time.Now()
	f := Finding{What: "clock", OK: !now.Before(last.Add(-clockDrift)), Detail: "not behind the database"}
	if !f.OK {
		f.Code = "clock-wrong"
		f.Detail = fmt.Sprintf("it says %s, and the newest record in the database is of %s", now.UTC().Format(time.RFC3339), last.Format(time.RFC3339))
		f.Next = "Set this machine's clock, and see that it is kept right (timedatectl)."
	}
	return f, err
}

func checkCertificate(c config.ControlPlane, k *keys, say func(Finding)) {
	live := new(liveKeys)
	live.current.Store(k)
	get, err := live.serverCertificate(c)
	if err != nil {
		sayOf(say, "certificate", err, "")
		return
	}
	certificate, err := get(&tls.ClientHelloInfo{})
	if err != nil {
		sayOf(say, "certificate", err, "")
		return
	}
	leaf := certificate.Leaf
	names := c.Names
	if len(names) == 0 {
		names = leaf.DNSNames
	}
	detail := fmt.Sprintf("for %s, until %s; fingerprint of the authority %s", strings.Join(names, ", "), leaf.NotAfter.Format(time.DateOnly), k.fingerprint())
	unnamed := slices.DeleteFunc(slices.Clone(c.Names), func(name string) bool { return leaf.VerifyHostname(name) == nil })
	switch now := time.Now(); {
	case len(unnamed) > 0:
		say(Finding{
			What: "certificate", Code: "server-certificate-names", Detail: "it does not name " + strings.Join(unnamed, ", "),
			Next: "Have it issued for every name in `names`, or take out those that nobody uses.",
		})
	case now.Before(leaf.NotBefore):
		say(Finding{What: "certificate", Code: "server-certificate-early", Detail: "valid only from " + leaf.NotBefore.Format(time.RFC3339), Next: "Set this machine's clock."})
	case now.After(leaf.NotAfter.Add(-soon)):
		say(Finding{What: "certificate", Code: "server-certificate-ending", Detail: "ends on " + leaf.NotAfter.Format(time.DateOnly), Next: "Renew the certificate named in `tls`."})
	default:
		sayOf(say, "certificate", nil, detail)
	}
}

// checkDeclared looks at directories, tenants and gateways.
func checkDeclared(ctx context.Context, s *store.Store, say func(Finding)) error {
	var directories []provisioner.Directory
	var tenants []provisioner.Tenant
	var gateways []store.GatewayState
	err := s.View(ctx, func(tx *store.Reader) (err error) {
		if directories, err = tx.Directories(); err != nil {
			return err
		}
		if tenants, err = tx.Tenants(provisioner.Everywhere()); err != nil {
			return err
		}
		gateways, err = tx.Gateways()
		return err
	})
	if err != nil {
		return err
	}
	if len(tenants) == 0 {
		say(Finding{What: "tenants", OK: true, Detail: "none is declared yet", Next: "Declare one: heimdraht apply -f FILE"})
	}
	mixed, err := lookAtProductPools(ctx, s)
	if err != nil {
		return err
	}
	for _, f := range mixed {
		say(f)
	}
	for _, d := range directories {
		checkDirectory(ctx, d, tenants, say)
	}
	for _, g := range gateways {
		f := Finding{What: "gateway " + g.Name, OK: !g.PublicKey.IsZero(), Detail: "joined, certificate until " + g.CertificateNotAfter.Format(time.DateOnly)}
		if !f.OK {
			f.Code, f.Detail, f.Next = "gateway-not-joined", "has not joined", "Make a token: heimdraht gateway token "+g.Name
		}
		say(f)
	}
	return nil
}

func checkDirectory(ctx context.Context, d provisioner.Directory, tenants []provisioner.Tenant, say func(Finding)) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	what := "directory " + d.Name
	l, err := ldap.New(directory.ConfigOf(d), slog.New(slog.DiscardHandler))
	if err != nil {
		say(Finding{What: what, Code: "directory-declaration", Detail: err.Error(), Next: "Correct the declaration of the directory, and apply it: heimdraht apply -f FILE"})
		return
	}
	bases := map[string]bool{d.Base: true}
	for _, t := range tenants {
		if t.Directory == d.Name && t.Base != "" {
			bases[t.Base] = true
		}
	}
	for base := range bases {
		for _, f := range l.Check(ctx, base) {
			say(Finding{What: what, OK: f.OK, Code: f.Code, Detail: f.What + ": " + f.Detail, Next: f.Next})
		}
	}
	if err := l.Close(); err != nil {
		sayOf(say, what, err, "")
	}
}
