package page

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	// maxBody is far more than anybody types, with a diagnosis that comes back as a form writes it.
	maxBody = 512 << 10
	// lookEvery is how often is looked whether anybody is still in.
	lookEvery = time.Minute
)

// Options are what a Server needs.
type Options struct {
	// AsksServer: the person must type whom to enrol with, because this machine was not told.
	AsksServer bool
	Version    string
	Logger     *slog.Logger
}

// Server serves the pages. It listens only while somebody has them open.
type Server struct {
	Options
	guard guard
	pages *template.Template

	mu      sync.Mutex
	address string       // empty: it does not listen
	server  *http.Server // that listens; nil: none
	closed  chan struct{}
}

// New makes a server that listens to nobody yet.
func New(o Options) (*Server, error) {
	pages, err := parse()
	if err != nil {
		return nil, err
	}
	return &Server{Options: o, pages: pages, closed: make(chan struct{})}, nil
}

// Invitation is how a browser comes in.
type Invitation struct {
	// URL is the pages' address, without the token.
	URL string `json:"url"`
	// Token is good once, for a minute. It does not print itself.
	Token string `json:"token"`
}

// Format leaves the token out, whatever the verb.
func (i Invitation) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, "an invitation to "+i.URL) }

// LogValue leaves the token out.
func (i Invitation) LogValue() slog.Value { return slog.StringValue("an invitation to " + i.URL) }

// As gives the laptop as one account of this machine may use it, speaking a language.
type As func(language string) Laptop

// errClosed says that the server is no more.
var errClosed = errors.New("the pages for the browser are closed")

// Invite lets somebody in. It starts to listen if need be, until Close, or until nobody is in any more.
func (s *Server) Invite(ctx context.Context, as As) (Invitation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.closed:
		return Invitation{}, errClosed
	default:
	}
	if s.server == nil {
		if err := s.listen(ctx); err != nil {
			return Invitation{}, err
		}
	}
	return Invitation{URL: "http://" + s.address + "/", Token: s.guard.invite(as, time.Now())}, nil
}

// Close ends it: nobody is in any more. Idempotent.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.closed:
		return nil
	default:
	}
	close(s.closed)
	return s.shut()
}

// shut ends listening.
func (s *Server) shut() error {
	if s.server == nil {
		return nil
	}
	server := s.server
	s.server, s.address = nil, ""
	if err := server.Close(); err != nil {
		return fmt.Errorf("closing the pages for the browser: %w", err)
	}
	return nil
}

// listen starts to, on a port that the system chooses.
func (s *Server) listen(ctx context.Context) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listening for the browser: %w", err)
	}
	s.address = l.Addr().String()
	s.server = &http.Server{
		Handler: s.handler(s.address), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 90 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(s.Logger.Handler(), slog.LevelDebug),
	}
	go func(server *http.Server) {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.Logger.Error("the pages for the browser ended", "error", err)
		}
	}(s.server)
	go s.shutWhenIdle()
	return nil
}

// shutWhenIdle ends listening when nobody is in any more.
func (s *Server) shutWhenIdle() {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-s.closed:
			return
		case <-ticker.C:
		}
		s.mu.Lock()
		idle := !s.guard.busy(time.Now())
		if idle {
			if err := s.shut(); err != nil {
				s.Logger.Warn("nobody has the pages open any more", "error", err)
			}
		}
		s.mu.Unlock()
		if idle {
			return
		}
	}
}

// handler answers requests to the pages at an address.
func (s *Server) handler(address string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /enter", s.enter)
	mux.HandleFunc("/", s.outside)
	mux.HandleFunc("GET /page.css", asset("page.css", "text/css; charset=utf-8"))
	mux.HandleFunc("GET /page.js", asset("page.js", "text/javascript; charset=utf-8"))
	for pattern, do := range map[string]func(*visit) error{
		"GET /{$}":             (*visit).home,
		"GET /state":           (*visit).state,
		"POST /connect":        (*visit).connect,
		"POST /disconnect":     (*visit).disconnect,
		"POST /enrol":          (*visit).enrol,
		"POST /sign-in":        (*visit).signIn,
		"POST /here":           (*visit).here,
		"POST /code":           (*visit).code,
		"POST /code/wait":      (*visit).awaitCode,
		"GET /factor":          (*visit).factor,
		"POST /factor":         (*visit).beginFactor,
		"POST /factor/confirm": (*visit).confirmFactor,
		"GET /why":             (*visit).why,
		"GET /rules":           (*visit).rules,
		"POST /rules":          (*visit).acknowledge,
		"GET /reported":        (*visit).reported,
		"GET /report":          (*visit).report,
		"GET /report/file":     (*visit).reportFile,
		"POST /report":         (*visit).send,
		"GET /lost":            (*visit).lost,
		"POST /lost":           (*visit).reportLost,
		"POST /close":          (*visit).leave,
		"/{rest...}":           (*visit).unknown,
	} {
		method, path, _ := strings.Cut(pattern, "/")
		mux.HandleFunc(method+"/{room}/"+path, func(w http.ResponseWriter, r *http.Request) { s.visit(w, r, do) }) //nolint:contextcheck // it is the request's
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		headers(w.Header())
		if r.Host != address { // a name that somebody else has made point here
			http.Error(w, "not here", http.StatusMisdirectedRequest)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead && r.URL.Path != "/enter" && !own(r, address) {
			http.Error(w, "not from here", http.StatusForbidden)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		mux.ServeHTTP(w, r)
	})
}

// headers keep other sites out of the page, and the page out of them.
func headers(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// own says whether the page itself sends a request. Browsers name the origin of whatever is posted.
func own(r *http.Request, address string) bool {
	origin, err := url.Parse(r.Header.Get("Origin"))
	if err != nil || origin.Scheme != "http" || origin.Host != address {
		return false
	}
	site := r.Header.Get("Sec-Fetch-Site")
	return site == "" || site == "same-origin"
}

// enter lets a browser in that has a token. The page that follows is fetched by a page of ours: the cookie goes with
// nothing that another site, or a file, has led to.
func (s *Server) enter(w http.ResponseWriter, r *http.Request) {
	cookie, err := s.guard.enter(r.PostFormValue("token"), time.Now())
	if err != nil {
		s.outside(w, r)
		return
	}
	http.SetCookie(w, cookie)
	s.render(w, http.StatusOK, "entered", view{Language: languageOf(r), At: cookie.Path})
}

// outside is what anybody sees who was not let in.
func (s *Server) outside(w http.ResponseWriter, r *http.Request) {
	s.render(w, http.StatusForbidden, "outside", view{Language: languageOf(r)})
}

func (s *Server) visit(w http.ResponseWriter, r *http.Request, do func(*visit) error) {
	language := languageOf(r)
	as := s.guard.whose(r, time.Now())
	if as == nil {
		s.outside(w, r)
		return
	}
	v := &visit{Server: s, Laptop: as(language), w: w, r: r, language: language, at: at(r.PathValue("room"))}
	if err := do(v); err != nil {
		s.Logger.Warn("a page for the browser", "page", r.Pattern, "error", err)
		v.show("home", view{Problem: v.said(err)})
	}
}
