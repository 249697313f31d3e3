package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint"
	"github.com/heimdraht/heimdraht/agent/page"
	"github.com/heimdraht/heimdraht/agent/posture"
	"github.com/heimdraht/heimdraht/cmd/internal/speech"
)

const (
	// upWithin is how long a person waits for a connection before being told what is in the way.
	upWithin   = 25 * time.Second
	downWithin = 20 * time.Second
	// awaitWithin is how long one call waits for an approval; then the command calls again.
	awaitWithin = 20 * time.Second
	// ownerFile is the name under which the store keeps whose laptop this is.
	ownerFile = "owner"
)

// laptop is what the door opens to: an *endpoint.Endpoint.
type laptop = endpoint.Endpoint

// door is the daemon's side of the socket. Every call is checked by what the kernel says of the caller.
type door struct {
	laptop *laptop
	owner  *ownership
	socket string
	proxy  string // where the SOCKS5 proxy listens; empty: nowhere
	pages  *page.Server
	// posture is told how people's screens are locked; nil: nobody wants to know.
	posture *posture.Looker
	log     *slog.Logger

	enrolling sync.Mutex // one enrolment at a time, until it is noted whose laptop it is
	// Whose code the laptop waits with, and until when; guarded by enrolling. What is
	// approved for one must not become the laptop of another who asks in between.
	coder      account
	codedUntil time.Time
}

// ownership is whose laptop this is.
type ownership struct {
	store control.Store
	self  peer    // the daemon itself
	fixed account // whom the configuration names; empty: nobody

	mu    sync.Mutex
	owner account // who enrolled; empty: nobody yet
}

func loadOwnership(store control.Store, self peer, fixed account) (*ownership, error) {
	o := &ownership{store: store, self: self, fixed: fixed}
	var kept savedOwner
	err := store.Load(ownerFile, &kept)
	if errors.Is(err, fs.ErrNotExist) {
		return o, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading whose laptop this is: %w", err)
	}
	o.owner = kept.account()
	return o, nil
}

// user is the one besides administrators, or empty as long as nobody is. The configuration goes before all else; a daemon
// without an administrator's rights is its own user's.
func (o *ownership) user() account {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.fixed != "":
		return o.fixed
	case !o.self.admin:
		return o.self.account
	}
	return o.owner
}

// may says whether a user may talk to the daemon. A laptop that is nobody's yet may be enrolled by anybody who
// sits at it; what the person may do, the password proves.
func (o *ownership) may(who peer, enrolling bool) bool {
	user := o.user()
	return who.account != "" && (who.admin || who.account == user || user == "" && enrolling)
}

// take makes the laptop that of the user who has enrolled it: in this process even if it cannot be kept.
func (o *ownership) take(who account) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.owner = who
	if err := o.store.Save(ownerFile, saved(who)); err != nil {
		return fmt.Errorf("keeping whose laptop this is: %w", err)
	}
	return nil
}

// serve answers calls until the context ends, and says when it begins to.
func (d *door) serve(ctx context.Context, l net.Listener, begun func()) error {
	if err := admit(d.socket, d.owner); err != nil {
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
		d.answer(w, r, language, true, func(peer, *answer) error { return nil })
	})
	mux.HandleFunc("GET "+whyPath, func(w http.ResponseWriter, r *http.Request) {
		language := r.URL.Query().Get("language")
		d.answer(w, r, language, true, func(_ peer, a *answer) error { //nolint:contextcheck // the laptop remembers its own
			status := d.laptop.Explain(r.Context(), language)
			a.Status = &status
			return nil
		})
	})
	mux.HandleFunc("GET "+reportedPath, func(w http.ResponseWriter, r *http.Request) {
		d.answer(w, r, r.URL.Query().Get("language"), true, func(_ peer, a *answer) error {
			a.Reported = d.laptop.Reported()
			return nil
		})
	})
	// What a person wishes outlives the call in which it is said.
	mux.HandleFunc("POST "+upPath, func(w http.ResponseWriter, r *http.Request) {
		d.wish(w, r, upWithin, func(ctx context.Context) error { return d.laptop.Up(ctx) }) //nolint:contextcheck // see above
	})
	mux.HandleFunc("POST "+downPath, func(w http.ResponseWriter, r *http.Request) {
		d.wish(w, r, downWithin, func(ctx context.Context) error { return d.laptop.Down(ctx) }) //nolint:contextcheck // see above
	})
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
	return mux
}

// wish does what changes whether a connection is wanted.
func (d *door) wish(w http.ResponseWriter, r *http.Request, within time.Duration, do func(context.Context) error) {
	var call wishCall
	if !d.read(w, r, &call) {
		return
	}
	d.answer(w, r, call.Language, false, func(peer, *answer) error {
		ctx, cancel := context.WithTimeout(r.Context(), within)
		defer cancel()
		d.speak(call.Language)
		if call.Screen != nil && d.posture != nil {
			d.posture.Tell(*call.Screen)
		}
		return do(ctx)
	})
}

