package page

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint"
)

// played is a laptop that a test plays.
type played struct {
	mu       sync.Mutex
	account  string
	language string
	status   endpoint.Status
	problem  error // what every call comes to
	rules    endpoint.HouseRules
	did      []string
	enrolled endpoint.EnrolRequest
	proof    control.Proof
	links    []endpoint.Link
	report   *endpoint.Reported
	lost     endpoint.Lost
	sent     [2]string // a diagnosis, and what she says to it
	factor   endpoint.FactorRequest
	approved bool
}

func (p *played) as(language string) Laptop {
	p.account, p.language = "eva", language
	return p
}

func (p *played) note(what string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.did = append(p.did, p.account+" "+what)
	return p.problem
}

func (p *played) Status(context.Context) (endpoint.Status, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status, nil
}

func (p *played) Why(context.Context) (endpoint.Status, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.status
	s.Links = p.links
	return s, nil
}
func (p *played) Up(context.Context) error   { return p.note("up") }
func (p *played) Down(context.Context) error { return p.note("down") }
func (p *played) Enrol(_ context.Context, r endpoint.EnrolRequest) (endpoint.Enrolled, error) {
	p.enrolled = r
	return endpoint.Enrolled{}, p.note("enrol")
}

func (p *played) SignInAgain(_ context.Context, proof control.Proof) (time.Duration, error) {
	p.proof = proof
	return time.Hour, p.note("sign-in")
}
func (p *played) HouseRules(context.Context) (endpoint.HouseRules, error) { return p.rules, nil }
func (p *played) Acknowledge(_ context.Context, version string) error {
	return p.note("acknowledge " + version)
}
func (p *played) ReportLost(_ context.Context, stolen bool) (endpoint.Lost, error) {
	return p.lost, p.note(fmt.Sprint("lost, stolen: ", stolen))
}

func (p *played) SendDiagnosis(_ context.Context, text, words string) (endpoint.Sent, error) {
	p.sent = [2]string{text, words}
	return endpoint.Sent{ID: "g-1", KeptUntil: time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC)}, p.note("send")
}

func (p *played) StillHere(context.Context) error { return p.note("here") }

const playedSecret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"

func (p *played) BeginFactor(_ context.Context, r endpoint.FactorRequest) (endpoint.NewFactor, error) {
	p.factor = r
	return endpoint.NewFactor{Secret: playedSecret, URI: "otpauth://totp/Stadt:eva?secret=" + playedSecret}, p.note("begin factor")
}

func (p *played) ConfirmFactor(_ context.Context, r endpoint.FactorRequest) ([]string, error) {
	p.factor = r
	return []string{"aaaa-bbbb", "cccc-dddd"}, p.note("confirm factor")
}

func (p *played) BeginByCode(_ context.Context, address string) (endpoint.Waiting, error) {
	return endpoint.Waiting{UserCode: "KXTR-4711", Fingerprint: "ab:cd", Until: time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC)}, p.note("code " + address)
}

func (p *played) AwaitByCode(context.Context, string) (bool, error) {
	return p.approved, p.note("wait")
}

func (p *played) Reported(context.Context) (*endpoint.Reported, error) { return p.report, nil }

// window is a server with a browser that was let in.
type window struct {
	*http.Client
	laptop *played
	server *Server
	url    string
	room   string // where the pages are
}

func open(t *testing.T, laptop *played) *window {
	t.Helper()
	server, err := New(Options{
		Version: "test", Logger: slog.New(slog.DiscardHandler),
	})
	check(t, err)
	t.Cleanup(func() { check(t, server.Close()) })
	w := &window{laptop: laptop, server: server}
	w.enter(t)
	return w
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// enter comes in with a new browser.
func (w *window) enter(t *testing.T) {
	t.Helper()
	invited, err := w.server.Invite(t.Context(), w.laptop.as)
	check(t, err)
	jar, err := cookiejar.New(nil)
	check(t, err)
	w.Client, w.url = &http.Client{Jar: jar}, strings.TrimSuffix(invited.URL, "/")
	code, text := w.send(t, http.MethodPost, "/enter", url.Values{"token": {invited.Token}}, nil)
	if code != http.StatusOK || !strings.Contains(text, `url=/`) {
		t.Fatalf("entering: %d\n%s", code, text)
	}
	_, text, _ = strings.Cut(text, "url=")
	if w.room, _, _ = strings.Cut(text, `"`); len(w.room) < 24 { // 128 bits
		t.Fatalf("her pages are at %q, which others guess", w.room)
	}
}

// send sends a request as the page itself would, but for some headers.
func (w *window) send(t *testing.T, method, path string, form url.Values, headers map[string]string) (int, string) {
	t.Helper()
	if path != "/enter" {
		path = w.room + strings.TrimPrefix(path, "/")
	}
	r, err := http.NewRequestWithContext(t.Context(), method, w.url+path, strings.NewReader(form.Encode()))
	check(t, err)
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", w.url)
	}
	for name, value := range headers {
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header.Set(name, value)
	}
	answer, err := w.Do(r)
	check(t, err)
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	check(t, err)
	if len(w.room) > 1 { // which is another one each time
		body = bytes.ReplaceAll(body, []byte(w.room), []byte("/"))
	}
	return answer.StatusCode, string(body)
}

