package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint/endpointtest"
	"github.com/heimdraht/heimdraht/agent/page"
	"github.com/heimdraht/heimdraht/agent/posture"
	"github.com/heimdraht/heimdraht/cmd/internal/speech"
)

// browser is somebody's who was let in.
type browserOf struct {
	*http.Client
	url, room string
}

func letIn(t *testing.T, invited page.Invitation) *browserOf {
	t.Helper()
	jar, err := cookiejar.New(nil)
	check(t, err)
	b := &browserOf{&http.Client{Jar: jar}, strings.TrimSuffix(invited.URL, "/"), "/"}
	_, text, _ := strings.Cut(b.post(t, "/enter", url.Values{"token": {invited.Token}}), "url=")
	b.room, _, _ = strings.Cut(text, `"`)
	return b
}

func (b *browserOf) post(t *testing.T, path string, form url.Values) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+b.room+strings.TrimPrefix(path, "/"), strings.NewReader(form.Encode()))
	check(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", b.url)
	return b.do(t, r)
}

func (b *browserOf) get(t *testing.T, path string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+b.room+strings.TrimPrefix(path, "/"), nil)
	check(t, err)
	return b.do(t, r)
}

func (b *browserOf) do(t *testing.T, r *http.Request) string {
	t.Helper()
	answer, err := b.Do(r)
	check(t, err)
	body, err := io.ReadAll(answer.Body)
	check(t, err)
	check(t, answer.Body.Close())
	return strings.ReplaceAll(string(body), b.room, "/")
}

// The pages do what the commands do: enrol and connect a real laptop, and say how it stands.
func TestThePagesDriveTheLaptop(t *testing.T) {
	plane := endpointtest.New(t)
	d := openDoor(t, plane, &control.MemoryStore{}, -1)
	invited, err := d.ask().open(t.Context(), speech.German)
	check(t, err)
	b := letIn(t, invited)
	if text := b.get(t, "/"); !strings.Contains(text, `action="/enrol"`) {
		t.Fatalf("a laptop that is nobody's yet:\n%s", text)
	}
	if text := b.post(t, "/enrol", url.Values{"login": {"erika"}, "password": {"falsch"}}); !strings.Contains(text, `role="alert"`) || strings.Contains(text, "falsch") {
		t.Errorf("with a wrong password:\n%s", text)
	}
	text := b.post(t, "/enrol", url.Values{"login": {"erika"}, "password": {endpointtest.Password}})
	if !strings.Contains(text, `action="/disconnect"`) || !strings.Contains(text, "Erika Beispiel") {
		t.Errorf("enrolled and connected:\n%s", text)
	}
	if text = b.post(t, "/disconnect", nil); !strings.Contains(text, `action="/connect"`) {
		t.Errorf("disconnected:\n%s", text)
	}
	for _, path := range []string{"/why", "/rules", "/reported", "/report"} {
		if text := b.get(t, path); !strings.Contains(text, "</html>") || strings.Contains(text, `role="alert"`) && path != "/rules" {
			t.Errorf("%s:\n%s", path, text)
		}
	}
	if file := b.get(t, "/report/file"); !json.Valid([]byte(file)) || strings.Contains(file, "PRIVATE KEY") || strings.Contains(file, endpointtest.Password) {
		t.Errorf("a diagnosis: %s", file)
	}
}

// A second factor is set up on the pages, from the refusal to the recovery codes, and with the next code she is in.
func TestThePagesSetUpASecondFactor(t *testing.T) {
	plane := endpointtest.New(t)
	plane.Script(func(s *endpointtest.Script) { s.Code = endpointtest.Code })
	d := openDoor(t, plane, &control.MemoryStore{}, -1)
	invited, err := d.ask().open(t.Context(), speech.German)
	check(t, err)
	b := letIn(t, invited)
	form := url.Values{"login": {"erika"}, "password": {endpointtest.Password}}
	for _, step := range []struct {
		path, name, value string
		says              string
	}{
		{"/enrol", "code", "", "Es braucht einen Code."},
		{"/factor", "key", "falsch", "Der Schlüssel gilt nicht."},
		{"/factor", "key", endpointtest.Token, "<svg"},
		{"/factor/confirm", "code", "000000", "Der Code stimmt nicht."},
		{"/factor/confirm", "code", endpointtest.Code, "<li>" + endpointtest.RecoveryCode + "</li>"},
		{"/enrol", "code", "000000", "Der Code stimmt nicht."},
		{"/enrol", "code", endpointtest.RecoveryCode, `action="/disconnect"`},
	} {
		form.Set(step.name, step.value)
		if text := b.post(t, step.path, form); !strings.Contains(text, step.says) || strings.Contains(text, endpointtest.Password) || strings.Contains(text, endpointtest.Token) {
			t.Fatalf("%s with %s:\n%s", step.path, step.name, text)
		}
	}
}

