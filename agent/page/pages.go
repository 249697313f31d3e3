package page

import (
	"bytes"
	"cmp"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint"
)

//go:embed page.css page.js pages.html
var files embed.FS

const (
	german  = "de"
	english = "en"
)

// parse reads the pages. `in` chooses one of two languages, where the text stands in both.
func parse() (*template.Template, error) {
	pages, err := template.New("pages").Funcs(template.FuncMap{
		"minutes": func(seconds *int64) int64 { return max(1, (*seconds+59)/60) },
	}).ParseFS(files, "pages.html")
	if err != nil {
		return nil, fmt.Errorf("reading the pages: %w", err)
	}
	return pages, nil
}

func asset(name, kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		text, err := files.ReadFile(name)
		if err != nil {
			http.Error(w, "missing", http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write(text)
	}
}

// languageOf is English for browsers that want it more than German.
func languageOf(r *http.Request) string {
	best, chosen := -1.0, german
	for part := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		tag, rest, _ := strings.Cut(strings.TrimSpace(part), ";")
		weight := 1.0
		if q, ok := strings.CutPrefix(strings.TrimSpace(rest), "q="); ok {
			weight, _ = strconv.ParseFloat(q, 64)
		}
		switch language := strings.ToLower(strings.SplitN(tag, "-", 2)[0]); language {
		case german, english:
			if weight > best {
				best, chosen = weight, language
			}
		}
	}
	return chosen
}

// visit is one request of somebody who is in.
type visit struct {
	*Server
	Laptop

	w        http.ResponseWriter
	r        *http.Request
	language string
	at       string // where the pages are for this browser
}

// view is what a page shows.
type view struct {
	Language   string
	At         string // where the pages are for this browser: a path with a slash at its end
	AsksServer bool
	Page       string // its name
	Status     endpoint.Status
	Key        string // changes when the page would
	Problem    *said
	Asked      asked
	Again      bool // she was signing in again
	Rules      *control.HouseRules
	Accepted   string // when she acknowledged them; empty: she has not
	Lines      [][2]string
	Notes      []string
	Text       string
	Factor     *newFactor // a second factor, as long as it is not confirmed
	Recovery   []string   // codes, shown once
	Waiting    *endpoint.Waiting
	Sent       *endpoint.Sent // a diagnosis that the helpdesk has got
	Lost       *endpoint.Lost // this laptop, as was reported
	Day        string         // of one of both

	code int // of the answer; zero: 200
}

// In chooses a text.
func (v view) In(german, english string) string {
	if v.Language == "en" {
		return english
	}
	return german
}

// Idle says that the connection is about to end because nothing is transferred.
func (v view) Idle() bool {
	return slices.ContainsFunc(v.Status.Notes, func(n endpoint.Note) bool { return n.Code == "session-idle" })
}

// SignInDue says that the connection is about to end because a sign-in is due.
func (v view) SignInDue() bool {
	return slices.ContainsFunc(v.Status.Notes, func(n endpoint.Note) bool { return n.Code == "sign-in-needed" })
}

// Enrolled says that the laptop is somebody's already.
func (v view) Enrolled() bool { return v.Status.DeviceID != "" }

// Enrols says that enrolling is what helps: the laptop is nobody's yet, or its enrolment is of no more use, as after a long
// leave. An enrolment then renews or replaces it.
func (v view) Enrols() bool {
	return v.Status.State == endpoint.NotEnrolled || slices.Contains(enrolsAgain(), v.Status.Code)
}

// enrolsAgain are the codes of enrolments that are of no more use.
func enrolsAgain() []string {
	return []string{"certificate-expired", "certificate-foreign", "device-revoked", "device-replaced", "device-unknown"}
}

// said is a problem in the person's language.
type said struct{ Code, Sentence, Next string }

// asked is what she typed, without secrets, for a form that comes back.
type asked struct{ Address, Login, Words string }

// said gives the words for an error. Those of faults are for the log.
func (v *visit) said(err error) *said {
	p, is := control.AsProblem(err)
	if !is {
		t := view{Language: v.language}
		return &said{Sentence: t.In("Das hat nicht geklappt.", "That did not work."), Next: t.In("Versuchen Sie es noch einmal. Bleibt es dabei, hilft der Helpdesk.", "Please try again. If it stays like this, the helpdesk can help.")}
	}
	t := p.Text(v.language)
	return &said{p.Code, Worded(t.Sentence, v.language), Worded(t.Next, v.language)}
}

// show renders a page for somebody who is in, with how the laptop stands.
func (v *visit) show(name string, data view) {
	data.Language, data.At, data.AsksServer = v.language, v.at, v.AsksServer
	if data.Status.State == "" {
		status, err := v.Status(v.r.Context())
		if err != nil && data.Problem == nil {
			data.Problem = v.said(err)
		}
		data.Status = status
	}
	data.Key = keyOf(data.Status)
	data.Status, data.Page = worded(data.Status, v.language), name
	if name == "home" {
		data.Status.Next = here(data.Status.Next)
		if data.Problem != nil {
			data.Problem.Next = here(data.Problem.Next)
		}
	}
	if name == "factor" && data.Problem != nil {
		data.Problem.Next = hereFactor(data.Problem.Next)
	}
	v.render(v.w, cmp.Or(data.code, http.StatusOK), name, data)
}

