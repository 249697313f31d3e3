package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint"
	"github.com/heimdraht/heimdraht/agent/endpoint/endpointtest"
	"github.com/heimdraht/heimdraht/agent/page"
	"github.com/heimdraht/heimdraht/agent/posture"
	"github.com/heimdraht/heimdraht/agent/state"
	"github.com/heimdraht/heimdraht/agent/wireguard"
)

const (
	eva, kim, mia account = "1001", "1002", "1003"
	often                 = 5 * time.Millisecond
)

// office is a shared laptop whose accounts and their signing in a test plays.
type office struct {
	*sharing
	t     *testing.T
	plane *endpointtest.Plane
	path  string
	door  *door
	close func()

	mu    sync.Mutex
	names map[account]string
	seats map[account]bool // who is signed in; nil: nobody can tell
}

func newOffice(t *testing.T) *office {
	o := &office{
		t: t, plane: endpointtest.New(t), path: filepath.Join(t.TempDir(), "state"),
		names: map[account]string{eva: "eva", kim: "kim", mia: "mia", root: "root"}, seats: map[account]bool{},
	}
	o.start()
	return o
}

// start starts the daemon, as after a restart of the laptop.
func (o *office) start() {
	o.t.Helper()
	log := slog.New(slog.DiscardHandler)
	dir, err := state.Open(o.path)
	check(o.t, err)
	o.sharing, err = share(&sharing{
		dir: dir, log: log, clear: func(context.Context) error { return nil }, poked: make(chan struct{}),
		screens: &posture.Looker{Logger: log, People: o.atScreens},
		open: func(of account, store control.Store) (*endpoint.Endpoint, error) {
			return endpoint.New(endpoint.Options{
				Store: store, Servers: []control.Server{o.plane.Server}, Pin: o.plane.Pin(), Posture: o.screens.Of(string(of)),
				Device: wireguard.Options{Mode: wireguard.Netstack, SmallFootprint: true}, Logger: log,
			})
		},
		nameOf: func(_ context.Context, of account) (string, error) {
			o.mu.Lock()
			defer o.mu.Unlock()
			if o.names == nil {
				return "", errors.New("the directory is away")
			}
			return o.names[of], nil
		},
		seen: func() map[account]bool {
			o.mu.Lock()
			defer o.mu.Unlock()
			return maps.Clone(o.seats)
		},
	})
	check(o.t, err)
	pages, err := page.New(page.Options{Version: "test", Logger: log})
	check(o.t, err)
	o.door = &door{laptops: o.sharing, self: unixPeer(0), socket: filepath.Join(o.path, "socket"), posture: o.screens, pages: pages, log: log}
	check(o.t, os.WriteFile(o.door.socket, nil, 0o600)) // of which only the rights are set
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	running := o.sharing
	go func() { done <- running.Run(ctx) }()
	var once sync.Once
	o.close = func() {
		once.Do(func() {
			cancel()
			check(o.t, errors.Join(<-done, pages.Close(), dir.Close()))
		})
	}
	o.t.Cleanup(o.close)
}

func (o *office) signs(seats map[account]bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seats = seats
}

// atScreens are those who are signed in.
func (o *office) atScreens() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.seats == nil {
		return nil
	}
	people := []string{}
	for who := range o.seats {
		people = append(people, string(who))
	}
	slices.Sort(people)
	return people
}

func (o *office) calls(of account, name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.names[of] = name
}

// ask calls the door in somebody's name.
func (o *office) ask(who peer, meant account, method, path string, call any) answer {
	o.t.Helper()
	var body bytes.Buffer
	if call != nil {
		check(o.t, json.NewEncoder(&body).Encode(call))
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, path, &body)
	if meant != "" {
		r.Header.Set(accountHeader, string(meant))
	}
	o.door.handler().ServeHTTP(w, r.WithContext(context.WithValue(o.t.Context(), callerKey{}, func() peer { return who })))
	var a answer
	check(o.t, json.NewDecoder(w.Body).Decode(&a))
	return a
}

func (a answer) code() string {
	if a.Problem == nil {
		return "done"
	}
	return a.Problem.Code
}

func (o *office) as(of account, method, path string, call any) answer {
	o.t.Helper()
	return o.ask(peer{account: of}, "", method, path, call)
}

func (o *office) is(what string, got answer, want string) {
	o.t.Helper()
	if got.code() != want {
		o.t.Fatalf("%s: %s (%+v), want %s", what, got.code(), got.Problem, want)
	}
}

