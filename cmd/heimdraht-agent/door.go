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
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint"
	"github.com/heimdraht/heimdraht/cmd/internal/speech"
)

const (
	// upWithin is how long a person waits for a connection before being told what is in the way.
	upWithin   = 25 * time.Second
	downWithin = 20 * time.Second
	// awaitWithin is how long one call waits for an approval; then the command calls again.
	awaitWithin = 20 * time.Second
	// dialWithin bounds the look for another daemon on the socket.
	dialWithin = 2 * time.Second
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
	log    *slog.Logger

	enrolling sync.Mutex // one enrolment at a time, until it is noted whose laptop it is
	// Whose code the laptop waits with, and until when; guarded by enrolling. What is
	// approved for one must not become the laptop of another who asks in between.
	coder      int
	codedUntil time.Time
}

// ownership is whose laptop this is.
type ownership struct {
	store control.Store
	self  int // the daemon's own user
	fixed int // the user whom the configuration names; -1: none

	mu    sync.Mutex
	owner int // who enrolled; -1: nobody yet
}

// savedOwner is the file.
type savedOwner struct {
	UID int `json:"uid"`
}

func loadOwnership(store control.Store, self, fixed int) (*ownership, error) {
	o := &ownership{store: store, self: self, fixed: fixed, owner: -1}
	var saved savedOwner
	err := store.Load(ownerFile, &saved)
	if errors.Is(err, fs.ErrNotExist) {
		return o, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading whose laptop this is: %w", err)
	}
	o.owner = saved.UID
	return o, nil
}

// user is the one besides root, or -1 as long as nobody is. The configuration goes before all else; a daemon
// without root's rights is its own user's.
func (o *ownership) user() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.fixed >= 0:
		return o.fixed
	case o.self > 0:
		return o.self
	}
	return o.owner
}

// may says whether a user may talk to the daemon. A laptop that is nobody's yet may be enrolled by anybody who
// sits at it; what the person may do, the password proves.
func (o *ownership) may(uid int, enrolling bool) bool {
	user := o.user()
	return uid == 0 || uid == user || user < 0 && enrolling
}

// take makes the laptop that of the user who has enrolled it: in this process even if it cannot be kept.
func (o *ownership) take(uid int) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.owner = uid
	if err := o.store.Save(ownerFile, savedOwner{UID: uid}); err != nil {
		return fmt.Errorf("keeping whose laptop this is: %w", err)
	}
	return nil
}

// listen opens the socket. What an earlier daemon left behind is removed; one that still runs is not disturbed.
func listen(ctx context.Context, path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, socketUnusable(path, err)
	}
	if info, err := os.Lstat(path); err == nil {
		if info.Mode()&fs.ModeSocket == 0 {
			return nil, socketUnusable(path, errors.New("it is another file"))
		}
		if conn, err := (&net.Dialer{Timeout: dialWithin}).DialContext(ctx, "unix", path); err == nil {
			return nil, errors.Join(daemonRunning(path), conn.Close())
		} else if !errors.Is(err, syscall.ECONNREFUSED) {
			return nil, socketUnusable(path, err)
		}
		if err := os.Remove(path); err != nil {
			return nil, socketUnusable(path, err)
		}
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, socketUnusable(path, err)
	}
	return l, nil
}

// admit sets the socket's rights: for the user, or for everybody as long as the laptop is nobody's.
func (d *door) admit() error {
	user, mode := d.owner.user(), fs.FileMode(0o600)
	if user < 0 {
		mode = 0o666
	} else if user != d.owner.self {
		if err := os.Chown(d.socket, user, -1); err != nil {
			return fmt.Errorf("giving the socket to the laptop's user: %w", err)
		}
	}
	if err := os.Chmod(d.socket, mode); err != nil {
		return fmt.Errorf("setting the socket's rights: %w", err)
	}
	return nil
}

