package page

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint"
	"github.com/heimdraht/heimdraht/internal/testneed"
)

// Every page, in both languages and in light and dark, is one that keyboards and screen readers can use, as far as axe-core
// (testdata/axe.min.js, Mozilla Public License 2.0) can tell, in a real browser.
func TestEverybodyCanUseThePages(t *testing.T) {
	t.Parallel()
	testneed.Program(t, "chromium")
	pages := everyPage(t)
	axe, err := os.ReadFile("testdata/axe.min.js")
	check(t, err)
	style, err := files.ReadFile("page.css")
	check(t, err)
	list, err := json.Marshal(pages)
	check(t, err)
	dark := strings.Replace(string(style), "@media (prefers-color-scheme: dark)", "@media all", 1)
	for name, css := range map[string]string{"light": string(style), "dark": dark} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			css, err := json.Marshal(css)
			check(t, err)
			harness := "<!DOCTYPE html><html><head><meta charset=utf-8></head><body><script>" + string(axe) + "</script><script>" + `
const pages = ` + string(list) + `, css = ` + string(css) + `;
(async () => {
  const found = [];
  for (const [name, text] of Object.entries(pages)) {
    const page = new DOMParser().parseFromString(text, "text/html");
    document.documentElement.lang = page.documentElement.lang;
    document.head.innerHTML = page.head.innerHTML + "<style>" + css + "</style>";
    document.body.innerHTML = page.body.innerHTML;
    for (const d of document.querySelectorAll("details")) d.open = true;
    const result = await axe.run(document);
    found.push({ page: name, passes: result.passes.length, violations: result.violations.map((v) => v.id + ": " + v.nodes.map((n) => n.html).join(" | ")) });
  }
  document.body.innerHTML = "<pre id=found></pre>";
  document.getElementById("found").textContent = JSON.stringify(found);
})();
</script></body></html>`
			dir := t.TempDir()
			file := filepath.Join(dir, "pages.html")
			check(t, os.WriteFile(file, []byte(harness), 0o600))
			out := shows(t, file, "--virtual-time-budget=120000")
			text := regexp.MustCompile(`(?s)<pre id="found">(.*?)</pre>`).FindSubmatch(out)
			if text == nil {
				t.Fatalf("the browser shows something else:\n%.2000s", out)
			}
			var found []struct {
				Page       string
				Passes     int
				Violations []string
			}
			check(t, json.Unmarshal([]byte(unescaped(string(text[1]))), &found))
			for _, f := range found {
				if len(f.Violations) > 0 || f.Passes < 10 {
					t.Errorf("%s: %d rules hold; not these: %s", f.Page, f.Passes, strings.Join(f.Violations, "\n"))
				}
			}
			if len(found) != len(pages) {
				t.Errorf("%d of %d pages", len(found), len(pages))
			}
		})
	}
}

// shows gives what a browser makes of a file in the end.
func shows(t *testing.T, file string, flags ...string) []byte {
	t.Helper()
	// Without a sandbox, which root cannot have; the file is ours.
	flags = append(flags, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--user-data-dir="+t.TempDir(), "--dump-dom", "file://"+file)
	command := exec.CommandContext(t.Context(), testneed.Program(t, "chromium"), flags...)
	command.WaitDelay = 5 * time.Second
	out, err := command.Output()
	check(t, err)
	return out
}

// A browser that opens the file is led in, and shows the laptop; once.
func TestABrowserIsLedIn(t *testing.T) {
	t.Parallel()
	w := open(t, &played{status: connected()})
	invited, err := w.server.Invite(t.Context(), w.laptop.as)
	check(t, err)
	file, err := invited.Lead(t.TempDir())
	check(t, err)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info.Mode(), err)
	}
	says(t, string(shows(t, file, "--virtual-time-budget=5000", "--lang=de")), "Sie sind verbunden.", `/disconnect"`)
	if text := string(shows(t, file, "--virtual-time-budget=5000")); strings.Contains(text, "Sie sind verbunden.") || !strings.Contains(text, "This page is closed.") {
		t.Errorf("led in again:\n%s", text)
	}
}

func unescaped(s string) string {
	return strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(s)
}