func (o *office) enrol(of account) answer { return o.as(of, http.MethodPost, enrolPath, enrolment()) }
func (o *office) up(of account) answer    { return o.as(of, http.MethodPost, upPath, wishCall{}) }
func (o *office) down(of account) answer  { return o.as(of, http.MethodPost, downPath, wishCall{}) }

func (o *office) state(of account) endpoint.State {
	o.t.Helper()
	a := o.as(of, http.MethodGet, statusPath, nil)
	if a.Status == nil {
		return endpoint.State(a.code())
	}
	return a.Status.State
}

func (o *office) becomes(of account, want endpoint.State) {
	o.t.Helper()
	patience := time.After(15 * time.Second)
	for o.state(of) != want {
		select {
		case <-patience:
			o.t.Fatalf("%s is %s, want %s", of, o.state(of), want)
		case <-time.After(often):
		}
	}
}

func (o *office) folders() string {
	o.t.Helper()
	entries, err := os.ReadDir(filepath.Join(o.path, accountsDir))
	if err != nil && !os.IsNotExist(err) {
		o.t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return strings.Join(list, " ")
}

// One account's connection is open at a time. Whose it is nobody else is told, and who is not there any more gives way.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.signs(nil) // nobody can tell who is signed in
	o.is("nobody is enrolled", o.up(eva), "not-enrolled")
	for _, who := range []account{eva, kim} {
		o.is("enrolling", o.enrol(who), "done")
	}
	if got := o.folders(); got != "1001 1002" {
		t.Errorf("the folders %q", got)
	}
	if _, err := o.DialContext(t.Context(), "tcp", endpointtest.Inside+":80"); !errors.Is(err, endpoint.NotConnected()) || o.mayDial(1001) {
		t.Errorf("through a tunnel that is not there: %v", err)
	}
	o.is("the first one", o.up(eva), "done")
	o.is("the first one again", o.up(eva), "done")
	conn, err := o.DialContext(t.Context(), "tcp", endpointtest.Inside+":80")
	check(t, err)
	check(t, conn.Close())
	if !o.mayDial(1001) || o.mayDial(1002) || !o.mayDial(0) || o.mayDial(-1) {
		t.Error("the proxy is not hers and root's")
	}
	o.is("the second one", o.up(kim), codeLaptopInUse)
	if s := o.as(kim, http.MethodGet, whyPath, nil).Status; s.State != endpoint.Disconnected || s.Gateway != "" || len(s.Addresses) != 0 {
		t.Errorf("the second one sees %+v", s)
	}
	o.is("the second one disconnects nobody", o.down(kim), "done")
	if o.state(eva) != endpoint.Connected {
		t.Errorf("the first one is %s", o.state(eva))
	}
	o.is("the first one disconnects", o.down(eva), "done")
	o.is("the second one", o.up(kim), "done")
	o.is("the first one", o.up(eva), codeLaptopInUse)

	o.signs(map[account]bool{kim: false, eva: true}) // fast user switching
	o.is("who is in front", o.up(eva), "done")
	if o.state(kim) != endpoint.Disconnected || len(o.plane.Seen().Closings) == 0 {
		t.Errorf("who has switched away is %s", o.state(kim))
	}
	check(t, o.Alive(t.Context()))
}

// Who connects while an earlier run's changes are still being put back is not told that nothing runs.
func TestConnectingBeforeItRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &sharing{begun: make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		told := make(chan error, 1)
		go func() { told <- s.connect(ctx, eva) }()
		synctest.Wait()
		if len(told) != 0 {
			t.Fatalf("told at once: %v", <-told)
		}
		cancel()
		if err := <-told; !errors.Is(err, daemonMissing()) {
			t.Errorf("who does not wait is told %v", err)
		}
	})
}

// Two who connect at the same time do not both succeed, however often.
func TestTwoConnectAtOnce(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.signs(map[account]bool{eva: true, kim: true}) // one of them from afar
	o.is("enrolling", o.enrol(eva), "done")
	o.is("enrolling", o.enrol(kim), "done")
	for range 5 {
		codes := make(map[string]int)
		var mu sync.Mutex
		var both sync.WaitGroup
		for _, who := range []account{eva, kim} {
			both.Go(func() {
				code := o.up(who).code()
				mu.Lock()
				defer mu.Unlock()
				codes[code]++
			})
		}
		both.Wait()
		if codes["done"] != 1 || codes[codeLaptopInUse] != 1 {
			t.Fatalf("they got %v", codes)
		}
		o.down(eva)
		o.down(kim)
	}
}

