package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint"
	"github.com/heimdraht/heimdraht/agent/page"
	"github.com/heimdraht/heimdraht/agent/posture"
)

const (
	// upWithin is how long a person waits for a connection before being told what is in the way.
	upWithin   = 25 * time.Second
	downWithin = 20 * time.Second
	// awaitWithin is how long one call waits for an approval; then the command calls again.
	awaitWithin = 20 * time.Second
)

// door is the daemon's side of the socket. Every call is checked by what the kernel says of the caller.
type door struct {
	laptops laptops
	self    peer // the daemon itself
	socket  string
	proxy   string // where the SOCKS5 proxy listens; empty: nowhere
	posture *posture.Looker
	pages   *page.Server
	log     *slog.Logger
}

// serve answers calls until the context ends, and says when it begins to.
func (d *door) serve(ctx context.Context, l net.Listener, begun func()) error {
	if err := admit(d.socket, d.laptops.user(), d.self.account); err != nil {
		return errors.Join(err, l.Close())
	}
	begun()
	server := &http.Server{
		Handler:           d.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      callWithin,
		IdleTimeout:       5 * time.Second,
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          slog.NewLogLogger(d.log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			// Windows tells who calls only when something was read, as it is when a call is looked at.
			return context.WithValue(ctx, callerKey{}, sync.OnceValue(func() peer {
				who, err := callerOf(conn)
				if err != nil {
					d.log.Warn("could not tell who calls", "error", err)
					return peer{}
				}
				return who
			}))
		},
	}
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		_ = server.Close()
	})
	err := server.Serve(l)
	if !stop() {
		<-closed
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("answering calls: %w", err)
	}
	return nil
}

// callerKey is that of a func() peer.
type callerKey struct{}

func (d *door) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+statusPath, func(w http.ResponseWriter, r *http.Request) {
		language := r.URL.Query().Get("language")
		d.answer(w, r, language, true, func(*guest, *answer) error { return nil })
	})
	mux.HandleFunc("GET "+whyPath, func(w http.ResponseWriter, r *http.Request) {
		language := r.URL.Query().Get("language")
		d.answer(w, r, language, true, func(g *guest, a *answer) error { //nolint:contextcheck // the laptop remembers its own
			status := g.laptop.Explain(r.Context(), language)
			a.Status = &status
			return nil
		})
	})
	mux.HandleFunc("GET "+reportedPath, func(w http.ResponseWriter, r *http.Request) {
		d.answer(w, r, r.URL.Query().Get("language"), true, func(g *guest, a *answer) error {
			a.Reported = g.laptop.Reported()
			return nil
		})
	})
	// What a person wishes outlives the call in which it is said.
	mux.HandleFunc("POST "+upPath, func(w http.ResponseWriter, r *http.Request) {
		d.wish(w, r, upWithin, d.laptops.up) //nolint:contextcheck // see above
	})
	mux.HandleFunc("POST "+downPath, func(w http.ResponseWriter, r *http.Request) {
		d.wish(w, r, downWithin, d.laptops.down) //nolint:contextcheck // see above
	})
	mux.HandleFunc("POST "+herePath, func(w http.ResponseWriter, r *http.Request) {
		d.wish(w, r, upWithin, func(ctx context.Context, g *guest) error { return g.laptop.StillHere(ctx) }) //nolint:contextcheck // see above
	})
	mux.HandleFunc("POST "+screenPath, d.screen)
	mux.HandleFunc("POST "+enrolPath, d.enrol)
	mux.HandleFunc("POST "+codePath, d.code)
	mux.HandleFunc("POST "+awaitPath, d.await)
	mux.HandleFunc("POST "+againPath, d.signInAgain)
	mux.HandleFunc("POST "+beginPath, d.factor)
	mux.HandleFunc("POST "+factorPath, d.factor)
	mux.HandleFunc("POST "+rulesPath, d.rules)
	mux.HandleFunc("POST "+openPath, d.open)
	mux.HandleFunc("POST "+lostPath, d.lost)
	mux.HandleFunc("POST "+sendPath, d.send)
	mux.HandleFunc("GET "+accountsPath, d.accounts)
	mux.HandleFunc("POST "+forgetPath, d.forget)
	return mux
}

