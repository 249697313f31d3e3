package ldap_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/directory/slapdtest"
)

// within fails the test if something takes longer than the timeout and what a busy machine adds.
func within(t *testing.T, timeout time.Duration, what string, do func()) {
	t.Helper()
	start := time.Now()
	do()
	if took := time.Since(start); took > timeout+5*time.Second {
		t.Errorf("%s took %v, the timeout is %v", what, took.Round(time.Millisecond), timeout)
	}
}

// impatient calls end soon where nobody answers, and yet succeed on a busy machine where somebody does.
const impatient = 1500 * time.Millisecond

func TestStoppedServerHoldsNobodyUp(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{})
	cfg := s.Configuration()
	cfg.Timeout = impatient
	d := open(t, cfg)
	before := signIn(t, d, "müller", "Grüße-aus-Nürnberg")

	s.Pause()
	within(t, cfg.Timeout, "signing in", func() { // on connections that rested
		_, err := d.SignIn(t.Context(), directory.Query{Login: "müller"}, "Grüße-aus-Nürnberg")
		wantCause(t, err, directory.Unavailable)
	})
	within(t, cfg.Timeout, "looking up", func() { // on a new connection: the kernel still accepts, nobody answers
		_, err := d.Lookup(t.Context(), "", before.StableID, nil)
		wantCause(t, err, directory.Unavailable)
	})
	within(t, 0, "giving up", func() {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := d.Lookup(ctx, "", before.StableID, nil)
		wantCause(t, err, directory.Unavailable)
	})
	s.Resume()
	signIn(t, d, "müller", "Grüße-aus-Nürnberg")

	s.Pause()
	within(t, 0, "closing", func() { _ = d.Close() })
	_, err := d.Lookup(t.Context(), "", before.StableID, nil)
	wantCause(t, err, directory.Unavailable)
	s.Resume()
}

func TestRestartedServerIsUsedAgain(t *testing.T) {
	t.Parallel()
	s := slapdtest.Start(t, slapdtest.Options{})
	d := open(t, s.Configuration())
	before := signIn(t, d, "müller", "Grüße-aus-Nürnberg")
	s.Stop()
	_, err := d.Lookup(t.Context(), "", before.StableID, nil)
	wantCause(t, err, directory.Unavailable)
	s.Run()
	// The connections that rested are dead, which nobody must notice.
	if after := signIn(t, d, "müller", "Grüße-aus-Nürnberg"); after.StableID != before.StableID {
		t.Errorf("stable id %s became %s", before.StableID, after.StableID)
	}
}

func TestRestartBetweenCallsIsNotNoticed(t *testing.T) {
	t.Parallel()
	s := slapdtest.Start(t, slapdtest.Options{})
	d := open(t, s.Configuration())
	for range 3 {
		signIn(t, d, "müller", "Grüße-aus-Nürnberg")
		s.Stop()
		s.Run()
	}
	signIn(t, d, "müller", "Grüße-aus-Nürnberg")
}

func TestSecondServerTakesOver(t *testing.T) {
	first := slapdtest.Start(t, slapdtest.Options{})
	second := slapdtest.Start(t, slapdtest.Options{})
	cfg := first.Configuration()
	cfg.Servers = append(cfg.Servers, second.LDAPS)
	cfg.CAPEM = append(cfg.CAPEM, second.CAPEM...)
	cfg.Timeout = 6 * time.Second // half of it for the first server
	d := open(t, cfg)
	signIn(t, d, "müller", "Grüße-aus-Nürnberg")

	first.Pause()
	within(t, cfg.Timeout, "finding the second server", func() { signIn(t, d, "müller", "Grüße-aus-Nürnberg") })
	start := time.Now()
	signIn(t, d, "müller", "Grüße-aus-Nürnberg")
	if took := time.Since(start); took > cfg.Timeout/3 {
		t.Errorf("the stopped server was asked first again: %v", took)
	}
	first.Stop()
	signIn(t, d, "müller", "Grüße-aus-Nürnberg")
	second.Stop()
	_, err := d.SignIn(t.Context(), directory.Query{Login: "müller"}, "Grüße-aus-Nürnberg")
	wantCause(t, err, directory.Unavailable)
	for _, server := range cfg.Servers {
		if err != nil && !strings.Contains(err.Error(), server) {
			t.Errorf("the error does not name %s: %v", server, err)
		}
	}
}