// With start: login the one in front is connected, signing out disconnects, and who comes back to her session goes on.
func TestSharedSigningInAndOut(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.atOnce = true
	poke := func() { // until it has looked
		for range 3 {
			o.stirred <- struct{}{}
		}
	}
	o.is("enrolling", o.enrol(eva), "done")
	o.is("enrolling", o.enrol(kim), "done")
	o.signs(map[account]bool{eva: true})
	poke()
	o.becomes(eva, endpoint.Connected)
	o.signs(map[account]bool{eva: false, "110": true}) // the sign-in screen: she may only have locked hers
	poke()
	if o.state(eva) != endpoint.Connected {
		t.Errorf("behind the sign-in screen she is %s", o.state(eva))
	}
	o.signs(map[account]bool{eva: false, mia: true}) // who has no enrolment, and is not to use hers
	poke()
	o.becomes(eva, endpoint.Disconnected)
	o.signs(map[account]bool{eva: false, kim: true})
	poke()
	o.becomes(kim, endpoint.Connected)
	o.signs(map[account]bool{eva: true})
	poke()
	o.becomes(eva, endpoint.Connected)
	o.becomes(kim, endpoint.Disconnected)
	o.signs(map[account]bool{})
	poke()
	o.becomes(eva, endpoint.Disconnected)
	o.signs(map[account]bool{eva: true})
	poke()
	o.becomes(eva, endpoint.Connected)
	o.is("she disconnects", o.down(eva), "done")
	poke()
	if o.state(eva) != endpoint.Disconnected {
		t.Error("she is connected against her will")
	}
}

// Root sees and drives whom it names, and nobody else does.
func TestSharedAdministration(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.is("enrolling", o.enrol(eva), "done")
	if a := o.ask(unixPeer(0), "", http.MethodGet, accountsPath, nil); len(a.Accounts) != 1 || a.Accounts[0].Name != "eva" || a.Accounts[0].Person == "" {
		t.Errorf("root sees %+v", a.Accounts)
	}
	if a := o.ask(unixPeer(0), eva, http.MethodGet, statusPath, nil); a.Status.State != endpoint.Disconnected {
		t.Errorf("root sees of her %+v", a.Status)
	}
	if a := o.ask(unixPeer(0), "", http.MethodGet, statusPath, nil); a.Status.State != endpoint.NotEnrolled {
		t.Errorf("root's own is %+v", a.Status)
	}
	if a := o.ask(peer{account: kim}, eva, http.MethodGet, statusPath, nil); a.Status.State != endpoint.NotEnrolled || a.Status.Person != "" {
		t.Errorf("another account that names hers sees %+v", a.Status)
	}
	o.is("listing", o.as(kim, http.MethodGet, accountsPath, nil), codeAdminOnly)
	o.is("forgetting", o.as(kim, http.MethodPost, forgetPath, forgetCall{Account: eva}), codeAdminOnly)
	o.is("up", o.ask(unixPeer(0), eva, http.MethodPost, upPath, wishCall{}), "done")
	o.is("forgetting", o.ask(unixPeer(0), "", http.MethodPost, forgetPath, forgetCall{Account: eva}), "done")
	o.is("forgetting again", o.ask(unixPeer(0), "", http.MethodPost, forgetPath, forgetCall{Account: eva}), codeNoAccount)
	if o.state(eva) != endpoint.NotEnrolled || o.folders() != "" || len(o.plane.Seen().Closings) != 1 {
		t.Errorf("she is %s; the folders %q", o.state(eva), o.folders())
	}
	o.is("a caller without an account", o.ask(peer{}, "", http.MethodGet, statusPath, nil), codeNotYours)
	o.is("one that leads elsewhere", o.ask(peer{account: "../1001"}, "", http.MethodGet, statusPath, nil), codeNotYours)
}

// The pages are those of the account that opened them, side by side.
func TestSharedPages(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.is("enrolling", o.enrol(eva), "done")
	o.is("up", o.up(eva), "done")
	open := func(a answer) string {
		o.is("opening", a, "done")
		return letIn(t, *a.Invitation).get(t, "/")
	}
	hers := open(o.as(eva, http.MethodPost, openPath, wishCall{}))
	others := open(o.as(kim, http.MethodPost, openPath, wishCall{}))
	roots := open(o.ask(unixPeer(0), eva, http.MethodPost, openPath, wishCall{}))
	for what, page := range map[string]string{"hers": hers, "root's of hers": roots} {
		if !strings.Contains(page, "Erika Beispiel") || !strings.Contains(page, `action="/disconnect"`) {
			t.Errorf("%s:\n%s", what, page)
		}
	}
	if strings.Contains(others, "Erika") || !strings.Contains(others, `action="/enrol"`) {
		t.Errorf("another account's:\n%s", others)
	}
}

