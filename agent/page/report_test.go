package page

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint"
)

// What is sent is what was shown, word for word; and no secret is in it, wherever one was planted.
func TestADiagnosisIsWhatWasShown(t *testing.T) {
	laptop := &played{status: connected()}
	w := open(t, laptop)
	var planted []string
	for range 4 {
		var key [32]byte
		_, _ = rand.Read(key[:])
		planted = append(planted, base64.StdEncoding.EncodeToString(key[:]), hex.EncodeToString(key[:]), base64.RawURLEncoding.EncodeToString(key[:]))
	}
	laptop.status.Since = time.Date(2026, 11, 26, 7, 58, 0, 0, time.UTC)
	laptop.status.Sentence = "Der Schlüssel " + planted[0] + " wurde abgelehnt: " + planted[1]
	laptop.status.Next = "-----BEGIN PRIVATE KEY-----\n" + strings.Repeat(planted[2]+"\n", 3) + "-----END PRIVATE KEY-----"
	laptop.status.Notes = []endpoint.Note{{Code: "x", Sentence: planted[3], Next: "hdi_" + planted[5]}}
	laptop.links = []endpoint.Link{{Name: "handshake", Title: "Antwort", Figure: `"` + planted[6] + `", ` + planted[7]}}
	shown := html.UnescapeString(regexp.MustCompile(`(?s)<textarea id="text"[^>]*>(.*?)</textarea>`).FindStringSubmatch(w.get(t, "/report"))[1])
	file := w.get(t, "/report/file")
	for _, text := range []string{shown, file} {
		for i, secret := range planted {
			if strings.Contains(text, secret) || strings.Contains(text, secret[4:20]) {
				t.Errorf("secret %d is in it:\n%s", i, text)
			}
		}
		if !json.Valid([]byte(text)) || strings.Contains(text, "07:58") || !strings.Contains(text, "10.80.0.2") || !strings.Contains(text, "Eva") {
			t.Errorf("a diagnosis:\n%s", text)
		}
	}
	_, text := w.send(t, http.MethodPost, "/report", url.Values{"text": {strings.ReplaceAll(shown, "\n", "\r\n")}, "words": {" Seit heute\r\nfrüh. "}}, nil)
	says(t, text, "Gesendet", "g-1", "31.01.2027")
	if laptop.sent != [2]string{shown, "Seit heute\nfrüh."} {
		t.Errorf("sent was %q", laptop.sent)
	}
	laptop.problem = &control.Problem{Code: "diagnoses-many", German: control.Text{Sentence: "Zu viele.", Next: "Rufen Sie an."}}
	_, text = w.send(t, http.MethodPost, "/report", url.Values{"text": {"{}"}, "words": {"<b>hilfe</b>"}}, nil)
	says(t, text, "Zu viele.", "&lt;b&gt;hilfe", `action="/report"`)
}

// Nothing is locked by a slip; what was locked is said.
func TestReportingThisLaptopLost(t *testing.T) {
	laptop := &played{status: connected()}
	w := open(t, laptop)
	says(t, w.get(t, "/lost"), "Eva Müller", "lässt sich nicht zurücknehmen", `action="/lost"`)
	for _, form := range []url.Values{nil, {"how": {"stolen"}}, {"sure": {"yes"}}, {"how": {"sold"}, "sure": {"yes"}}} {
		_, text := w.send(t, http.MethodPost, "/lost", form, nil)
		says(t, text, "Es ist nichts geschehen.")
	}
	if len(laptop.did) != 0 {
		t.Fatalf("done: %s", laptop.did)
	}
	_, text := w.send(t, http.MethodPost, "/lost", url.Values{"how": {"stolen"}, "sure": {"yes"}}, nil)
	says(t, text, "Dieser Laptop ist gesperrt")
	if strings.Contains(text, "nicht zu erreichen") || strings.Join(laptop.did, "") != "eva lost, stolen: true" {
		t.Errorf("%s\n%s", laptop.did, text)
	}
	laptop.lost = endpoint.Lost{Gateways: 2, Confirmed: 1, Until: time.Now().Add(12 * time.Hour)}
	_, text = w.send(t, http.MethodPost, "/lost", url.Values{"how": {"lost"}, "sure": {"yes"}}, nil)
	says(t, text, "ist gerade nicht zu erreichen")
	laptop.problem = &control.Problem{Code: "device-revoked"}
	_, text = w.send(t, http.MethodPost, "/lost", url.Values{"how": {"lost"}, "sure": {"yes"}}, nil)
	says(t, text, "Dieser Laptop ist gesperrt")
	laptop.problem = &control.Problem{Code: "server-unreachable", German: control.Text{Sentence: "Kein Netz."}}
	_, text = w.send(t, http.MethodPost, "/lost", url.Values{"how": {"lost"}, "sure": {"yes"}}, nil)
	says(t, text, "Kein Netz.", "Rufen Sie sofort Ihren Helpdesk an")
	laptop.problem, laptop.status = nil, unknownLaptop().status
	if text := w.get(t, "/lost"); strings.Contains(text, `action="/lost"`) {
		t.Errorf("a laptop that is nobody's can be locked:\n%s", text)
	}
}

