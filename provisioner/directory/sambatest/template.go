//go:build unix

package sambatest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/heimdraht/heimdraht/internal/testneed"
)

// edition changes with what fill puts into a domain.
const edition = "3"

// template returns the directory of a provisioned domain with that many people, which it makes if the machine has none yet.
func template(t testing.TB, program string, people int) (string, error) {
	t.Helper()
	tool := testneed.Program(t, "samba-tool")
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	version, err := exec.CommandContext(t.Context(), program, "--version").Output()
	if err != nil {
		return "", err
	}
	cache = filepath.Join(cache, "heimdraht", "samba")
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return "", err
	}
	// Test binaries run side by side: one of them provisions.
	unlock, err := lock(filepath.Join(cache, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()

	sum := sha256.Sum256([]byte(string(version) + edition))
	bare := filepath.Join(cache, fmt.Sprintf("%x", sum[:6]))
	if err := once(bare, func(dir string) error {
		if err := provision(t.Context(), tool, dir); err != nil {
			return err
		}
		return filled(t, program, dir, fill)
	}); err != nil || people == 0 {
		return bare, err
	}
	populated := fmt.Sprintf("%s-%d", bare, people)
	return populated, once(populated, func(dir string) error {
		if err := os.CopyFS(dir, os.DirFS(bare)); err != nil {
			return err
		}
		return filled(t, program, dir, func(c *goldap.Conn) error { return addPeople(c, people) })
	})
}

// lock waits until this process alone holds the file.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

// once makes a directory if it is not there, whole or not at all.
func once(dir string, build func(dir string) error) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	building := dir + ".new"
	if err := os.RemoveAll(building); err != nil {
		return err
	}
	if err := os.Mkdir(building, 0o700); err != nil {
		return err
	}
	if err := build(building); err != nil {
		return errors.Join(err, os.RemoveAll(building))
	}
	return os.Rename(building, dir)
}

func provision(ctx context.Context, tool, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	const host = "127.64.0.1"
	cmd := exec.CommandContext(ctx, tool, "domain", "provision", "--configfile=/dev/null", "--targetdir="+dir, "--server-role=dc", //nolint:gosec // the program is samba-tool
		"--dns-backend=NONE", "--realm="+strings.ToUpper(DNSName), "--domain="+NetBIOS, "--host-name=dc1", "--host-ip="+host,
		"--adminpass="+AdminPassword, "--option=interfaces="+host+"/8", "--option=bind interfaces only=yes")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// filled runs a server on a directory for as long as somebody changes what is in it.
func filled(t testing.TB, program, dir string, change func(*goldap.Conn) error) error {
	t.Helper()
	s := &Server{t: t, program: program, dir: dir}
	s.Run()
	err := change(s.Administrator())
	s.Stop()
	return errors.Join(err, os.RemoveAll(filepath.Join(dir, runDir)), removeSockets(dir))
}

// fill lays down the policy, units and service accounts.
func fill(c *goldap.Conn) error {
	const minutes = 60 * 10_000_000
	policy := goldap.NewModifyRequest(Base, nil)
	for name, value := range map[string]int{
		"lockoutThreshold": LockedAfter, "lockoutDuration": -30 * minutes, "lockOutObservationWindow": -30 * minutes,
		"minPwdLength": 1, "pwdProperties": 0, "minPwdAge": 0, "pwdHistoryLength": 0,
	} {
		policy.Replace(name, []string{fmt.Sprint(value)})
	}
	if err := c.Modify(policy); err != nil {
		return fmt.Errorf("setting the policy: %w", err)
	}
	for _, dn := range []string{PeopleBase, TownHall, Depot, Former, GroupsBase, "OU=Dienste," + Base} {
		if err := c.Add(unitRequest(dn)); err != nil {
			return fmt.Errorf("adding %s: %w", dn, err)
		}
	}
	for _, dn := range []string{ServiceDN, SyncDN} {
		add := personRequest(dn, commonName(dn), map[string][]string{"userAccountControl": {"66048"}, "unicodePwd": {quoted(ServicePassword)}})
		if err := c.Add(add); err != nil {
			return fmt.Errorf("adding %s: %w", dn, err)
		}
	}
	// A domain always has something that was deleted: by that a feed knows whether it is told of it.
	former := personRequest("CN=gewesen,"+Former, "gewesen", nil)
	if err := errors.Join(c.Add(former), c.Del(goldap.NewDelRequest(former.DN, nil))); err != nil {
		return fmt.Errorf("deleting somebody: %w", err)
	}
	return grantSync(c, SyncDN)
}

// addPeople makes the people of Options.People.
func addPeople(c *goldap.Conn, people int) error {
	for n := range people {
		add := personRequest(PersonDN(n), PersonLogin(n), map[string][]string{"userAccountControl": {"66080"}})
		if err := c.Add(add); err != nil {
			return fmt.Errorf("adding person %d: %w", n, err)
		}
	}
	return nil
}