// Each account's connection is judged by that account's screen, which its own programs tell and nobody else's: neither another
// account's, nor root's, whomever they name.
func TestSharedScreens(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	locks, never := &posture.Screen{Locks: true, After: time.Minute}, &posture.Screen{}
	is := func(what string, evas, kims posture.Answer) {
		t.Helper()
		for who, want := range map[account]posture.Answer{eva: evas, kim: kims, mia: posture.Yes} { // mia is not there
			got := o.screens.Of(string(who))(t.Context(), []posture.Question{{Name: posture.ScreenLock, Within: 10 * time.Minute}})
			if got[posture.ScreenLock] != want {
				t.Errorf("%s: that of %s is %v, want %v", what, who, got, want)
			}
		}
	}
	tell := func(who peer, meant account, path string, s *posture.Screen) {
		t.Helper()
		o.ask(who, meant, http.MethodPost, path, wishCall{Screen: s})
	}
	o.signs(map[account]bool{eva: true, kim: false}) // who has switched away
	is("nobody has told", posture.Unknown, posture.Unknown)
	tell(peer{account: kim}, "", screenPath, locks) // who is not enrolled yet
	is("one has", posture.Unknown, posture.Yes)
	tell(peer{account: kim}, eva, screenPath, locks)
	tell(unixPeer(0), eva, screenPath, locks)
	o.is("enrolling", o.enrol(eva), "done")
	o.is("enrolling", o.enrol(kim), "done")
	tell(unixPeer(0), eva, upPath, locks)
	is("others have told in her name", posture.Unknown, posture.Yes)
	tell(peer{account: eva}, "", openPath, never)
	is("both have", posture.No, posture.Yes)
	tell(peer{account: eva}, "", upPath, locks)
	tell(peer{account: kim}, eva, downPath, never)
	is("both have again", posture.Yes, posture.No)
	tell(peer{account: kim}, "", screenPath, locks)
	o.calls(kim, "karl")
	o.as(kim, http.MethodGet, statusPath, nil)
	is("somebody else has the number", posture.Yes, posture.Unknown)
	tell(peer{account: mia}, "", screenPath, never)
	o.signs(map[account]bool{"1004": true})
	is("none of them is there", posture.Yes, posture.Yes)
}

// Of who has no enrolment nothing is kept, and no more enrol than there is room for.
func TestSharedLimits(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	wrong := enrolment()
	wrong.Password = "falsch"
	o.is("a wrong password", o.as(eva, http.MethodPost, enrolPath, wrong), "sign-in-failed")
	o.is("looking", o.as(kim, http.MethodGet, statusPath, nil), "done")
	if got, known := o.folders(), len(o.all()); got != "" || known != 0 {
		t.Errorf("the folders %q, %d accounts", got, known)
	}
	o.is("by code", o.as(kim, http.MethodPost, codePath, codeCall{}), "done")
	if got := o.folders(); got != "1002" {
		t.Errorf("who waits with a code has no folder: %q", got)
	}
	for len(o.room) < mostAccounts {
		o.room <- struct{}{}
	}
	o.is("one too many", o.enrol(eva), codeLaptopFull)
	if n := len(o.plane.Seen().Enrolments); n != 1 {
		t.Errorf("the control plane was asked %d times", n)
	}
	o.plane.Script(func(x *endpointtest.Script) { x.Approved = true })
	late := o.members[kim].drawer
	o.close()
	if err := late.Save("late", 1); err == nil { // a call that outlives the daemon
		t.Error("kept after the end")
	}
	o.start()
	o.is("who waits with a code, after a restart", o.as(kim, http.MethodPost, awaitPath, codeCall{}), "done")
	if o.state(kim) != endpoint.Disconnected {
		t.Errorf("she is %s", o.state(kim))
	}
}

