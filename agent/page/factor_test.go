package page

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint"
)

func refused(code, sentence, next string) error {
	return &control.Problem{Code: code, German: control.Text{Sentence: sentence, Next: next}, English: control.Text{Sentence: sentence, Next: next}}
}

func typedFactor() url.Values {
	return url.Values{"login": {"eva"}, "password": {"Kaffee-7"}, "key": {" einmal-und-nie-wieder "}}
}

// She enrols, has no second factor, and is led through it: picture and key, a wrong code, the right one, the recovery codes. What
// must not be seen is seen on no page but its own, and on that no longer than it takes.
func TestSettingUpASecondFactor(t *testing.T) {
	var log strings.Builder
	w := open(t, unknownLaptop())
	w.server.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	post := func(path string, form url.Values) string {
		t.Helper()
		_, text := w.send(t, http.MethodPost, path, form, nil)
		if strings.Contains(text, "Kaffee-7") || strings.Contains(text, "einmal-und-nie") {
			t.Errorf("%s shows what she typed", path)
		}
		return text
	}
	w.laptop.problem = refused("factor-missing", "Dafür brauchen Sie eine zweite Bestätigung auf Ihrem Telefon, und die ist noch nicht eingerichtet.",
		"Lassen Sie sich einen einmaligen Schlüssel geben. Dann: heimdraht factor set-up, auf einem Laptop heimdraht-agent factor set-up.")
	text := post("/enrol", url.Values{"login": {"eva"}, "password": {"Kaffee-7"}})
	says(t, text, "zweite Bestätigung", "Dann: hier unten.", `action="/factor"`, `value="eva"`, `name="key"`)
	w.laptop.problem = refused("token-invalid", "Der Schlüssel gilt nicht.", "Lassen Sie sich einen neuen geben.")
	says(t, post("/factor", typedFactor()), "Der Schlüssel gilt nicht.", `value="eva"`, `action="/factor"`)
	if text = post("/factor/confirm", url.Values{"code": {"123456"}}); !strings.Contains(text, `action="/factor"`) || len(w.laptop.did) != 2 {
		t.Errorf("nothing is begun, and a code counts: %v\n%s", w.laptop.did, text)
	}

	w.laptop.problem = nil
	text = post("/factor", typedFactor())
	says(t, text, "JBSW Y3DP EHPK 3PXP JBSW Y3DP EHPK 3PXP", `<svg class="qr" role="img" aria-label=`, `action="/factor/confirm"`)
	if r := w.laptop.factor; r.Login != "eva" || r.Password != "Kaffee-7" || r.Token != "einmal-und-nie-wieder" {
		t.Errorf("begun by %q", r.Login)
	}
	for _, c := range [][2]string{
		{"factor-wrong", "Der Code stimmt nicht."}, {"factor-throttled", "Es gab zu viele falsche Codes."}, {"server-silent", "Die Verwaltung antwortet nicht."},
	} {
		w.laptop.problem = refused(c[0], c[1], "Warten Sie.")
		says(t, post("/factor/confirm", url.Values{"code": {"111111"}}), c[1], `role="alert"`, "JBSW Y3DP", `action="/factor/confirm"`)
	}
	w.laptop.problem = nil
	text = post("/factor/confirm", url.Values{"code": {" 123 456 "}})
	says(t, text, "<li>aaaa-bbbb</li>", "<li>cccc-dddd</li>", "nicht wieder gezeigt", "Drucken")
	if r := w.laptop.factor; r.Code != "123456" || r.Password != "Kaffee-7" || r.Token != "einmal-und-nie-wieder" {
		t.Errorf("confirmed with %q", r.Code)
	}
	// Now it is nowhere any more.
	again := post("/factor/confirm", url.Values{"code": {"123456"}})
	for name, text := range map[string]string{"the recovery codes": text, "once more": again, "the first page": w.get(t, "/"), "the page of it": w.get(t, "/factor"), "the log": log.String()} {
		if strings.Contains(text, "JBSW") || strings.Contains(text, "<svg") || name != "the recovery codes" && strings.Contains(text, "aaaa-bbbb") {
			t.Errorf("%s: it is still there:\n%s", name, text)
		}
	}
	w.server.guard.mu.Lock()
	defer w.server.guard.mu.Unlock()
	for _, s := range w.server.guard.seats {
		if s.factor != nil {
			t.Error("it is still remembered")
		}
	}
}