// wish does what changes whether a connection is wanted.
func (d *door) wish(w http.ResponseWriter, r *http.Request, within time.Duration, do func(context.Context, *guest) error) {
	var call wishCall
	if !d.read(w, r, &call) {
		return
	}
	d.answer(w, r, call.Language, false, func(g *guest, _ *answer) error {
		ctx, cancel := context.WithTimeout(r.Context(), within)
		defer cancel()
		g.speak(call.Language)
		d.tell(r, call.Screen)
		return do(ctx, g)
	})
}

// screen takes note of how the caller's screen is locked.
func (d *door) screen(w http.ResponseWriter, r *http.Request) {
	var call wishCall
	if !d.read(w, r, &call) {
		return
	}
	d.answer(w, r, call.Language, false, func(*guest, *answer) error {
		d.tell(r, call.Screen)
		return nil
	})
}

// tell keeps how the caller's screen is locked. It is taken as that of the account that the kernel names, whomever an administrator
// asks for: her screen says nothing of another's. Nil: her programs could not say.
func (d *door) tell(r *http.Request, s *posture.Screen) {
	if s != nil {
		d.posture.Tell(string(callerIn(r).account), *s)
	}
}

func (d *door) signInAgain(w http.ResponseWriter, r *http.Request) {
	var call againCall
	if !d.read(w, r, &call) {
		return
	}
	d.answer(w, r, call.Language, false, func(g *guest, a *answer) error { //nolint:contextcheck // what runs in its name outlives the call
		g.speak(call.Language)
		goodFor, err := g.laptop.SignInAgain(r.Context(), control.Proof{Login: call.Login, Password: call.Password, Code: call.Code})
		if err == nil {
			a.SignedIn = &signInDone{GoodForMS: goodFor.Milliseconds()}
		}
		return err
	})
}

// factor sets up a second factor: it begins, or completes it with a first code. Whoever may enrol may do it, for it comes
// before.
func (d *door) factor(w http.ResponseWriter, r *http.Request) {
	var call factorCall
	if !d.read(w, r, &call) {
		return
	}
	d.answer(w, r, call.Language, true, func(g *guest, a *answer) (err error) { //nolint:contextcheck // as above
		g.speak(call.Language)
		request := endpoint.FactorRequest{Token: call.Token, EnrolRequest: endpoint.EnrolRequest{
			Address: call.Address, Tenant: call.Tenant, Login: call.Login, Password: call.Password, Code: call.Code,
		}}
		if r.URL.Path == factorPath {
			a.RecoveryCodes, err = g.laptop.ConfirmFactor(r.Context(), request)
			return err
		}
		begun, err := g.laptop.BeginFactor(r.Context(), request)
		if err == nil {
			a.Factor = &begun
		}
		return err
	})
}

// rules shows the house rules, after they were acknowledged if that is said.
func (d *door) rules(w http.ResponseWriter, r *http.Request) {
	var call rulesCall
	if !d.read(w, r, &call) {
		return
	}
	d.answer(w, r, call.Language, false, func(g *guest, a *answer) error { //nolint:contextcheck // a connection that is wanted outlives the call
		g.speak(call.Language)
		if call.Accept != "" {
			if err := g.laptop.Acknowledge(r.Context(), call.Accept); err != nil {
				return err
			}
		}
		rules, err := g.laptop.HouseRules(r.Context())
		a.Rules = &rules
		return err
	})
}