func (d *door) signInAgain(w http.ResponseWriter, r *http.Request) {
	var call againCall
	if !d.read(w, r, &call) {
		return
	}
	d.answer(w, r, call.Language, false, func(_ peer, a *answer) error { //nolint:contextcheck // what runs in its name outlives the call
		d.speak(call.Language)
		goodFor, err := d.laptop.SignInAgain(r.Context(), control.Proof{Login: call.Login, Password: call.Password, Code: call.Code})
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
	d.answer(w, r, call.Language, true, func(_ peer, a *answer) (err error) { //nolint:contextcheck // as above
		d.speak(call.Language)
		request := endpoint.FactorRequest{Token: call.Token, EnrolRequest: endpoint.EnrolRequest{
			Address: call.Address, Tenant: call.Tenant, Login: call.Login, Password: call.Password, Code: call.Code,
		}}
		if r.URL.Path == factorPath {
			a.RecoveryCodes, err = d.laptop.ConfirmFactor(r.Context(), request)
			return err
		}
		begun, err := d.laptop.BeginFactor(r.Context(), request)
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
	d.answer(w, r, call.Language, false, func(_ peer, a *answer) error { //nolint:contextcheck // a connection that is wanted outlives the call
		d.speak(call.Language)
		if call.Accept != "" {
			if err := d.laptop.Acknowledge(r.Context(), call.Accept); err != nil {
				return err
			}
		}
		rules, err := d.laptop.HouseRules(r.Context())
		a.Rules = &rules
		return err
	})
}

func (d *door) enrol(w http.ResponseWriter, r *http.Request) {
	var call enrolCall
	if !d.read(w, r, &call) {
		return
	}
	d.answer(w, r, call.Language, true, func(who peer, a *answer) error { //nolint:contextcheck // what runs in its name outlives the call
		leave, err := d.enrols(who, call.Language)
		if err != nil {
			return err
		}
		defer leave()
		got, err := d.laptop.Enrol(r.Context(), endpoint.EnrolRequest{
			Address: call.Address, Tenant: call.Tenant, Login: call.Login, Password: call.Password, Code: call.Code,
			Invitation: call.Invitation, HouseRules: call.HouseRules,
		})
		if err != nil {
			return err
		}
		a.Enrolled = &got
		return d.give(who, call.ForUID)
	})
}

// enrols lets one enrol at a time, who then calls leave.
func (d *door) enrols(who peer, language string) (leave func(), err error) {
	d.enrolling.Lock()
	if !d.owner.may(who, true) { // somebody else was faster
		d.enrolling.Unlock()
		return nil, notYours()
	}
	d.speak(language)
	return d.enrolling.Unlock, nil
}

// give makes the laptop that of the user who has enrolled it, or for whom an administrator has.
func (d *door) give(who peer, to *account) error {
	owner := who.account
	if who.admin && to != nil && *to != "" {
		owner = *to
	}
	return errors.Join(d.owner.take(owner), admit(d.socket, d.owner))
}

// code begins an enrolment by code.
func (d *door) code(w http.ResponseWriter, r *http.Request) {
	var call codeCall
	if !d.read(w, r, &call) {
		return
	}
	d.answer(w, r, call.Language, true, func(who peer, a *answer) error { //nolint:contextcheck // the language is for all calls
		leave, err := d.enrols(who, call.Language)
		if err != nil {
			return err
		}
		defer leave()
		if err := d.mayAwait(who); err != nil {
			return err
		}
		waiting, err := d.laptop.BeginByCode(r.Context(), endpoint.CodeRequest{Address: call.Address, Tenant: call.Tenant})
		if err == nil {
			a.Waiting = &waiting
			d.coder, d.codedUntil = who.account, waiting.Until
		}
		return err
	})
}

// mayAwait refuses who is neither an administrator nor the one whose code the laptop waits with.
func (d *door) mayAwait(who peer) error {
	if !who.admin && who.account != d.coder && time.Now().Before(d.codedUntil) {
		return notYours()
	}
	return nil
}

// await waits a moment for the end of an enrolment by code.
func (d *door) await(w http.ResponseWriter, r *http.Request) {
	var call codeCall
	if !d.read(w, r, &call) {
		return
	}
	d.answer(w, r, call.Language, true, func(who peer, a *answer) (err error) { //nolint:contextcheck // what runs in its name outlives the call
		leave, err := d.enrols(who, call.Language)
		if err != nil {
			return err
		}
		defer leave()
		if err := d.mayAwait(who); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(r.Context(), awaitWithin)
		defer cancel()
		if a.Enrolled, err = d.laptop.AwaitByCode(ctx); err != nil || a.Enrolled == nil {
			return err
		}
		return d.give(who, call.ForUID)
	})
}

// speak chooses the language in which the control plane is asked from now on.
func (d *door) speak(language string) {
	if language == string(speech.German) || language == string(speech.English) {
		d.laptop.SetLanguage(language)
	}
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
func (d *door) answer(w http.ResponseWriter, r *http.Request, language string, enrolling bool, do func(who peer, a *answer) error) {
	ask, ok := r.Context().Value(callerKey{}).(func() peer)
	var who peer
	if ok {
		who = ask()
	}
	if !d.owner.may(who, enrolling) {
		d.write(w, http.StatusForbidden, answer{Problem: inLanguage(notYours(), language)})
		return
	}
	a := answer{Proxy: d.proxy}
	err := do(who, &a)
	if a.Status == nil {
		status := d.laptop.Status(language)
		a.Status = &status
	}
	if err != nil {
		a.Problem = inLanguage(err, language)
	}
	d.write(w, http.StatusOK, a)
}

func (d *door) write(w http.ResponseWriter, code int, a answer) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if err := json.NewEncoder(w).Encode(a); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		d.log.Debug("could not answer a call", "error", err)
	}
}