// Who signs in again is led there too. She is known, so nobody asks who she is.
func TestSecondFactorOnSigningInAgain(t *testing.T) {
	w := open(t, &played{status: connected()})
	w.laptop.status.Notes = []endpoint.Note{{Code: "sign-in-needed", Sentence: "Bitte melden Sie sich wieder an.", Next: "heimdraht-agent sign-in"}}
	says(t, w.get(t, "/"), "<details open>", "Ersatzcode")
	w.laptop.problem = refused("factor-needed", "Zum Passwort gehört ein Code.", "Geben Sie die sechs Ziffern ein.")
	_, text := w.send(t, http.MethodPost, "/sign-in", url.Values{"password": {"x"}}, nil)
	says(t, text, "Zum Passwort gehört ein Code.", "<details open>", `action="/sign-in"`)
	w.laptop.problem = refused("factor-missing", "Es fehlt die zweite Bestätigung.", "Dann: heimdraht factor set-up, auf einem Laptop heimdraht-agent factor set-up.")
	_, text = w.send(t, http.MethodPost, "/sign-in", url.Values{"password": {"x"}}, nil)
	says(t, text, "Es fehlt die zweite Bestätigung.", `action="/factor"`)
	if strings.Contains(text, `name="login"`) {
		t.Error("she is asked who she is")
	}
	w.laptop.problem = nil
	w.send(t, http.MethodPost, "/sign-in", url.Values{"password": {"x"}, "code": {"aaaa-bbbb"}}, nil)
	if w.laptop.proof.Code != "aaaa-bbbb" {
		t.Errorf("a recovery code comes as %q", w.laptop.proof.Code)
	}
}

// What is needed for setting up is remembered with one browser, for some minutes, and never printed.
func TestASecondFactorIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g guard
		letIn := func() *http.Request {
			cookie, err := g.enter(g.invite(new(played).as, time.Now()), time.Now())
			check(t, err)
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, cookie.Path, nil)
			check(t, err)
			r.SetPathValue("room", strings.Trim(cookie.Path, "/"))
			r.AddCookie(cookie)
			return r
		}
		hers, other := letIn(), letIn()
		f := &factorSetUp{begun: time.Now(), secret: endpoint.NewFactor{Secret: playedSecret}}
		f.request.Password, f.request.Token = "Kaffee-7", "einmal"
		g.keepFactor(hers, f)
		time.Sleep(factorLasts - time.Second)
		if g.factorOf(hers, time.Now()) != f || g.factorOf(other, time.Now()) != nil {
			t.Error("it is not hers alone")
		}
		time.Sleep(time.Second)
		if g.factorOf(hers, time.Now()) != nil {
			t.Error("it is remembered for ever")
		}
		g.keepFactor(hers, f)
		g.leave(hers)
		if g.factorOf(hers, time.Now()) != nil {
			t.Error("she has closed the page")
		}
		if text := fmt.Sprintf("%v %+v %s", f, f, f) + slogged(f); strings.Contains(text, playedSecret) || strings.Contains(text, "Kaffee-7") || strings.Contains(text, "einmal") {
			t.Errorf("it prints %s", text)
		}
	})
}

// The connection is about to end: one word, and it stays. And the laptop is enrolled by a code that is approved elsewhere.
func TestStillHereAndByCode(t *testing.T) {
	w := open(t, &played{status: connected()})
	if strings.Contains(w.get(t, "/"), `action="/here"`) {
		t.Error("nothing ends, and she is asked")
	}
	w.laptop.status.Notes = []endpoint.Note{{Code: "session-idle", Sentence: "Die Verbindung endet um 12:00 Uhr.", Next: "Arbeiten Sie weiter."}}
	says(t, w.get(t, "/"), `action="/here"`, "Ich bin noch da")
	w.send(t, http.MethodPost, "/here", nil, nil)

	w.laptop.status = unknownLaptop().status
	says(t, w.get(t, "/"), `action="/code"`)
	_, text := w.send(t, http.MethodPost, "/code", url.Values{"address": {"vpn.example#ab"}}, nil)
	says(t, text, "KXTR-4711", "ab:cd", `action="/code/wait"`, `value="vpn.example#ab"`)
	_, text = w.send(t, http.MethodPost, "/code/wait", url.Values{"address": {"vpn.example#ab"}}, nil)
	says(t, text, "KXTR-4711")
	w.laptop.approved = true
	w.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if code, text := w.send(t, http.MethodPost, "/code/wait", nil, nil); code != http.StatusSeeOther {
		t.Errorf("approved: %d %s", code, text)
	}
	if got := strings.Join(w.laptop.did, ", "); got != "eva here, eva code vpn.example#ab, eva wait, eva code vpn.example#ab, eva wait, eva up" {
		t.Errorf("done: %s", got)
	}
	w.laptop.problem = refused("enrolment-denied", "Das wurde abgelehnt.", "Fragen Sie den Helpdesk.")
	_, text = w.send(t, http.MethodPost, "/code/wait", nil, nil)
	says(t, text, "Das wurde abgelehnt.", `action="/enrol"`)
}