// render writes a page whole, or says that it cannot.
func (s *Server) render(w http.ResponseWriter, code int, name string, data view) {
	var page bytes.Buffer
	if err := s.pages.ExecuteTemplate(&page, name, data); err != nil {
		s.Logger.Error("making a page for the browser", "page", name, "error", err)
		http.Error(w, "500", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	_, _ = page.WriteTo(w)
}

// keyOf changes when what the page says of the laptop does; bytes and ages change all the time.
func keyOf(s endpoint.Status) string {
	h := fnv.New64a()
	_, _ = fmt.Fprintln(h, s.State, s.Code, s.Sentence, s.Next, s.Gateway, s.Addresses, s.QueuePosition, s.ControlPlane)
	for _, n := range s.Notes {
		_, _ = fmt.Fprintln(h, n.Code, n.Sentence)
	}
	return strconv.FormatUint(h.Sum64(), 36)
}

func (v *visit) home() error { v.show("home", view{}); return nil }

// state is what the page's script asks for.
func (v *visit) state() error {
	status, err := v.Status(v.r.Context())
	if err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(v.w).Encode(map[string]string{"key": keyOf(status)})
}

// back leads to the first page, which says what came of it.
func (v *visit) back() { http.Redirect(v.w, v.r, v.at, http.StatusSeeOther) }

// wish does what the person wishes. What stands in the way is the laptop's state, which the first page shows.
func (v *visit) wish(do func(context.Context) error) error {
	if err := do(v.r.Context()); err != nil {
		if _, is := control.AsProblem(err); !is {
			return err
		}
	}
	v.back()
	return nil
}

func (v *visit) connect() error    { return v.wish(v.Up) }
func (v *visit) disconnect() error { return v.wish(v.Down) }
func (v *visit) here() error       { return v.wish(v.StillHere) }

func (v *visit) field(name string) string { return strings.TrimSpace(v.r.PostFormValue(name)) }

func (v *visit) enrol() error {
	r := endpoint.EnrolRequest{
		Address: v.field("address"), Login: v.field("login"), Password: v.r.PostFormValue("password"), Code: v.field("code"),
		Invitation: v.field("invitation"), HouseRules: v.field("rules"),
	}
	if r.Invitation != "" {
		r.Login, r.Password, r.Code = "", "", ""
	}
	if _, err := v.Enrol(v.r.Context(), r); err != nil {
		data := view{Asked: asked{Address: r.Address, Login: r.Login}}
		if p, is := control.AsProblem(err); is {
			data.Rules = p.HouseRules
		}
		v.failed(err, data)
		return nil
	}
	return v.wish(v.Up)
}

func (v *visit) signIn() error {
	p := control.Proof{Login: v.field("login"), Password: v.r.PostFormValue("password"), Code: v.field("code")}
	if _, err := v.SignInAgain(v.r.Context(), p); err != nil {
		v.failed(err, view{Asked: asked{Login: p.Login}, Again: true})
		return nil
	}
	return v.wish(v.Up)
}

func (v *visit) why() error {
	status, err := v.Why(v.r.Context())
	if err != nil {
		return err
	}
	v.show("why", view{Status: status})
	return nil
}

func (v *visit) rules() error {
	rules, err := v.HouseRules(v.r.Context())
	if err != nil {
		v.show("rules", view{Problem: v.said(err)})
		return nil
	}
	v.showRules(rules, nil)
	return nil
}

func (v *visit) showRules(rules endpoint.HouseRules, problem *said) {
	data := view{Rules: rules.HouseRules, Problem: problem}
	if !rules.AcknowledgedAt.IsZero() {
		data.Accepted = v.day(rules.AcknowledgedAt)
	}
	v.show("rules", data)
}

func (v *visit) acknowledge() error {
	err := v.Acknowledge(v.r.Context(), v.field("version"))
	if _, is := control.AsProblem(err); err != nil && !is {
		return err
	}
	rules, failed := v.HouseRules(v.r.Context())
	if failed != nil {
		v.show("rules", view{Problem: v.said(cmp.Or(err, failed))})
		return nil
	}
	if err != nil {
		v.showRules(rules, v.said(err))
		return nil
	}
	v.showRules(rules, nil)
	return nil
}

// day writes a time as people of the language do, in the laptop's own zone.
func (v *visit) day(t time.Time) string {
	if v.language == english {
		return t.Local().Format("2 January 2006, 15:04")
	}
	return t.Local().Format("02.01.2006, 15:04 Uhr")
}

func (v *visit) reported() error {
	r, err := v.Reported(v.r.Context())
	if err != nil {
		return err
	}
	data := view{}
	if r != nil {
		data.Text = indented(r.Message)
		if r.Conditions != nil {
			data.Text += "\n" + indented(r.Conditions)
		}
		t := view{Language: v.language}
		data.Lines = [][2]string{{t.In("Zuletzt gemeldet", "Last reported"), v.day(r.At)}}
		if r.Agreement != nil {
			data.Lines = append(data.Lines, [2]string{t.In("Vereinbarung mit dem Personalrat", "Agreement with the staff council"), r.Agreement.Reference + ", " + r.Agreement.Date})
		}
		if r.Clipped != "" {
			data.Notes = []string{r.Clipped}
		}
	}
	v.show("reported", data)
	return nil
}

func indented(message json.RawMessage) string {
	var b bytes.Buffer
	if err := json.Indent(&b, message, "", "  "); err != nil {
		return string(message)
	}
	return b.String()
}

// leave closes the page in this browser.
func (v *visit) leave() error {
	v.guard.leave(v.r)
	//nolint:gosec // as in enter
	http.SetCookie(v.w, &http.Cookie{Name: cookieName, Path: v.at, MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	v.Server.render(v.w, http.StatusOK, "closed", view{Language: v.language})
	return nil
}

func (v *visit) unknown() error {
	t := view{Language: v.language}
	v.show("home", view{code: http.StatusNotFound, Problem: &said{
		Sentence: t.In("Diese Seite gibt es nicht.", "There is no such page."), Next: t.In("Das ist die erste Seite.", "This is the first page."),
	}})
	return nil
}
