package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint"
	"github.com/heimdraht/heimdraht/agent/endpoint/endpointtest"
	"github.com/heimdraht/heimdraht/agent/page"
	"github.com/heimdraht/heimdraht/agent/posture"
	"github.com/heimdraht/heimdraht/agent/wireguard"
	"github.com/heimdraht/heimdraht/cmd/internal/speech"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// soleDoor is a door that leads to one account's laptop.
type soleDoor struct {
	*door
	*sole
}

// openDoor runs a laptop and its door. fixed is the user whom the configuration names, or -1.
func openDoor(t *testing.T, plane *endpointtest.Plane, store control.Store, fixed int) soleDoor {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	laptop, err := endpoint.New(endpoint.Options{
		Store: store, Servers: []control.Server{plane.Server}, Pin: plane.Pin(),
		Device: wireguard.Options{Mode: wireguard.Netstack, SmallFootprint: true}, Logger: log,
	})
	check(t, err)
	owner, err := loadOwnership(store, self(), unixPeer(fixed).account)
	check(t, err)
	pages, err := page.New(page.Options{Version: "test", Logger: log})
	check(t, err)
	t.Cleanup(func() { check(t, pages.Close()) })
	one := &sole{laptop: laptop, owner: owner, log: log}
	d := &door{laptops: one, self: self(), socket: freeSocket(t), posture: &posture.Looker{Logger: log, People: func() []string { return nil }}, pages: pages, log: log}
	l, err := listen(t.Context(), d.socket)
	check(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- laptop.Run(ctx) }()
	go func() { done <- d.serve(ctx, l, func() {}) }()
	t.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
	// The socket listens from before serve; its rights are set when it answers.
	_, err = d.ask().status(t.Context(), speech.English)
	check(t, err)
	return soleDoor{d, one}
}

func (d *door) ask() *caller { return &caller{socket: d.socket, self: self()} }

func enrolment() enrolCall {
	return enrolCall{Language: "en", Login: "erika", Password: endpointtest.Password}
}

// TestMalformedCalls are answered, not obeyed.
func TestMalformedCalls(t *testing.T) {
	plane := endpointtest.New(t)
	d := openDoor(t, plane, &control.MemoryStore{}, -1)
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DialContext: d.ask().dial}}
	for _, test := range []struct {
		method, path, body string
		want               int
	}{
		{"POST", enrolPath, "", http.StatusBadRequest},
		{"POST", enrolPath, "{", http.StatusBadRequest},
		{"POST", enrolPath, `{"login":"a","password":"b","more":1}`, http.StatusBadRequest},
		{"POST", enrolPath, `{"login":"a","password":"b"}{}`, http.StatusBadRequest},
		{"POST", enrolPath, `{"login":"a","password":"` + strings.Repeat("x", maxCall) + `"}`, http.StatusBadRequest},
		{"POST", upPath, `[]`, http.StatusBadRequest},
		{"GET", upPath, "", http.StatusMethodNotAllowed},
		{"POST", statusPath, "{}", http.StatusMethodNotAllowed},
		{"GET", "/", "", http.StatusNotFound},
	} {
		request, err := http.NewRequestWithContext(t.Context(), test.method, "http://agent"+test.path, strings.NewReader(test.body))
		check(t, err)
		response, err := client.Do(request)
		check(t, err)
		body, err := io.ReadAll(response.Body)
		check(t, errors.Join(err, response.Body.Close()))
		if response.StatusCode != test.want {
			t.Errorf("%s %s %.40s: %d %s", test.method, test.path, test.body, response.StatusCode, body)
		}
		if test.want == http.StatusBadRequest && (!strings.Contains(string(body), codeNoSuchCall) || strings.Contains(string(body), "password")) {
			t.Errorf("%.40s is told %s", test.body, body)
		}
	}
	if n := len(plane.Seen().Enrolments); n != 0 {
		t.Errorf("the control plane was asked %d times", n)
	}
}

// TestTwoEnrolAtOnce: the faster one has the laptop; the other one does not take it over, whatever she can prove.
func TestTwoEnrolAtOnce(t *testing.T) {
	plane := endpointtest.New(t)
	store := &control.MemoryStore{}
	d := openDoor(t, plane, store, -1)
	d.owner.self = unixPeer(0) // as a daemon of root's, which is nobody's yet
	arrived, goOn := make(chan struct{}, 2), make(chan struct{})
	plane.Script(func(x *endpointtest.Script) {
		x.OnEnrol = func(*heimdrahtv1.EnrolRequest) error { arrived <- struct{}{}; <-goOn; return nil }
	})
	ask := func(uid int) *httptest.ResponseRecorder {
		body, err := json.Marshal(enrolment())
		check(t, err)
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, enrolPath, bytes.NewReader(body))
		d.handler().ServeHTTP(w, r.WithContext(context.WithValue(t.Context(), callerKey{}, func() peer { return unixPeer(uid) })))
		return w
	}
	first, second := make(chan *httptest.ResponseRecorder, 1), make(chan *httptest.ResponseRecorder, 1)
	go func() { first <- ask(1234) }()
	<-arrived
	go func() { second <- ask(5678) }()
	time.Sleep(50 * time.Millisecond) // real: nobody tells that the second one has come as far as it gets
	close(goOn)
	if got := (<-second).Body.String(); !strings.Contains(got, codeNotYours) {
		t.Errorf("the second one: %s", got)
	}
	if got := (<-first).Body.String(); strings.Contains(got, "problem") {
		t.Errorf("the first one: %s", got)
	}
	if n := len(plane.Seen().Enrolments); n != 1 || d.owner.user() != "1234" {
		t.Errorf("%d enrolments, the laptop is that of %s", n, d.owner.user())
	}
}