func (w *window) get(t *testing.T, path string) string {
	t.Helper()
	code, text := w.send(t, http.MethodGet, path, nil, nil)
	if code != http.StatusOK {
		t.Fatalf("%s: %d\n%s", path, code, text)
	}
	return text
}

func says(t *testing.T, text string, wanted ...string) {
	t.Helper()
	for _, s := range wanted {
		if !strings.Contains(text, s) {
			t.Errorf("it does not say %q:\n%s", s, text)
		}
	}
}

func connected() endpoint.Status {
	return endpoint.Status{
		State: endpoint.Connected, Sentence: "Sie sind verbunden.", Person: "Eva Müller", Tenant: "stadt", DeviceID: "d-1", Gateway: "gw1",
		Addresses: []netip.Addr{netip.MustParseAddr("10.80.0.2")}, Notes: []endpoint.Note{{Code: "clock-off", Sentence: "Die Uhr geht falsch.", Next: "Stellen Sie sie."}},
	}
}

func unknownLaptop() *played {
	return &played{status: endpoint.Status{State: endpoint.NotEnrolled, Code: "not-enrolled", Sentence: "Dieser Laptop ist noch nicht angemeldet.", Next: "Melden Sie ihn an."}}
}

func TestWhatSheSeesAndDoes(t *testing.T) {
	w := open(t, &played{status: connected()})
	text := w.get(t, "/")
	says(t, text, "<h1>Sie sind verbunden.</h1>", "Die Uhr geht falsch.", `action="/disconnect"`, "Eva Müller", `lang="de"`)
	if strings.Contains(text, `action="/connect"`) {
		t.Error("who is connected is asked to connect")
	}
	w.send(t, http.MethodPost, "/disconnect", nil, nil)
	w.send(t, http.MethodPost, "/connect", nil, nil)
	w.laptop.status = endpoint.Status{State: endpoint.Connecting, Sentence: "Es ist gerade kein Platz frei.", Code: "seat-awaited", QueuePosition: 7, ExpectedWait: new(int64(130))}
	says(t, w.get(t, "/"), "<strong>7</strong>, voraussichtlich noch 3 Minuten")
	if got := strings.Join(w.laptop.did, ", "); got != "eva down, eva up" {
		t.Errorf("done: %s", got)
	}
	_, english := w.send(t, http.MethodGet, "/", nil, map[string]string{"Accept-Language": "en-GB,en;q=0.9,de;q=0.5"})
	says(t, english, "Your place in the queue:", `lang="en"`)
	if w.laptop.language != "en" {
		t.Error("the laptop is asked in another language than the browser wants")
	}
	w.laptop.links = []endpoint.Link{{Name: "gateway", State: endpoint.LinkWrong, Title: "Zugangsserver", Figure: "antwortet nicht"}}
	says(t, w.get(t, "/why"), "Zugangsserver", "nicht in Ordnung", "antwortet nicht", "seat-awaited")
	says(t, w.get(t, "/reported"), "noch nichts gemeldet")
	w.laptop.report = &endpoint.Reported{At: time.Now(), Message: json.RawMessage(`{"sessionId":"s-1"}`), Agreement: &endpoint.Agreement{Reference: "DV 12", Date: "2026-01-02"}}
	says(t, w.get(t, "/reported"), `&#34;sessionId&#34;: &#34;s-1&#34;`, "DV 12")
	w.laptop.report.Conditions = json.RawMessage(`{"question":"q-1","answers":[{"name":"screen_lock","met":true}]}`)
	says(t, w.get(t, "/reported"), `&#34;sessionId&#34;: &#34;s-1&#34;`, `&#34;name&#34;: &#34;screen_lock&#34;`, `&#34;met&#34;: true`)
	says(t, w.get(t, "/report"), "seat-awaited", "agent_version")
	if file := w.get(t, "/report/file"); !json.Valid([]byte(file)) {
		t.Errorf("no JSON: %s", file)
	}
	says(t, w.get(t, "/lost"), "Rufen Sie sofort Ihren Helpdesk an")
}