// What an account tells of its screen is taken as its own, whether it connects, opens the pages or signs in; and what the pages do
// in its name tells nothing of this process's.
func TestWhoseScreenIsTold(t *testing.T) {
	d := openDoor(t, endpointtest.New(t), &control.MemoryStore{}, -1)
	changed := d.posture.Watch(t.Context(), time.Hour)
	told := func() bool {
		select {
		case <-changed:
			return true
		default:
			return false
		}
	}
	screen := &posture.Screen{Locks: true, After: time.Minute}
	for _, path := range []string{upPath, openPath, screenPath} {
		_, _ = d.ask().call(t.Context(), http.MethodPost, path, wishCall{Screen: screen}) // nobody is enrolled
		if !told() {
			t.Errorf("%s told nothing", path)
		}
	}
	t.Setenv("XDG_CURRENT_DESKTOP", "KDE") // as if the daemon had a desktop
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	invited, err := d.pages.Invite(t.Context(), d.deskOf(self(), ""))
	check(t, err)
	letIn(t, invited).post(t, "/connect", nil)
	if told() {
		t.Error("the pages told of the daemon's screen")
	}
	check(t, tellScreenCommand{}.Run(t.Context(), &app{world: world{self: self(), env: func(string) string { return "" }}, socket: d.socket}))
	if !told() {
		t.Error("signing in told nothing")
	}
}

// On a laptop that is one account's nobody tells of a screen that is not hers: neither root of her person's, nor who has nothing
// to do with it.
func TestNobodyTellsOfAnothersScreen(t *testing.T) {
	d := openDoor(t, endpointtest.New(t), &control.MemoryStore{}, 1234)
	at := []string{"1234"}
	looker := &posture.Looker{People: func() []string { return at }}
	door := &door{laptops: d.laptops, posture: looker, log: slog.New(slog.DiscardHandler)}
	for _, step := range []struct {
		who    account
		screen posture.Screen
		want   posture.Answer
		code   string
	}{
		{root, posture.Screen{Locks: true}, posture.Unknown, ""},
		{"4321", posture.Screen{Locks: true}, posture.Unknown, codeNotYours},
		{"1234", posture.Screen{Locks: true}, posture.Yes, ""},
		{root, posture.Screen{}, posture.Yes, ""},
		{"4321", posture.Screen{}, posture.Yes, codeNotYours},
		{"1234", posture.Screen{}, posture.No, ""},
		{"1234", posture.Screen{Locks: true}, posture.Yes, ""},
	} {
		caller := &caller{transport: inProcess{door.handler(), peer{account: step.who, admin: step.who == root}}, meant: "1234"}
		err := caller.screen(t.Context(), &step.screen)
		if p, _ := control.AsProblem(err); step.code == "" && err != nil || step.code != "" && (p == nil || p.Code != step.code) {
			t.Errorf("%s tells: %v", step.who, err)
		}
		if got := looker.Look(t.Context(), []posture.Question{{Name: posture.ScreenLock}}); got[posture.ScreenLock] != step.want {
			t.Errorf("after %s has told %+v: %v", step.who, step.screen, got)
		}
	}
	at = append(at, "4321") // whoever finds that one's screen open has the connection of this one
	if got := looker.Look(t.Context(), []posture.Question{{Name: posture.ScreenLock}}); got[posture.ScreenLock] != posture.Unknown {
		t.Errorf("beside one who cannot tell: %v", got)
	}
}

// Who is not the laptop's person gets no way in, and loses one when the laptop becomes another's.
func TestThePagesAreForTheLaptopsPerson(t *testing.T) {
	d := openDoor(t, endpointtest.New(t), &control.MemoryStore{}, 1234)
	d.owner.self = unixPeer(0)
	ask := func(uid int) (a answer) {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, openPath, bytes.NewReader([]byte(`{"language":"de"}`)))
		d.handler().ServeHTTP(w, r.WithContext(context.WithValue(t.Context(), callerKey{}, func() peer { return unixPeer(uid) })))
		check(t, json.NewDecoder(w.Body).Decode(&a))
		return a
	}
	if a := ask(5678); a.Invitation != nil || a.Problem == nil || a.Problem.Code != codeNotYours {
		t.Errorf("another account: %+v", a)
	}
	a := ask(1234)
	if a.Invitation == nil {
		t.Fatalf("her own: %+v", a.Problem)
	}
	b := letIn(t, *a.Invitation)
	if text := b.get(t, "/"); !strings.Contains(text, `action="/enrol"`) {
		t.Errorf("her own:\n%s", text)
	}
	d.owner.fixed = "9999"
	if text := b.get(t, "/"); strings.Contains(text, `action="/enrol"`) || !strings.Contains(text, `role="alert"`) {
		t.Errorf("it is another's now:\n%s", text)
	}
}