// TestOneAwaitsACode: what is approved for one user does not become the laptop of another who asks in between.
func TestOneAwaitsACode(t *testing.T) {
	plane := endpointtest.New(t)
	d := openDoor(t, plane, &control.MemoryStore{}, -1)
	d.owner.self = unixPeer(0) // as a daemon of root's, which is nobody's yet
	ask := func(uid int, path string) string {
		body, err := json.Marshal(codeCall{})
		check(t, err)
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
		d.handler().ServeHTTP(w, r.WithContext(context.WithValue(t.Context(), callerKey{}, func() peer { return unixPeer(uid) })))
		return w.Body.String()
	}
	if got := ask(1234, codePath); strings.Contains(got, "problem") {
		t.Fatalf("the first one gets no code: %s", got)
	}
	plane.Script(func(x *endpointtest.Script) { x.Approved = true })
	for _, path := range []string{codePath, awaitPath} {
		if got := ask(5678, path); !strings.Contains(got, codeNotYours) {
			t.Errorf("another one at %s: %s", path, got)
		}
	}
	if got := ask(1234, awaitPath); strings.Contains(got, "problem") || d.owner.user() != "1234" {
		t.Errorf("the laptop is that of %s: %s", d.owner.user(), got)
	}
}

// brokenStore keeps all but whose laptop it is.
type brokenStore struct{ control.MemoryStore }

func (s *brokenStore) Save(name string, value any) error {
	if name == ownerFile {
		return errors.New("no space left on device")
	}
	return s.MemoryStore.Save(name, value)
}

// TestOwnerNotKept: on a full disk, the one who has enrolled hears of it, and the laptop is hers all the same.
func TestOwnerNotKept(t *testing.T) {
	o, err := loadOwnership(&brokenStore{}, unixPeer(0), "")
	check(t, err)
	if err := o.take("1234"); err == nil || !strings.Contains(err.Error(), "keeping whose laptop this is: no space left on device") {
		t.Errorf("got %v", err)
	}
	if !o.may(unixPeer(1234), false) || o.may(unixPeer(5678), true) || o.may(peer{}, true) {
		t.Error("the laptop is still anybody's")
	}
}

func FuzzDecodeCall(f *testing.F) {
	f.Add([]byte(`{"language":"de","login":"erika","password":"geheim","for_uid":"0"}`))
	f.Add([]byte(`{"login":null}`))
	f.Add([]byte(`{}{}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var call enrolCall
		err := decodeCall(bytes.NewReader(raw), &call)
		if err != nil && call.Password != "" && len(call.Password) > 8 && strings.Contains(err.Error(), call.Password) {
			t.Error("the error quotes the password")
		}
		var wish wishCall
		_ = decodeCall(bytes.NewReader(raw), &wish)
	})
}

// FuzzPresent: whatever the daemon's socket answers, a command neither panics nor passes on what a terminal obeys.
func FuzzPresent(f *testing.F) {
	f.Add("Beendet.", "gw1", uint64(1234567))
	f.Add("\x1b[2J\n", "\u009b31m\n\n\n\n\n\n\n", uint64(0))
	f.Fuzz(func(t *testing.T, sentence, gateway string, n uint64) {
		var out bytes.Buffer
		a := &app{world: world{out: &out, err: &out}, language: speech.German}
		a.present(&answer{Status: &endpoint.Status{Sentence: sentence, Gateway: gateway, ReceivedBytes: n, Since: time.Unix(int64(n%1e9), 0)}})
		lines := strings.Count(out.String(), "\n")
		if lines > 6 {
			t.Errorf("%d lines: %q", lines, out.String())
		}
		if strings.ContainsAny(out.String(), "\x1b\u009b\x07\r") {
			t.Errorf("%q", out.String())
		}
	})
}

func TestSerialNumbers(t *testing.T) {
	for raw, want := range map[string]string{
		"5CG1234ABC\n": "5CG1234ABC", "PF-3X9K2L": "PF-3X9K2L",
		"": "", "None": "", "To Be Filled By O.E.M.": "", "0": "", "00000000": "", "Default string": "",
		"System Serial Number": "", "123456789": "", "xxxxxxxx": "", "a\x1b[2Jb": "",
	} {
		if got := usableSerial(raw); got != want {
			t.Errorf("%q: %q, want %q", raw, got, want)
		}
	}
}

func TestSizes(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 999: "999 B", 1000: "1,0 kB", 1_234_567: "1,2 MB", 3_000_000_000: "3,0 GB", 1 << 63: "9,2 EB"} {
		if got := bytesText(n, speech.German); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