func (d *door) enrol(w http.ResponseWriter, r *http.Request) {
	var call enrolCall
	if !d.read(w, r, &call) {
		return
	}
	d.answer(w, r, call.Language, true, func(g *guest, a *answer) error { //nolint:contextcheck // what runs in its name outlives the call
		end, err := d.enrols(g, false, call.Language)
		if err != nil {
			return err
		}
		defer end()
		got, err := g.laptop.Enrol(r.Context(), endpoint.EnrolRequest{
			Address: call.Address, Tenant: call.Tenant, Login: call.Login, Password: call.Password, Code: call.Code,
			Invitation: call.Invitation, HouseRules: call.HouseRules,
		})
		if err != nil {
			return err
		}
		a.Enrolled = &got
		return d.give(g, call.ForUID)
	})
}

// enrols lets somebody enrol, who then calls end.
func (d *door) enrols(g *guest, byCode bool, language string) (end func(), err error) {
	if end, err = d.laptops.begin(g, byCode); err == nil {
		g.speak(language)
	}
	return end, err
}

// give makes the laptop that of the user who has enrolled it, or for whom an administrator has.
func (d *door) give(g *guest, to *account) error {
	return errors.Join(d.laptops.enrolled(g, to), admit(d.socket, d.laptops.user(), d.self.account))
}

// code begins an enrolment by code.
func (d *door) code(w http.ResponseWriter, r *http.Request) {
	var call codeCall
	if !d.read(w, r, &call) {
		return
	}
	d.answer(w, r, call.Language, true, func(g *guest, a *answer) error { //nolint:contextcheck // the language is for all calls
		end, err := d.enrols(g, true, call.Language)
		if err != nil {
			return err
		}
		defer end()
		waiting, err := g.laptop.BeginByCode(r.Context(), endpoint.CodeRequest{Address: call.Address, Tenant: call.Tenant})
		if err == nil {
			a.Waiting = &waiting
			d.laptops.coded(g, waiting.Until)
		}
		return err
	})
}

// await waits a moment for the end of an enrolment by code.
func (d *door) await(w http.ResponseWriter, r *http.Request) {
	var call codeCall
	if !d.read(w, r, &call) {
		return
	}
	d.answer(w, r, call.Language, true, func(g *guest, a *answer) (err error) { //nolint:contextcheck // what runs in its name outlives the call
		end, err := d.enrols(g, true, call.Language)
		if err != nil {
			return err
		}
		defer end()
		ctx, cancel := context.WithTimeout(r.Context(), awaitWithin)
		defer cancel()
		if a.Enrolled, err = g.laptop.AwaitByCode(ctx); err != nil || a.Enrolled == nil {
			return err
		}
		return d.give(g, call.ForUID)
	})
}

// read reads a call, or says that it is none.
func (d *door) read(w http.ResponseWriter, r *http.Request, call any) bool {
	if err := decodeCall(http.MaxBytesReader(w, r.Body, maxCall), call); err != nil {
		d.log.Debug("refused a call", "error", err)
		d.write(w, http.StatusBadRequest, answer{Problem: inLanguage(noSuchCall(), r.Header.Get("Accept-Language"))})
		return false
	}
	return true
}

// answer does what was asked if the caller may, and says how the laptop stands then.
func (d *door) answer(w http.ResponseWriter, r *http.Request, language string, enrolling bool, do func(g *guest, a *answer) error) {
	g, leave, err := d.laptops.enter(r.Context(), callerIn(r), account(r.Header.Get(accountHeader)), enrolling)
	if err != nil {
		d.write(w, http.StatusForbidden, answer{Problem: inLanguage(err, language)})
		return
	}
	defer leave()
	a := answer{Proxy: d.proxy}
	err = do(g, &a)
	if a.Status == nil {
		status := g.laptop.Status(language)
		a.Status = &status
	}
	if err != nil {
		a.Problem = inLanguage(err, language)
	}
	d.write(w, http.StatusOK, a)
}

// callerIn is who the kernel says that calls.
func callerIn(r *http.Request) peer {
	if ask, ok := r.Context().Value(callerKey{}).(func() peer); ok {
		return ask()
	}
	return peer{}
}

func (d *door) write(w http.ResponseWriter, code int, a answer) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if err := json.NewEncoder(w).Encode(a); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		d.log.Debug("could not answer a call", "error", err)
	}
}