// serve answers calls until the context ends.
func (d *door) serve(ctx context.Context, l net.Listener) error {
	if err := d.admit(); err != nil {
		return errors.Join(err, l.Close())
	}
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
			uid, err := peerUID(conn)
			if err != nil {
				d.log.Warn("could not tell who calls", "error", err)
				uid = -1
			}
			return context.WithValue(ctx, callerKey{}, uid)
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

type callerKey struct{}

func (d *door) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+statusPath, func(w http.ResponseWriter, r *http.Request) {
		language := r.URL.Query().Get("language")
		d.answer(w, r, language, true, func(int, *answer) error { return nil })
	})
	mux.HandleFunc("GET "+whyPath, func(w http.ResponseWriter, r *http.Request) {
		language := r.URL.Query().Get("language")
		d.answer(w, r, language, true, func(_ int, a *answer) error { //nolint:contextcheck // the laptop remembers its own
			status := d.laptop.Explain(r.Context(), language)
			a.Status = &status
			return nil
		})
	})
	mux.HandleFunc("GET "+reportedPath, func(w http.ResponseWriter, r *http.Request) {
		d.answer(w, r, r.URL.Query().Get("language"), true, func(_ int, a *answer) error {
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
	return mux
}

// wish does what changes whether a connection is wanted.
func (d *door) wish(w http.ResponseWriter, r *http.Request, within time.Duration, do func(context.Context) error) {
	var call wishCall
	if !d.read(w, r, &call) {
		return
	}
	d.answer(w, r, call.Language, false, func(int, *answer) error {
		ctx, cancel := context.WithTimeout(r.Context(), within)
		defer cancel()
		d.speak(call.Language)
		return do(ctx)
	})
}

func (d *door) signInAgain(w http.ResponseWriter, r *http.Request) {
	var call againCall
	if !d.read(w, r, &call) {
		return
	}
	d.answer(w, r, call.Language, false, func(_ int, a *answer) error { //nolint:contextcheck // what runs in its name outlives the call
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
	d.answer(w, r, call.Language, true, func(_ int, a *answer) (err error) { //nolint:contextcheck // as above
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
	d.answer(w, r, call.Language, false, func(_ int, a *answer) error { //nolint:contextcheck // a connection that is wanted outlives the call
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
	d.answer(w, r, call.Language, true, func(uid int, a *answer) error { //nolint:contextcheck // what runs in its name outlives the call
		leave, err := d.enrols(uid, call.Language)
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
		return d.give(uid, call.ForUID)
	})
}

// enrols lets one enrol at a time, who then calls leave.
func (d *door) enrols(uid int, language string) (leave func(), err error) {
	d.enrolling.Lock()
	if !d.owner.may(uid, true) { // somebody else was faster
		d.enrolling.Unlock()
		return nil, notYours()
	}
	d.speak(language)
	return d.enrolling.Unlock, nil
}

// give makes the laptop that of the user who has enrolled it, or for whom root has.
func (d *door) give(uid int, to *int) error {
	if uid == 0 && to != nil && *to >= 0 {
		uid = *to
	}
	return errors.Join(d.owner.take(uid), d.admit())
}

// code begins an enrolment by code.
func (d *door) code(w http.ResponseWriter, r *http.Request) {
	var call codeCall
	if !d.read(w, r, &call) {
		return
	}
	d.answer(w, r, call.Language, true, func(uid int, a *answer) error { //nolint:contextcheck // the language is for all calls
		leave, err := d.enrols(uid, call.Language)
		if err != nil {
			return err
		}
		defer leave()
		if err := d.mayAwait(uid); err != nil {
			return err
		}
		waiting, err := d.laptop.BeginByCode(r.Context(), endpoint.CodeRequest{Address: call.Address, Tenant: call.Tenant})
		if err == nil {
			a.Waiting = &waiting
			d.coder, d.codedUntil = uid, waiting.Until
		}
		return err
	})
}

// mayAwait refuses who is neither root nor the one whose code the laptop waits with.
func (d *door) mayAwait(uid int) error {
	if uid != 0 && uid != d.coder && time.Now().Before(d.codedUntil) {
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
	d.answer(w, r, call.Language, true, func(uid int, a *answer) (err error) { //nolint:contextcheck // what runs in its name outlives the call
		leave, err := d.enrols(uid, call.Language)
		if err != nil {
			return err
		}
		defer leave()
		if err := d.mayAwait(uid); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(r.Context(), awaitWithin)
		defer cancel()
		if a.Enrolled, err = d.laptop.AwaitByCode(ctx); err != nil || a.Enrolled == nil {
			return err
		}
		return d.give(uid, call.ForUID)
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
func (d *door) answer(w http.ResponseWriter, r *http.Request, language string, enrolling bool, do func(uid int, a *answer) error) {
	uid, ok := r.Context().Value(callerKey{}).(int)
	if !ok || uid < 0 || !d.owner.may(uid, enrolling) {
		d.write(w, http.StatusForbidden, answer{Problem: inLanguage(notYours(), language)})
		return
	}
	a := answer{Proxy: d.proxy}
	err := do(uid, &a)
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