func TestWorded(t *testing.T) {
	for _, c := range []struct{ text, language, want string }{
		{"Sie sind verbunden.", "de", "Sie sind verbunden."},
		{"Verbinden Sie sich neu: heimdraht-agent up.", "de", "Verbinden Sie sich neu: mit „Verbinden“ auf der Seite „Verbindung“."},
		{"Enrol it again: heimdraht-agent enrol. Device and address stay.", "en", "Enrol it again: on the page “Connection”. Device and address stay."},
		{"Geben Sie sie an: heimdraht-agent enrol SERVER#FINGERABDRUCK --login NAME.", "de", "Geben Sie sie an: auf der Seite „Verbindung“."},
		{"Begin again: heimdraht-agent enrol --by-code.", "en", "Begin again: on the page “Connection”."},
		{"Lesen und bestätigen Sie sie: heimdraht-agent rules. Bei der Anmeldung werden Sie gefragt; für Skripte: --accept-house-rules v3.", "de", "Lesen und bestätigen Sie sie: auf der Seite „Hausregeln“. Bei der Anmeldung werden Sie gefragt."},
		{"Load the module: modprobe tun. If that is impossible: heimdraht-agent run --userspace-proxy 127.0.0.1:1080.", "en", "The helpdesk can help you."},
		{"Sign in: heimdraht login. A laptop is enrolled by: heimdraht-agent enrol.", "en", "A laptop is enrolled by: on the page “Connection”. The helpdesk can help you."},
		{"Geht das nicht, sagt heimdraht-agent status am Laptop, warum.", "de", "Geht das nicht, sagt die Seite „Woran liegt es?“ am Laptop, warum."},
		{"Der Server heimdraht.stadt.example:8443 antwortet nicht.", "de", "Der Server heimdraht.stadt.example:8443 antwortet nicht."},
		{"Put it into heimdrahtd.yaml. Ask.", "en", "Ask. The helpdesk can help you."},
		{"", "de", ""},
	} {
		if got := Worded(c.text, c.language); got != c.want {
			t.Errorf("%q:\n got %q\nwant %q", c.text, got, c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOf(rapid.SampledFrom([]string{"heimdraht-agent ", "up", "enrol", " --login NAME", ". ", ": ", "heimdraht find ", "Heimdraht", "run", " --x", "systemctl ", "Wort ", "\n"})).Draw(t, "parts")
		language := rapid.SampledFrom([]string{"de", "en"}).Draw(t, "language")
		text := strings.Join(parts, "")
		got := Worded(text, language)
		if commands.MatchString(got) {
			t.Fatalf("%q became %q", text, got)
		}
		if Worded(got, language) != got {
			t.Fatalf("%q became %q, and that something else again", text, got)
		}
	})
}

// On the page itself nobody is sent to it.
func TestHere(t *testing.T) {
	w := open(t, unknownLaptop())
	w.laptop.status.Next = "Melden Sie ihn an: heimdraht-agent enrol."
	says(t, w.get(t, "/"), "Melden Sie ihn an: hier unten.", `<a href="/" aria-current="page">`)
	says(t, w.get(t, "/why"), "auf der Seite „Verbindung“.")
}

// No page names a command, whatever the laptop and its control plane say.
func TestNoPageNamesACommand(t *testing.T) {
	laptop := &played{status: connected()}
	const command = "Tun Sie das: heimdraht-agent up. Oder das: heimdraht-agent factor set-up."
	laptop.status.Sentence, laptop.status.Next, laptop.status.Notes[0].Next = command, command, command
	laptop.links = []endpoint.Link{{State: endpoint.LinkWrong, Title: "Zugang", Figure: command}}
	w := open(t, laptop)
	all := everyPage(t)
	for _, path := range []string{"/", "/why", "/lost", "/rules"} {
		all[path] = w.get(t, path)
	}
	laptop.problem = &control.Problem{Code: "x", German: control.Text{Sentence: command, Next: command}}
	for _, path := range []string{"/enrol", "/sign-in", "/rules", "/report", "/lost"} {
		_, all["POST "+path] = w.send(t, http.MethodPost, path, url.Values{"how": {"lost"}, "sure": {"yes"}, "text": {"{}"}}, nil)
	}
	for name, text := range all {
		if strings.Contains(text, "heimdraht-agent") || !strings.Contains(text, "</html>") {
			t.Errorf("%s:\n%s", name, text)
		}
	}
}
