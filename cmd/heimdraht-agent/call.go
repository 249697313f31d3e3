package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint"
	"github.com/heimdraht/heimdraht/agent/page"
	"github.com/heimdraht/heimdraht/agent/posture"
	"github.com/heimdraht/heimdraht/cmd/internal/speech"
)

// Daemon and commands speak HTTP with JSON over a Unix socket, on Windows over a named pipe: the standard library has both ends, with limits
// and deadlines, and any tool can look at it.
const (
	statusPath = "/v1/status"
	whyPath    = "/v1/why"
	upPath     = "/v1/up"
	downPath   = "/v1/down"
	enrolPath  = "/v1/enrol"
	// The two halves of an enrolment by code: the second one is called until there is an answer.
	codePath   = "/v1/enrol/code"
	awaitPath  = "/v1/enrol/await"
	againPath  = "/v1/sign-in"
	beginPath  = "/v1/factor/begin"
	factorPath = "/v1/factor/confirm"
	rulesPath  = "/v1/rules"

	reportedPath = "/v1/reported"
	openPath     = "/v1/open"
	screenPath   = "/v1/screen"
	herePath     = "/v1/here"
	lostPath     = "/v1/lost"
	sendPath     = "/v1/diagnosis"
	accountsPath = "/v1/accounts"
	forgetPath   = "/v1/accounts/forget"
	// maxCall and maxAnswer bound what either end reads.
	maxCall   = 160 << 10
	maxAnswer = 256 << 10
)

// accountHeader names the account for which an administrator asks, on a laptop that several share. Of anybody else it is not heard.
const accountHeader = "Heimdraht-Account"

// wishCall asks for a connection, or for none.
type wishCall struct {
	// Language of the sentences, "de" or "en".
	Language string `json:"language,omitempty"`
	// Screen is how the person's own settings lock her screen, which the service cannot read. Nil: nobody could.
	Screen *posture.Screen `json:"screen,omitempty"`
}

// rulesCall asks for the house rules.
type rulesCall struct {
	Language string `json:"language,omitempty"`
	// Accept is the version that the person acknowledges. Empty: none.
	Accept string `json:"accept,omitempty"`
}

// lostCall reports this laptop.
type lostCall struct {
	Language string `json:"language,omitempty"`
	Stolen   bool   `json:"stolen"`
}

// sendCall sends the helpdesk what the person was shown.
type sendCall struct {
	Language string `json:"language,omitempty"`
	Text     string `json:"text"`
	Words    string `json:"words,omitempty"`
}

// enrolCall asks for an enrolment. It does not print its password or invitation.
type enrolCall struct {
	Language string `json:"language,omitempty"`
	Address  string `json:"address,omitempty"`
	Tenant   string `json:"tenant,omitempty"`
	Login    string `json:"login"`
	Password string `json:"password"`
	// Code is of the second factor. Empty: none was typed.
	Code string `json:"code,omitempty"`
	// Invitation is in place of tenant, login and password.
	Invitation string `json:"invitation,omitempty"`
	// HouseRules is the version that the person acknowledges. Empty: none.
	HouseRules string `json:"house_rules,omitempty"`
	// ForUID is whose laptop it is to be. Only an administrator may say that; nil: the caller's.
	ForUID *account `json:"for_uid,omitempty"`
}

// Format leaves the password out, whatever the verb.
func (c enrolCall) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "a call to enrol") }

// LogValue leaves the password out.
func (c enrolCall) LogValue() slog.Value { return slog.StringValue("a call to enrol") }

// codeCall asks for a code, or whether it was approved. Its fields are those of enrolCall.
type codeCall struct {
	Language string   `json:"language,omitempty"`
	Address  string   `json:"address,omitempty"`
	Tenant   string   `json:"tenant,omitempty"`
	ForUID   *account `json:"for_uid,omitempty"`
}

// againCall asks to sign in again. It does not print what was typed.
type againCall struct {
	Language string `json:"language,omitempty"`
	// Login empty: the one with which the laptop was enrolled.
	Login    string `json:"login,omitempty"`
	Password string `json:"password"`
	Code     string `json:"code,omitempty"`
}