// A number that was given to somebody else opens nothing that was kept under it, and a directory that is away takes nothing.
func TestSharedAccountsGone(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.is("enrolling", o.enrol(eva), "done")
	o.is("enrolling", o.enrol(kim), "done")
	before, err := os.ReadFile(filepath.Join(o.path, accountsDir, "1002", "device.json"))
	check(t, err)

	o.calls(eva, "") // unknown for the moment
	o.is("an account without a name", o.as(eva, http.MethodGet, statusPath, nil), codeAccountUnknown)
	o.calls(eva, "eva")
	o.becomes(eva, endpoint.Disconnected)
	now := time.Now()
	o.calls(eva, "")
	o.tidy(t.Context(), now)
	o.tidy(t.Context(), now.Add(missedFor-time.Second))
	o.calls(eva, "eva")
	o.tidy(t.Context(), now.Add(missedFor)) // it was there meanwhile
	o.calls(eva, "")
	o.tidy(t.Context(), now.Add(missedFor))
	o.tidy(t.Context(), now.Add(2*missedFor-time.Second))
	if got := o.folders(); got != "1001 1002" {
		t.Fatalf("the folders %q", got)
	}
	o.tidy(t.Context(), now.Add(2*missedFor))
	if got := o.folders(); got != "1002" {
		t.Fatalf("after a week the folders %q", got)
	}

	o.is("up", o.up(kim), "done")
	o.calls(kim, "karl")
	if a := o.as(kim, http.MethodGet, statusPath, nil); a.Status.State != endpoint.NotEnrolled || a.Status.Person != "" {
		t.Errorf("somebody else with her number sees %+v", a.Status)
	}
	if n := len(o.plane.Seen().Closings); n != 1 || o.folders() != "" {
		t.Errorf("hers was closed %d times; the folders %q", n, o.folders())
	}
	o.is("enrolling", o.enrol(kim), "done")
	after, err := os.ReadFile(filepath.Join(o.path, accountsDir, "1002", "device.json"))
	check(t, err)
	if bytes.Equal(before, after) {
		t.Error("with the same keys")
	}
	o.mu.Lock()
	o.names = nil
	o.mu.Unlock()
	o.is("nobody can be asked for names", o.as(kim, http.MethodGet, statusPath, nil), codeAccountUnknown)
	o.tidy(t.Context(), now.Add(9*missedFor))
	if got := o.folders(); got != "1002" {
		t.Errorf("the folders %q", got)
	}
}

// Who gets the number of somebody whose connection is still being closed waits until nothing of that one's is left. Else the end of
// it would take what she has enrolled meanwhile.
func TestSharedNumberGivenAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state")
	synctest.Test(t, func(t *testing.T) {
		dir, err := state.Open(path)
		check(t, err)
		log := slog.New(slog.DiscardHandler)
		s, err := share(&sharing{
			dir: dir, log: log, screens: &posture.Looker{Logger: log},
			open: func(_ account, store control.Store) (*endpoint.Endpoint, error) {
				return endpoint.New(endpoint.Options{Store: store, Device: wireguard.Options{Mode: wireguard.Netstack}, Logger: log})
			},
		})
		check(t, err)
		s.root = t.Context()
		first, err := s.member(t.Context(), kim, "kim")
		check(t, errors.Join(err, first.drawer.Save("device", "kim's")))
		closed := make(chan struct{})
		s.mu.Lock()
		s.begins(first, func(context.Context) error { <-closed; return nil }) // the control plane takes its time to answer
		s.mu.Unlock()

		removed, enrolled := make(chan error, 1), make(chan error, 1)
		go func() { removed <- s.remove(first) }()
		synctest.Wait()
		go func() {
			second, err := s.member(t.Context(), kim, "karl")
			if err == nil {
				err = second.drawer.Save("device", "karl's")
			}
			enrolled <- err
		}()
		impatient, cancel := context.WithCancel(t.Context())
		go cancel()
		if _, err := s.member(impatient, kim, "karl"); !errors.Is(err, context.Canceled) {
			t.Errorf("who does not wait gets %v", err)
		}
		synctest.Wait()
		close(closed)
		check(t, errors.Join(<-removed, <-enrolled))
		var kept string
		check(t, s.members[kim].drawer.Load("device", &kept))
		if _, err := os.Stat(filepath.Join(path, accountsDir, string(kim), "device.json")); err != nil || kept != "karl's" || len(s.leaving) != 0 {
			t.Errorf("what he has enrolled: %v, %q", err, kept)
		}
		check(t, errors.Join(s.members[kim].drawer.close(), dir.Close()))
	})
}

