package page

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/boombuler/barcode/qr"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint"
)

// A second factor is set up in three steps: who she is, with a one-time key; the phone's secret and a first code; the recovery
// codes. Password, key and secret are needed until the last one. They stay in this process's memory for that long, with the
// browser that sets it up, and go with it: neither an address nor a form carries them.

const (
	// factorLasts is how long setting up may take.
	factorLasts = 10 * time.Minute
	// codeMissing is said to who needs a second factor and has none.
	codeMissing = "factor-missing"
)

// factorSetUp is a second factor that is being set up. It does not print its secrets.
type factorSetUp struct {
	request endpoint.FactorRequest
	secret  endpoint.NewFactor
	begun   time.Time
}

// Format leaves the secrets out, whatever the verb.
func (*factorSetUp) Format(f fmt.State, _ rune) {
	_, _ = f.Write([]byte("a second factor that is being set up"))
}

// newFactor is what the page shows of it until it is confirmed.
type newFactor struct {
	Groups string // the secret, to type
	Size   int    // of the picture, in modules with a margin
	Path   string // its dark ones
}

// picture draws what a phone photographs.
func (f *factorSetUp) picture() (newFactor, error) {
	code, err := qr.Encode(f.secret.URI, qr.M, qr.Unicode)
	if err != nil {
		return newFactor{}, fmt.Errorf("drawing the picture for the phone: %w", err) // it names no text
	}
	const margin = 4
	size := code.Bounds().Dx()
	var path strings.Builder
	for y := range size {
		for x := range size {
			if r, _, _, _ := code.At(x, y).RGBA(); r == 0 {
				fmt.Fprintf(&path, "M%d %dh1v1h-1z", x+margin, y+margin)
			}
		}
	}
	return newFactor{Groups: inGroups(f.secret.Secret), Size: size + 2*margin, Path: path.String()}, nil
}

// inGroups writes a secret as people type it.
func inGroups(secret string) string {
	var b strings.Builder
	for n, c := range secret {
		if n > 0 && n%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(c)
	}
	return b.String()
}

func (v *visit) factor() error { v.show("factor", view{}); return nil }

// beginFactor makes the secret, for whoever shows her password and her one-time key.
func (v *visit) beginFactor() error {
	f := &factorSetUp{begun: time.Now(), request: endpoint.FactorRequest{Token: v.field("key"), EnrolRequest: endpoint.EnrolRequest{
		Address: v.field("address"), Login: v.field("login"), Password: v.r.PostFormValue("password"),
	}}}
	var err error
	if f.secret, err = v.BeginFactor(v.r.Context(), f.request); err != nil {
		v.guard.keepFactor(v.r, nil)
		v.show("factor", view{Problem: v.said(err), Asked: f.asked()})
		return nil
	}
	v.guard.keepFactor(v.r, f)
	return v.showFactor(f, nil)
}

// asked is what of it may come back in a form.
func (f *factorSetUp) asked() asked {
	return asked{Address: f.request.Address, Login: f.request.Login}
}

func (v *visit) showFactor(f *factorSetUp, problem *said) error {
	picture, err := f.picture()
	if err != nil {
		return err
	}
	v.show("factor-phone", view{Factor: &picture, Problem: problem})
	return nil
}

// confirmFactor wants a first code from the phone. A wrong one may be followed by another.
func (v *visit) confirmFactor() error {
	f := v.guard.factorOf(v.r, time.Now())
	if f == nil {
		t := view{Language: v.language}
		v.show("factor", view{Problem: &said{
			Sentence: t.In("Das Einrichten hat zu lange gedauert, oder es ist schon fertig.", "Setting it up took too long, or is done already."),
			Next:     t.In("Ist es noch nicht fertig, beginnen Sie bitte noch einmal.", "If it is not done, please begin once more."),
		}})
		return nil
	}
	request := f.request
	request.Code = strings.Join(strings.Fields(v.field("code")), "")
	recovery, err := v.ConfirmFactor(v.r.Context(), request)
	if err == nil {
		v.guard.keepFactor(v.r, nil)
		v.show("factor-done", view{Recovery: recovery})
		return nil
	}
	if p, is := control.AsProblem(err); is && slices.Contains(beginsAnew(), p.Code) {
		v.guard.keepFactor(v.r, nil)
		v.show("factor", view{Problem: v.said(err), Asked: f.asked()})
		return nil
	}
	return v.showFactor(f, v.said(err))
}

// beginsAnew are the codes after which no further code from the phone helps: the one-time key has ended meanwhile, or the
// password is another one.
func beginsAnew() []string {
	return []string{"token-invalid", "sign-in-failed", "factor-there", "factor-missing"}
}

// failed shows what came of a sign-in. Who has no second factor is led to setting one up.
func (v *visit) failed(err error, data view) {
	data.Problem = v.said(err)
	if data.Problem.Code == codeMissing {
		v.show("factor", data)
		return
	}
	v.show("home", data)
}