// Format leaves out what was typed, whatever the verb.
func (c againCall) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "a call to sign in again") }

// LogValue leaves out what was typed.
func (c againCall) LogValue() slog.Value { return slog.StringValue("a call to sign in again") }

// factorCall asks for a second factor: to begin, or with a code to complete it. It does not print what was typed.
type factorCall struct {
	Language string `json:"language,omitempty"`
	Address  string `json:"address,omitempty"`
	Tenant   string `json:"tenant,omitempty"`
	Login    string `json:"login,omitempty"`
	Password string `json:"password"`
	Token    string `json:"token"`
	Code     string `json:"code,omitempty"`
}

// Format leaves out what was typed, whatever the verb.
func (c factorCall) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "a call for a second factor")
}

// LogValue leaves out what was typed.
func (c factorCall) LogValue() slog.Value { return slog.StringValue("a call for a second factor") }

// answer is what the daemon says to every call.
type answer struct {
	// Problem nil: it was done.
	Problem  *said              `json:"problem,omitempty"`
	Status   *endpoint.Status   `json:"status,omitempty"`
	Enrolled *endpoint.Enrolled `json:"enrolled,omitempty"`
	Waiting  *endpoint.Waiting  `json:"waiting,omitempty"`
	// SignedIn nil: that was not asked for.
	SignedIn *signInDone `json:"signed_in,omitempty"`
	// Factor is what the phone is told once.
	Factor *endpoint.NewFactor `json:"factor,omitempty"`
	// RecoveryCodes are shown once.
	RecoveryCodes []string `json:"recovery_codes,omitempty"`
	// Rules are the answer to a rulesCall.
	Rules *endpoint.HouseRules `json:"rules,omitempty"`
	// Reported nil: that was not asked for, or nothing was reported yet.
	Reported *endpoint.Reported `json:"reported,omitempty"`
	// Lost and Sent are the answers to a lostCall and a sendCall.
	Lost *endpoint.Lost `json:"lost,omitempty"`
	Sent *endpoint.Sent `json:"sent,omitempty"`
	// Invitation leads a browser to the pages. Nil: that was not asked for.
	Invitation *page.Invitation `json:"invitation,omitempty"`
	// Accounts are an administrator's to see.
	Accounts []listed `json:"accounts,omitempty"`
	// Proxy is where the SOCKS5 proxy listens. Empty: there is none.
	Proxy string `json:"proxy,omitempty"`
}

// signInDone is what came of signing in again.
type signInDone struct {
	// GoodForMS is for how long, in milliseconds. Zero: nobody said.
	GoodForMS int64 `json:"good_for_ms,omitempty"`
}

// said is a problem in the caller's language.
type said struct {
	Code     string `json:"code"`
	Sentence string `json:"sentence"`
	Next     string `json:"next_step,omitempty"`
	// HouseRules are what must be acknowledged first.
	HouseRules *control.HouseRules `json:"house_rules,omitempty"`
}

func isLanguage(l string) bool { return l == string(speech.German) || l == string(speech.English) }

func inLanguage(err error, language string) *said {
	p, ok := control.AsProblem(err)
	if !ok {
		return &said{Code: codeFailed, Sentence: err.Error()}
	}
	t := p.Text(language)
	return &said{Code: p.Code, Sentence: t.Sentence, Next: t.Next, HouseRules: p.HouseRules}
}

// problem is the said as an error.
func (s *said) problem() *control.Problem {
	t := control.Text{Sentence: s.Sentence, Next: s.Next}
	return &control.Problem{Code: s.Code, German: t, English: t, HouseRules: s.HouseRules}
}

// decodeCall reads a call: one JSON object, nothing unknown, nothing after it.
func decodeCall(r io.Reader, call any) error {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	if err := d.Decode(call); err != nil {
		return errors.New("reading a call: it is no such call") // the cause could quote a password
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("reading a call: something follows it")
	}
	return nil
}