// The enrolment of a time when the laptop was one account's stays where it is, and is that account's; what is damaged of one
// harms no other.
func TestSharedAfterOne(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.is("enrolling", o.enrol(kim), "done")
	o.is("enrolling", o.enrol(mia), "done")
	o.close()
	dir, err := state.Open(o.path)
	check(t, err)
	laptop, err := endpoint.New(endpoint.Options{
		Store: dir, Servers: []control.Server{o.plane.Server}, Pin: o.plane.Pin(), Device: wireguard.Options{Mode: wireguard.Netstack},
		Logger: slog.New(slog.DiscardHandler),
	})
	check(t, err)
	_, err = laptop.Enrol(t.Context(), endpoint.EnrolRequest{Login: "erika", Password: endpointtest.Password})
	check(t, err)
	owner, err := loadOwnership(dir, unixPeer(0), "")
	check(t, errors.Join(err, owner.take(eva), dir.Close()))
	cut := filepath.Join(o.path, accountsDir, "1002", "identity.json")
	check(t, os.Truncate(cut, 40))
	check(t, os.Truncate(filepath.Join(o.path, accountsDir, "1003", "account.json"), 0))
	check(t, os.Mkdir(filepath.Join(o.path, accountsDir, "notes"), 0o700)) // of somebody
	stale := filepath.Join(o.path, accountsDir, "1001", "device.json")     // of another time, when she shared it too
	check(t, os.Mkdir(filepath.Dir(stale), 0o700))
	check(t, os.WriteFile(stale, []byte("{}"), 0o600))

	o.start()
	o.is("who is damaged", o.up(kim), "state-damaged")
	o.is("of whom it is not known any more", o.up(mia), "state-damaged")
	o.is("the former owner", o.up(eva), "done")
	if n := len(o.plane.Seen().Enrolments); n != 3 {
		t.Errorf("%d enrolments", n)
	}
	for _, who := range []account{kim, mia} { // root puts it right
		o.is("forgetting", o.ask(unixPeer(0), "", http.MethodPost, forgetPath, forgetCall{Account: who}), "done")
		o.is("enrolling anew", o.enrol(who), "done")
	}
	o.close()

	// It can be one account's again.
	dir, err = state.Open(o.path)
	check(t, err)
	owner, err = loadOwnership(dir, unixPeer(0), "")
	check(t, errors.Join(err, dir.Close()))
	if owner.user() != eva {
		t.Errorf("it is that of %q", owner.user())
	}
	o.start()
	o.calls(eva, "erich")
	if a := o.as(eva, http.MethodGet, statusPath, nil); a.Status.State != endpoint.NotEnrolled {
		t.Errorf("somebody else with the former owner's number sees %+v", a.Status)
	}
	if _, err := os.Stat(filepath.Join(o.path, "device.json")); !os.IsNotExist(err) {
		t.Errorf("the former owner's keys: %v", err)
	}
	o.is("by code", o.as(eva, http.MethodPost, codePath, codeCall{}), "done")
	if _, err := os.Stat(stale); !os.IsNotExist(err) {
		t.Errorf("what lay under the number: %v", err)
	}
}

func TestAtLaptop(t *testing.T) {
	t.Parallel()
	logins := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	told := watchDir(ctx, logins, slog.New(slog.DiscardHandler))
	for name, note := range map[string]string{"1001": "NAME=eva\nSTATE=active\n", "1002": "STATE=online\n", "1003": "STATE=lingering\n", "1004": "STATE=closing\n", "1005": ""} {
		check(t, os.WriteFile(filepath.Join(logins, "."+name), []byte(note), 0o644))
		check(t, os.Rename(filepath.Join(logins, "."+name), filepath.Join(logins, name)))
	}
	<-told
	if seen := atLaptopBy(logins); !maps.Equal(seen, map[account]bool{eva: true, kim: false}) {
		t.Errorf("seen: %v", seen)
	}
	if seen := atLaptopBy(filepath.Join(logins, "none")); seen != nil {
		t.Errorf("where nobody can tell: %v", seen)
	}
	select { // what of it was told later
	case <-told:
	default:
	}
	check(t, os.Remove(filepath.Join(logins, "1001")))
	<-told
}

func TestAccountDirs(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"0": true, "1001": true, "S-1-5-21-1-2-3-1001": true, "": false, "..": false, "10/1": false, "S-1-": false, "1-2": false, "-1": false,
		"S-1-5/..": false, ".new-1": false, "notes": false, "S-1-" + strings.Repeat("1", 300): false,
	} {
		if isAccountDir(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}
