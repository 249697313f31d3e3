package provisioner

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Code names a refusal. It is stable: programs and people on the phone rely
// on it.
type Code string

// Refusal is a "no" upon which a person can act. It is an error; every error
// that is none is a fault.
type Refusal struct {
	Code       Code
	Args       map[string]string // fill the {names} in the catalogue's texts
	German     map[string]string // what German texts take in place of Args
	RetryAfter time.Duration     // zero: trying again alone does not help

	// Rules are what must be acknowledged first; nil: nothing.
	Rules *HouseRules

	// Cause is for the log and the helpdesk, never for the caller.
	Cause error
}

// Refuse makes a refusal. args are pairs of name and value for the texts.
func Refuse(code Code, args ...string) *Refusal {
	r := &Refusal{Code: code}
	for i := 0; i+1 < len(args); i += 2 {
		if r.Args == nil {
			r.Args = make(map[string]string)
		}
		r.Args[args[i]] = args[i+1]
	}
	return r
}

// With fills a {name} whose words differ between the languages.
func (r *Refusal) With(name, german, english string) *Refusal {
	if r.Args == nil {
		r.Args = make(map[string]string)
	}
	if r.German == nil {
		r.German = make(map[string]string)
	}
	r.Args[name], r.German[name] = english, german
	return r
}

// Because keeps the cause, for the log and the helpdesk.
func (r *Refusal) Because(cause error) *Refusal {
	r.Cause = cause
	return r
}

// After says when trying again may help.
func (r *Refusal) After(d time.Duration) *Refusal {
	r.RetryAfter = d
	return r
}

// Error is the English text with the code; the cause is not in it.
func (r *Refusal) Error() string {
	sentence, next := r.Text("en")
	return fmt.Sprintf("%s: %s %s", r.Code, sentence, next)
}

// Unwrap gives the cause.
func (r *Refusal) Unwrap() error { return r.Cause }

// Is makes errors.Is compare codes.
func (r *Refusal) Is(target error) bool {
	t, ok := target.(*Refusal)
	return ok && t.Code == r.Code
}

// Text is what happened and what to do next, in "en", else in German.
func (r *Refusal) Text(language string) (sentence, next string) {
	entry, ok := lookUp(r.Code)
	if !ok {
		return string(r.Code), ""
	}
	t := entry.German
	if language == "en" {
		t = entry.English
	}
	var pairs []string
	for k, v := range r.Args {
		if german, ok := r.German[k]; ok && language != "en" {
			v = german
		}
		pairs = append(pairs, "{"+k+"}", v)
	}
	fill := strings.NewReplacer(pairs...)
	return fill.Replace(t.Sentence), fill.Replace(t.Next)
}

// Kind is the kind of the refusal's code.
func (r *Refusal) Kind() RefusalKind {
	entry, _ := lookUp(r.Code)
	return entry.Kind
}

// AsRefusal finds a refusal in err's chain.
func AsRefusal(err error) (*Refusal, bool) {
	var r *Refusal
	ok := errors.As(err, &r)
	return r, ok && r != nil
}

// RefusalKind groups codes by what a program should make of them.
type RefusalKind int

// The kinds. The zero kind is a mistake in the request.
const (
	KindInvalid         RefusalKind = iota // the request cannot be right
	KindUnauthenticated                    // prove who you are
	KindForbidden                          // you may not
	KindNotFound                           // there is no such thing, or none for you
	KindConflict                           // it clashes with what is there
	KindExhausted                          // a number is used up
	KindUnavailable                        // not now; later perhaps
)

// String is the kind in a word or two.
func (k RefusalKind) String() string {
	return [...]string{"invalid", "unauthenticated", "forbidden", "not found", "conflict", "exhausted", "unavailable"}[k]
}

func lookUp(code Code) (Entry, bool) {
	for _, e := range Catalogue() {
		if e.Code == code {
			return e, true
		}
	}
	return Entry{}, false
}