func TestEnrolling(t *testing.T) {
	w := open(t, unknownLaptop())
	form := w.get(t, "/")
	says(t, form, `name="login"`, `name="password"`, "Ich habe eine Einladung")
	if strings.Contains(form, `name="address"`) {
		t.Error("an address is asked for that the machine knows")
	}
	w.server.AsksServer = true
	says(t, w.get(t, "/"), `name="address"`)
	rules := &control.HouseRules{Version: "v3", Text: "Bildschirm sperren <b>immer</b>"}
	w.laptop.problem = &control.Problem{Code: "house-rules", German: control.Text{Sentence: "Bestätigen Sie die Hausregeln."}, HouseRules: rules}
	typed := url.Values{"login": {" eva "}, "password": {" geheim "}, "address": {"vpn.example#ab"}}
	_, text := w.send(t, http.MethodPost, "/enrol", typed, nil)
	says(t, text, "Bestätigen Sie die Hausregeln.", `value="v3"`, "&lt;b&gt;immer", `value="eva"`, `value="vpn.example#ab"`)
	if strings.Contains(text, "geheim") {
		t.Error("the password comes back")
	}
	w.laptop.problem = nil
	typed.Set("rules", "v3")
	w.send(t, http.MethodPost, "/enrol", typed, nil)
	if r := w.laptop.enrolled; r.Login != "eva" || r.Password != " geheim " || r.Address != "vpn.example#ab" || r.HouseRules != "v3" {
		t.Errorf("enrolled with %q %q %q", r.Login, r.Address, r.HouseRules)
	}
	w.send(t, http.MethodPost, "/enrol", url.Values{"invitation": {"token"}, "login": {"eva"}, "password": {"x"}}, nil)
	if r := w.laptop.enrolled; r.Invitation != "token" || r.Login != "" || r.Password != "" {
		t.Errorf("by invitation with %q %q", r.Invitation, r.Login)
	}
	w.laptop.problem = errors.New("dial unix: secret details")
	if _, text = w.send(t, http.MethodPost, "/enrol", typed, nil); strings.Contains(text, "secret details") || !strings.Contains(text, "Das hat nicht geklappt.") {
		t.Errorf("a fault is told so:\n%s", text)
	}
}

func TestSigningInAgainAndHouseRules(t *testing.T) {
	w := open(t, &played{status: endpoint.Status{State: endpoint.Refused, Code: "sign-in-needed", Sentence: "Bitte melden Sie sich wieder an."}})
	says(t, w.get(t, "/"), "<details open>", `action="/sign-in"`)
	w.send(t, http.MethodPost, "/sign-in", url.Values{"password": {"geheim"}, "code": {"123456"}}, nil)
	if p := w.laptop.proof; p.Password != "geheim" || p.Code != "123456" || strings.Join(w.laptop.did, " ") != "eva sign-in eva up" {
		t.Errorf("%s", w.laptop.did)
	}
	says(t, w.get(t, "/rules"), "keine hinterlegt")
	w.laptop.status.Code = "house-rules"
	says(t, w.get(t, "/"), `<a href="/rules">Zu den Hausregeln`)
	// Back from a long leave, or on a laptop that was revoked, she enrols again.
	for _, code := range []string{"certificate-expired", "device-revoked"} {
		w.laptop.status.Code = code
		says(t, w.get(t, "/"), `action="/enrol"`)
	}
	w.laptop.rules = endpoint.HouseRules{HouseRules: &control.HouseRules{Version: "v4", Text: "Sperren."}}
	says(t, w.get(t, "/rules"), "v4", "Bestätigen")
	w.send(t, http.MethodPost, "/rules", url.Values{"version": {"v4"}}, nil)
	if w.laptop.did[2] != "eva acknowledge v4" {
		t.Errorf("%s", w.laptop.did)
	}
	w.laptop.rules.AcknowledgedAt = time.Now()
	if text := w.get(t, "/rules"); strings.Contains(text, `name="version"`) || !strings.Contains(text, "bestätigt am") {
		t.Errorf("what is acknowledged is asked for again:\n%s", text)
	}
}