// listen accepts connections and hands them to serve, which may be nil: then nobody ever answers.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var conns []net.Conn
		for {
			c, err := l.Accept()
			if err != nil {
				break
			}
			conns = append(conns, c)
			if serve != nil {
				serve(c)
			}
		}
		for _, c := range conns {
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

func TestHandshakesThatAreStuck(t *testing.T) {
	dir := t.TempDir()
	password := filepath.Join(dir, "pw")
	if err := os.WriteFile(password, []byte("geheim-geheim"), 0o600); err != nil {
		t.Fatal(err)
	}
	grants := func(c net.Conn) { // agrees to StartTLS and then says nothing
		buf := make([]byte, 256)
		if _, err := c.Read(buf); err == nil {
			_, _ = c.Write([]byte{0x30, 0x0c, 0x02, 0x01, 0x01, 0x78, 0x07, 0x0a, 0x01, 0x00, 0x04, 0x00, 0x04, 0x00})
		}
	}
	garbage := func(c net.Conn) { _, _ = c.Write([]byte("SSH-2.0-OpenSSH_9.2\r\n\r\n")) }
	hangup := func(c net.Conn) { c.Close() }
	endless := func(c net.Conn) { _, _ = c.Write([]byte{0x30, 0x84, 0x7f, 0xff, 0xff, 0xff}) }
	for _, tt := range []struct {
		name, scheme string
		serve        func(net.Conn)
		want         directory.Cause
	}{
		{"LDAPS never answers", "ldaps://", nil, directory.Unavailable},
		{"StartTLS request never answered", "ldap://", nil, directory.Unavailable},
		{"StartTLS handshake never answered", "ldap://", grants, directory.Unavailable},
		{"LDAPS to another service", "ldaps://", garbage, directory.Misconfigured},
		{"StartTLS to another service", "ldap://", garbage, directory.Unavailable},
		{"StartTLS answered without end", "ldap://", endless, directory.Unavailable},
		{"LDAPS hangs up", "ldaps://", hangup, directory.Unavailable},
		{"StartTLS hangs up", "ldap://", hangup, directory.Unavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := open(t, directory.Config{
				Name: "stumm", Servers: []string{tt.scheme + listen(t, tt.serve)}, BindDN: "cn=x", BindPasswordFile: password, Timeout: impatient / 5, // nobody succeeds here
			})
			within(t, impatient/5, "signing in", func() {
				_, err := d.SignIn(t.Context(), directory.Query{Login: "müller"}, "passwort")
				wantCause(t, err, tt.want, "geheim-geheim")
			})
			within(t, 0, "closing", func() { _ = d.Close() })
		})
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pw")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestServiceAccountIsNotLockedByTryingOn(t *testing.T) {
	t.Parallel()
	s := slapdtest.Start(t, slapdtest.Options{}) // three wrong passwords lock
	cfg := s.Configuration()
	cfg.BindPasswordFile = write(t, "falsch-falsch")
	cfg.Servers = []string{s.LDAPS, s.LDAP}
	d := open(t, cfg)
	for range 10 {
		_, err := d.SignIn(t.Context(), directory.Query{Login: "müller"}, "Grüße-aus-Nürnberg")
		wantCause(t, err, directory.Misconfigured, "falsch-falsch")
	}
	if err := os.WriteFile(cfg.BindPasswordFile, []byte(slapdtest.ServicePassword), 0o600); err != nil {
		t.Fatal(err)
	}
	signIn(t, d, "müller", "Grüße-aus-Nürnberg") // at once, and the account is not locked
}

func TestGoneIsSaidOnlyByADirectoryThatCanBeRead(t *testing.T) {
	t.Parallel()
	s := slapdtest.Start(t, slapdtest.Options{})
	d := open(t, s.Configuration())
	before := signIn(t, d, "weiß", "weiss-passwort")
	admin := administrator(t, s)
	dn := "uid=weiß,ou=Rathaus," + slapdtest.PeopleBase

	moved := "uid=weiss-neu,ou=Bauhof," + slapdtest.PeopleBase
	if err := admin.ModifyDN(goldap.NewModifyDNRequest(dn, "uid=weiss-neu", true, "ou=Bauhof,"+slapdtest.PeopleBase)); err != nil {
		t.Fatal(err)
	}
	after, err := d.Lookup(t.Context(), "", before.StableID, nil)
	if err != nil || after.Login != "weiss-neu" || after.DN != moved {
		t.Errorf("renamed and moved: %+v, %v", after, err)
	}
	_, err = d.Lookup(t.Context(), "ou=Rathaus,"+slapdtest.PeopleBase, before.StableID, nil)
	wantCause(t, err, directory.Gone)

	// Deleted and made anew, with the same login and still in the old groups.
	if err := admin.Del(goldap.NewDelRequest(moved, nil)); err != nil {
		t.Fatal(err)
	}
	add := goldap.NewAddRequest(dn, nil)
	for name, value := range map[string]string{"objectClass": "inetOrgPerson", "uid": "weiß", "cn": "Paul Weiß", "sn": "Weiß", "userPassword": "weiss-passwort"} {
		add.Attribute(name, []string{value})
	}
	if err := admin.Add(add); err != nil {
		t.Fatal(err)
	}
	_, err = d.Lookup(t.Context(), "", before.StableID, nil)
	wantCause(t, err, directory.Gone)
	if anew := signIn(t, d, "weiß", "weiss-passwort"); anew.StableID == before.StableID || !anew.In(slapdtest.StaffGroup) {
		t.Errorf("made anew: %+v", anew)
	}
	for _, id := range []string{"", "*", "nonsense", strings.Repeat("0", 1000)} {
		if _, err := d.Lookup(t.Context(), "", id, nil); directory.CauseOf(err) == "" || directory.CauseOf(err) == directory.Unavailable {
			t.Errorf("stable id %q: %v", id, err)
		}
	}

	// A base that suddenly looks empty, or whose people are hidden, says nothing about anybody.
	for _, base := range []string{"ou=Leer," + slapdtest.Base, "ou=weg," + slapdtest.Base} {
		_, err = d.Lookup(t.Context(), base, before.StableID, nil)
		wantCause(t, err, directory.Misconfigured)
	}
}

// administrator is a connection that may write.
func administrator(t *testing.T, s *slapdtest.Server) *goldap.Conn {
	t.Helper()
	c, err := goldap.DialURL(s.LDAP)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Bind(slapdtest.AdminDN, slapdtest.AdminPassword); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSizeLimitIsToldFromNotBeingAMember(t *testing.T) {
	t.Parallel()
	s := slapdtest.Start(t, slapdtest.Options{SizeLimit: 5})
	d := open(t, s.Configuration())
	_, err := d.SignIn(t.Context(), directory.Query{Login: "draussen"}, "draussen-passwort") // no groups asked
	wantCause(t, err, "")
	admin := administrator(t, s)
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		add := goldap.NewAddRequest("cn="+name+","+slapdtest.GroupsBase, nil)
		add.Attribute("objectClass", []string{"groupOfNames"})
		add.Attribute("cn", []string{name})
		add.Attribute("member", []string{"uid=draussen,ou=Rathaus," + slapdtest.PeopleBase})
		if err := admin.Add(add); err != nil {
			t.Fatal(err)
		}
	}
	_, err = d.SignIn(t.Context(), directory.Query{Login: "draussen", StaffGroup: slapdtest.StaffGroup}, "draussen-passwort")
	wantCause(t, err, directory.Misconfigured)
	if err == nil || !strings.Contains(err.Error(), "size limit") {
		t.Errorf("the error does not say what to do: %v", err)
	}
}

func TestManyAtOnce(t *testing.T) {
	const people = 60 // more than there are connections
	s := slapdtest.Start(t, slapdtest.Options{People: people})
	cfg := s.Configuration()
	cfg.Timeout = time.Minute // that is not what is tested: the machine may be busy
	d := open(t, cfg)
	all := func(d directory.Directory, want directory.Cause) {
		t.Helper()
		var group sync.WaitGroup
		for n := range people {
			group.Go(func() {
				login, password := slapdtest.Person(n)
				p, err := d.SignIn(t.Context(), directory.Query{Login: login, StaffGroup: slapdtest.StaffGroup}, password)
				wantCause(t, err, want)
				if err == nil && p.DN != slapdtest.PersonDN(n) {
					t.Errorf("%s was taken for %s", login, p.DN)
				}
			})
		}
		group.Wait()
	}
	all(d, "")

	cfg.Timeout = impatient
	hurried := open(t, cfg)
	signIn(t, hurried, "weiß", "weiss-passwort")
	s.Pause()
	within(t, cfg.Timeout, "everybody giving up, also those who wait their turn", func() { all(hurried, directory.Unavailable) })
	s.Resume()
	all(d, "")

	var calls sync.WaitGroup
	calls.Go(func() { untilClosed(t, d) })
	within(t, 0, "closing under load", func() { _ = d.Close() })
	calls.Wait()
}

// untilClosed signs people in while the directory is being closed: each call ends, well or as unavailable.
func untilClosed(t *testing.T, d directory.Directory) {
	t.Helper()
	var group sync.WaitGroup
	for n := range 30 {
		group.Go(func() {
			login, password := slapdtest.Person(n)
			if _, err := d.SignIn(t.Context(), directory.Query{Login: login}, password); err != nil {
				wantCause(t, err, directory.Unavailable)
			}
		})
	}
	group.Wait()
}

func TestNothingRunsOnAfterClose(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{})
	before := runtime.NumGoroutine()
	cfg := s.Configuration()
	cfg.Timeout = impatient
	d := open(t, cfg)
	signIn(t, d, "weiß", "weiss-passwort")
	s.Pause()
	_, err := d.SignIn(t.Context(), directory.Query{Login: "weiß"}, "weiss-passwort")
	wantCause(t, err, directory.Unavailable)
	_ = d.Close()
	s.Resume()
	settled(t, before)
}

// settled waits until no more goroutines run than did before.
func settled(t *testing.T, before int) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for runtime.NumGoroutine() > before {
		select {
		case <-tick.C:
		case <-deadline:
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), stacks[:runtime.Stack(stacks, true)])
		}
	}
}