// everyPage gives each page as a browser gets it, without its script: all forms that it takes.
func everyPage(t *testing.T) map[string]string {
	t.Helper()
	laptop := unknownLaptop()
	w := open(t, laptop)
	w.server.AsksServer = true
	pages := make(map[string]string)
	for _, language := range []string{"de", "en"} {
		header := map[string]string{"Accept-Language": language}
		take := func(name, method, path string, form url.Values) {
			_, text := w.send(t, method, path, form, header)
			pages[language+" "+name] = strings.Replace(text, `<script src="/page.js" defer></script>`, "", 1)
		}
		laptop.status, laptop.problem = unknownLaptop().status, nil
		take("enrol", http.MethodGet, "/", nil)
		laptop.problem = &control.Problem{Code: "house-rules", German: control.Text{Sentence: "Erst die Hausregeln.", Next: "Bestätigen Sie sie."}, HouseRules: &control.HouseRules{Version: "v3", Text: "Sperren."}}
		take("enrol with rules", http.MethodPost, "/enrol", url.Values{"login": {"eva"}})
		laptop.problem = refused("factor-missing", "Es fehlt die zweite Bestätigung.", "Hier unten.")
		take("factor missing", http.MethodPost, "/enrol", url.Values{"login": {"eva"}})
		laptop.problem = nil
		take("factor", http.MethodGet, "/factor", nil)
		take("factor on the phone", http.MethodPost, "/factor", typedFactor())
		laptop.problem = refused("factor-wrong", "Der Code stimmt nicht.", "Warten Sie.")
		take("factor with a wrong code", http.MethodPost, "/factor/confirm", url.Values{"code": {"111111"}})
		laptop.problem = nil
		take("factor done", http.MethodPost, "/factor/confirm", url.Values{"code": {"123456"}})
		take("code", http.MethodPost, "/code", nil)
		laptop.status = connected()
		laptop.status.Notes = []endpoint.Note{{Code: "session-idle", Sentence: "Die Verbindung endet um 12:00 Uhr.", Next: "Arbeiten Sie weiter."}}
		take("still here", http.MethodGet, "/", nil)
		laptop.status = connected()
		laptop.links = []endpoint.Link{{State: endpoint.LinkOK, Title: "Konto"}, {State: endpoint.LinkWrong, Title: "Zugang", Figure: "antwortet nicht"}, {State: endpoint.LinkNoted, Title: "Uhr"}, {State: endpoint.LinkUnknown, Title: "Gerät"}}
		laptop.rules = endpoint.HouseRules{HouseRules: &control.HouseRules{Version: "v3", Text: "Sperren.", Link: "https://intranet.example/regeln"}}
		for _, path := range []string{"/", "/why", "/rules", "/reported", "/report", "/lost", "/nowhere"} {
			take(path, http.MethodGet, path, nil)
		}
		take("lost unsure", http.MethodPost, "/lost", nil)
		laptop.lost = endpoint.Lost{Gateways: 2, Confirmed: 1, Until: time.Now()}
		take("locked", http.MethodPost, "/lost", url.Values{"how": {"stolen"}, "sure": {"yes"}})
		take("sent", http.MethodPost, "/report", url.Values{"text": {"{}"}})
		laptop.problem = &control.Problem{Code: "diagnoses-many", German: control.Text{Sentence: "Fünf Meldungen.", Next: "Rufen Sie an."}}
		take("not sent", http.MethodPost, "/report", url.Values{"text": {"{}"}, "words": {"Nichts geht."}})
		laptop.problem = nil
		laptop.report = &endpoint.Reported{At: time.Now(), Message: json.RawMessage(`{"sessionId":"s-1"}`), Clipped: "Nur ein Teil."}
		take("reported something", http.MethodGet, "/reported", nil)
		for _, state := range []endpoint.State{endpoint.Disconnected, endpoint.Connecting, endpoint.NoAnswer, endpoint.Refused} {
			laptop.status = endpoint.Status{State: state, Sentence: "Ein Satz.", Next: "Ein nächster Schritt.", QueuePosition: 3}
			take(string(state), http.MethodGet, "/", nil)
		}
		(&window{Client: &http.Client{}, server: w.server, url: w.url, room: "/", laptop: laptop}).outside(t, pages, language)
	}
	if len(pages) < 30 || slices.ContainsFunc(slices.Collect(maps.Values(pages)), func(s string) bool { return !strings.Contains(s, "</html>") }) {
		t.Fatalf("%d pages", len(pages))
	}
	return pages
}

func (w *window) outside(t *testing.T, pages map[string]string, language string) {
	t.Helper()
	_, pages[language+" outside"] = w.send(t, http.MethodGet, "/", nil, map[string]string{"Accept-Language": language})
}