// No other website, no other account of the machine and no old token gets in, or has anything done.
func TestNobodyElseComesIn(t *testing.T) {
	w := open(t, &played{status: connected()})
	stranger := &window{Client: &http.Client{}, laptop: w.laptop, server: w.server, url: w.url, room: w.room}
	for _, path := range []string{"/", "/state", "/reported", "/report", "/report/file", "/lost", "/why", "/factor"} {
		if code, text := stranger.send(t, http.MethodGet, path, nil, nil); code != http.StatusForbidden || strings.Contains(text, "Eva") || strings.Contains(text, "gw1") {
			t.Errorf("%s: %d\n%s", path, code, text)
		}
	}
	host := strings.TrimPrefix(w.url, "http://")
	_, port, _ := strings.Cut(host, ":")
	for _, c := range []struct {
		why     string
		headers map[string]string
		want    int
	}{
		{"another site's form", map[string]string{"Origin": "https://evil.example"}, http.StatusForbidden},
		{"a form without a site", map[string]string{"Origin": "null"}, http.StatusForbidden},
		{"no origin", map[string]string{"Origin": ""}, http.StatusForbidden},
		{"another port of this machine", map[string]string{"Origin": "http://127.0.0.1:1"}, http.StatusForbidden},
		{"the same name by TLS", map[string]string{"Origin": "https://" + host}, http.StatusForbidden},
		{"an origin that only begins so", map[string]string{"Origin": w.url + ".evil.example"}, http.StatusForbidden},
		{"the browser says it is another's", map[string]string{"Sec-Fetch-Site": "cross-site"}, http.StatusForbidden},
		{"another subdomain's", map[string]string{"Sec-Fetch-Site": "same-site"}, http.StatusForbidden},
		{"a name that was made to point here", map[string]string{"Host": "evil.example:" + port, "Origin": "http://evil.example:" + port}, http.StatusMisdirectedRequest},
		{"localhost by name", map[string]string{"Host": "localhost:" + port, "Origin": "http://localhost:" + port}, http.StatusMisdirectedRequest},
	} {
		for _, path := range []string{"/disconnect", "/connect", "/enrol", "/sign-in", "/rules", "/report", "/lost", "/close", "/factor", "/factor/confirm", "/here", "/code", "/code/wait"} {
			if code, _ := w.send(t, http.MethodPost, path, nil, c.headers); code != c.want {
				t.Errorf("%s: %s: %d", c.why, path, code)
			}
		}
	}
	if code, text := w.send(t, http.MethodGet, "/", nil, map[string]string{"Host": "evil.example:" + port}); code != http.StatusMisdirectedRequest || strings.Contains(text, "Eva") {
		t.Errorf("read under another name: %d", code)
	}
	w.laptop.did = nil
	// A token is good once, and a guessed one never. A form without end is read no further.
	invited, err := w.server.Invite(t.Context(), w.laptop.as)
	check(t, err)
	long := httptest.NewRequest(http.MethodPost, w.url+"/enter", strings.NewReader("x="+strings.Repeat("x", maxBody)+"&token="+invited.Token))
	long.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer := httptest.NewRecorder()
	if w.server.handler(host).ServeHTTP(answer, long); answer.Code != http.StatusForbidden {
		t.Errorf("a form of %d bytes: %d", maxBody, answer.Code)
	}
	for i, want := range []int{http.StatusOK, http.StatusForbidden} {
		if code, _ := stranger.send(t, http.MethodPost, "/enter", url.Values{"token": {invited.Token}}, map[string]string{"Origin": "null"}); code != want {
			t.Errorf("use %d of a token: %d", i+1, code)
		}
	}
	for _, token := range []string{"", "x", strings.Repeat("A", 43)} {
		if code, _ := stranger.send(t, http.MethodPost, "/enter", url.Values{"token": {token}}, nil); code != http.StatusForbidden {
			t.Errorf("token %q: %d", token, code)
		}
	}
	if len(w.laptop.did) != 0 {
		t.Errorf("done: %s", w.laptop.did)
	}
	// What listens on another port of this machine, for another account of it, is sent no cookie; and one that it has set
	// keeps nobody out.
	cookies := func(address string) []*http.Cookie {
		u, err := url.Parse(address)
		check(t, err)
		return w.Jar.Cookies(u)
	}
	for _, path := range []string{"/", "/state", "/enter", "/page.css", w.room[:10] + "/"} {
		if got := cookies("http://127.0.0.1:1" + path); len(got) > 0 {
			t.Errorf("%s of another port gets %v", path, got)
		}
	}
	hers := cookies(w.url + w.room)
	if len(hers) != 1 {
		t.Fatalf("she has %v", hers)
	}
	foreign, err := w.server.guard.enter(w.server.guard.invite(new(played).as, time.Now()), time.Now())
	check(t, err)
	for what, c := range map[string]struct {
		room    string
		cookies []*http.Cookie
		want    int
	}{
		"both":                  {w.room, []*http.Cookie{foreign, hers[0]}, http.StatusOK},
		"the other one alone":   {w.room, []*http.Cookie{foreign}, http.StatusForbidden},
		"hers in another place": {foreign.Path, hers, http.StatusForbidden},
		"hers, nowhere":         {"/", hers, http.StatusForbidden},
	} {
		r := httptest.NewRequest(http.MethodGet, w.url+c.room, nil)
		for _, cookie := range c.cookies {
			r.AddCookie(cookie)
		}
		answer := httptest.NewRecorder()
		if w.server.handler(host).ServeHTTP(answer, r); answer.Code != c.want {
			t.Errorf("%s: %d", what, answer.Code)
		}
	}
	// Whoever closes the page has to be let in again.
	w.send(t, http.MethodPost, "/close", nil, nil)
	if code, _ := w.send(t, http.MethodGet, "/", nil, nil); code != http.StatusForbidden {
		t.Errorf("after closing: %d", code)
	}
}

