package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint/endpointtest"
	"github.com/heimdraht/heimdraht/agent/page"
	"github.com/heimdraht/heimdraht/cmd/internal/speech"
)

// browser is somebody's who was let in.
type browserOf struct {
	*http.Client
	url string
}

func letIn(t *testing.T, invited page.Invitation) *browserOf {
	t.Helper()
	jar, err := cookiejar.New(nil)
	check(t, err)
	b := &browserOf{&http.Client{Jar: jar}, strings.TrimSuffix(invited.URL, "/")}
	b.post(t, "/enter", url.Values{"token": {invited.Token}})
	return b
}

func (b *browserOf) post(t *testing.T, path string, form url.Values) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+path, strings.NewReader(form.Encode()))
	check(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", b.url)
	return b.do(t, r)
}

func (b *browserOf) get(t *testing.T, path string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+path, nil)
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
	return string(body)
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
