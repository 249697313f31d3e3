package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint"
	"github.com/heimdraht/heimdraht/agent/page"
	"github.com/heimdraht/heimdraht/cmd/internal/speech"
)

// inProcess calls the door without a socket, in somebody's name. So pages go the way of the commands, and are held to
// the same rights.
type inProcess struct {
	door http.Handler
	who  peer
}

// RoundTrip implements http.RoundTripper.
func (i inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	got := &buffered{header: make(http.Header), code: http.StatusOK}
	i.door.ServeHTTP(got, r.WithContext(context.WithValue(r.Context(), callerKey{}, func() peer { return i.who })))
	return &http.Response{
		StatusCode: got.code, Header: got.header, Body: io.NopCloser(&got.body), Request: r, Proto: r.Proto, ProtoMajor: 1, ProtoMinor: 1,
	}, nil
}

// buffered keeps an answer.
type buffered struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

func (b *buffered) Header() http.Header         { return b.header }
func (b *buffered) WriteHeader(code int)        { b.code = code }
func (b *buffered) Write(p []byte) (int, error) { return b.body.Write(p) }

// desk is the laptop as the pages see it.
type desk struct {
	caller   *caller
	language speech.Language
}

// deskOf gives it to somebody; meant is the account for which an administrator asks.
func (d *door) deskOf(who peer, meant account) page.As {
	way := inProcess{d.handler(), who}
	return func(language string) page.Laptop {
		return &desk{&caller{transport: way, meant: meant}, speech.Language(language)}
	}
}

// open lets a browser in, in the name of who asks.
func (d *door) open(w http.ResponseWriter, r *http.Request) {
	var call wishCall
	if !d.read(w, r, &call) {
		return
	}
	d.answer(w, r, call.Language, true, func(g *guest, a *answer) error { //nolint:contextcheck // the pages outlive the call
		d.tell(r, call.Screen) // what is begun on the pages is begun at that screen
		invited, err := d.pages.Invite(r.Context(), d.deskOf(callerIn(r), account(r.Header.Get(accountHeader))))
		if err == nil {
			a.Invitation = &invited
		}
		return err
	})
}

// lost reports this laptop as lost or stolen. It is its person's alone, as connecting is: an administrator of the machine may, too.
func (d *door) lost(w http.ResponseWriter, r *http.Request) {
	var call lostCall
	if !d.read(w, r, &call) {
		return
	}
	d.answer(w, r, call.Language, false, func(g *guest, a *answer) error { //nolint:contextcheck // the language is for all calls
		g.speak(call.Language)
		lost, err := g.laptop.ReportLost(r.Context(), call.Stolen)
		a.Lost = &lost
		return err
	})
}

// send gives the helpdesk a diagnosis.
func (d *door) send(w http.ResponseWriter, r *http.Request) {
	var call sendCall
	if !d.read(w, r, &call) {
		return
	}
	d.answer(w, r, call.Language, false, func(g *guest, a *answer) error { //nolint:contextcheck // as above
		g.speak(call.Language)
		sent, err := g.laptop.SendDiagnosis(r.Context(), call.Text, call.Words)
		a.Sent = &sent
		return err
	})
}

func (d *desk) Status(ctx context.Context) (endpoint.Status, error) {
	return statusOf(d.caller.status(ctx, d.language))
}

func (d *desk) Why(ctx context.Context) (endpoint.Status, error) {
	return statusOf(d.caller.why(ctx, d.language))
}

func statusOf(got *answer, err error) (endpoint.Status, error) {
	if err != nil {
		return endpoint.Status{}, err
	}
	return *got.Status, nil
}

func (d *desk) Up(ctx context.Context) error {
	// The screen is not this process's: who opened the pages has told of hers.
	_, err := d.caller.call(ctx, http.MethodPost, upPath, wishCall{Language: string(d.language)})
	return err
}

func (d *desk) StillHere(ctx context.Context) error {
	_, err := d.caller.here(ctx, d.language)
	return err
}

func (d *desk) Down(ctx context.Context) error {
	_, err := d.caller.down(ctx, d.language)
	return err
}

func (d *desk) Enrol(ctx context.Context, r endpoint.EnrolRequest) (endpoint.Enrolled, error) {
	got, err := d.caller.enrol(ctx, enrolCall{
		Language: string(d.language), Address: r.Address, Login: r.Login, Password: r.Password, Code: r.Code, Invitation: r.Invitation, HouseRules: r.HouseRules,
	})
	if err != nil {
		return endpoint.Enrolled{}, err
	}
	return *got.Enrolled, nil
}

func (d *desk) SignInAgain(ctx context.Context, p control.Proof) (goodFor time.Duration, err error) {
	got, err := d.caller.again(ctx, againCall{Language: string(d.language), Login: p.Login, Password: p.Password, Code: p.Code})
	if err != nil {
		return 0, err
	}
	return time.Duration(got.SignedIn.GoodForMS) * time.Millisecond, nil
}

func (d *desk) factorCall(r endpoint.FactorRequest) factorCall {
	return factorCall{Language: string(d.language), Address: r.Address, Login: r.Login, Password: r.Password, Token: r.Token, Code: r.Code}
}

func (d *desk) BeginFactor(ctx context.Context, r endpoint.FactorRequest) (endpoint.NewFactor, error) {
	begun, err := d.caller.beginFactor(ctx, d.factorCall(r))
	if err != nil {
		return endpoint.NewFactor{}, err
	}
	return *begun, nil
}

func (d *desk) ConfirmFactor(ctx context.Context, r endpoint.FactorRequest) (recovery []string, err error) {
	return d.caller.confirmFactor(ctx, d.factorCall(r))
}

func (d *desk) BeginByCode(ctx context.Context, address string) (endpoint.Waiting, error) {
	waiting, err := d.caller.code(ctx, codeCall{Language: string(d.language), Address: address})
	if err != nil {
		return endpoint.Waiting{}, err
	}
	return *waiting, nil
}

func (d *desk) AwaitByCode(ctx context.Context, address string) (enrolled bool, err error) {
	got, err := d.caller.call(ctx, http.MethodPost, awaitPath, codeCall{Language: string(d.language), Address: address})
	return err == nil && got.Enrolled != nil, err
}

func (d *desk) HouseRules(ctx context.Context) (endpoint.HouseRules, error) {
	got, err := d.caller.rules(ctx, rulesCall{Language: string(d.language)})
	if err != nil {
		return endpoint.HouseRules{}, err
	}
	return *got.Rules, nil
}

func (d *desk) Acknowledge(ctx context.Context, version string) error {
	_, err := d.caller.rules(ctx, rulesCall{Language: string(d.language), Accept: version})
	return err
}

func (d *desk) ReportLost(ctx context.Context, stolen bool) (endpoint.Lost, error) {
	got, err := d.caller.call(ctx, http.MethodPost, lostPath, lostCall{Language: string(d.language), Stolen: stolen})
	if err != nil {
		return endpoint.Lost{}, err
	}
	return *got.Lost, nil
}

func (d *desk) SendDiagnosis(ctx context.Context, text, ownWords string) (endpoint.Sent, error) {
	got, err := d.caller.call(ctx, http.MethodPost, sendPath, sendCall{Language: string(d.language), Text: text, Words: ownWords})
	if err != nil {
		return endpoint.Sent{}, err
	}
	return *got.Sent, nil
}

func (d *desk) Reported(ctx context.Context) (*endpoint.Reported, error) {
	got, err := d.caller.reported(ctx, d.language)
	if err != nil {
		return nil, err
	}
	return got.Reported, nil
}