func TestHeaders(t *testing.T) {
	w := open(t, &played{status: connected()})
	answer, err := w.Get(w.url + w.room)
	check(t, err)
	check(t, answer.Body.Close())
	for name, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'", "X-Frame-Options": "DENY", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
		"X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin",
	} {
		if !strings.HasPrefix(answer.Header.Get(name), want) {
			t.Errorf("%s: %q", name, answer.Header.Get(name))
		}
	}
	invited, err := w.server.Invite(t.Context(), w.laptop.as)
	check(t, err)
	if text := slogged(invited); strings.Contains(text, invited.Token) {
		t.Errorf("an invitation prints its token: %s", text)
	}
}

func slogged(v any) string {
	var b strings.Builder
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "v", v)
	return b.String()
}

func TestWhoIsLetInForHowLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g guard
		begin := time.Now()
		request := func(c *http.Cookie) *http.Request {
			r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, c.Path, nil)
			r.SetPathValue("room", strings.Trim(c.Path, "/"))
			r.AddCookie(c)
			return r
		}
		token := g.invite(new(played).as, begin)
		if _, err := g.enter(token, begin.Add(tokenLasts)); !errors.Is(err, errNoToken) {
			t.Error("an old token is good")
		}
		cookie, err := g.enter(g.invite(new(played).as, begin), begin.Add(tokenLasts-1))
		check(t, err)
		if !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.Domain != "" {
			t.Errorf("the cookie goes where it should not: %v", cookie)
		}
		now := begin
		for ; now.Sub(begin) < mostLasts; now = now.Add(seatLasts - time.Minute) {
			if g.whose(request(cookie), now) == nil {
				t.Fatalf("out after %v", now.Sub(begin))
			}
		}
		if g.whose(request(cookie), now.Add(tokenLasts)) != nil {
			t.Error("in for ever")
		}
		cookie, err = g.enter(g.invite(new(played).as, now), now)
		check(t, err)
		if g.whose(request(cookie), now.Add(seatLasts)) != nil || g.busy(now.Add(seatLasts)) {
			t.Error("left alone, and still in")
		}
		for range 3 * mostSeats {
			_, err = g.enter(g.invite(new(played).as, now), now)
			check(t, err)
		}
		for range 3 * mostTokens {
			g.invite(new(played).as, now)
		}
		if len(g.seats) > mostSeats || len(g.tokens) > mostTokens {
			t.Errorf("%d in, %d invited", len(g.seats), len(g.tokens))
		}
	})
}

// The codes that pages go by are codes that there are.
func TestCodesThatThePagesGoBy(t *testing.T) {
	catalogue, err := os.ReadFile("../../docs/refusals.md")
	check(t, err)
	page, err := files.ReadFile("pages.html")
	check(t, err)
	codes := append(enrolsAgain(), codeMissing, "session-idle", "sign-in-needed")
	codes = append(codes, beginsAnew()...)
	for _, m := range regexp.MustCompile(`eq \.Status\.Code "([^"]+)"`).FindAllStringSubmatch(string(page), -1) {
		codes = append(codes, m[1])
	}
	for _, code := range codes {
		if !strings.Contains(string(catalogue), "\n## "+code+"\n") {
			t.Errorf("there is no code %s", code)
		}
	}
	if len(codes) < 7 {
		t.Errorf("only %v", codes)
	}
}
