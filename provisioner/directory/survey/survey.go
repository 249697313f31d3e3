package survey

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/directory/ldap"
	"github.com/heimdraht/heimdraht/provisioner/directory/mirror"
)

// Text is one text in both languages.
type Text struct{ German, English string }

// both is what is the same in both languages: names, numbers, and what servers and the system say.
func both(s string) Text { return Text{s, s} }

func textf(german, english string, args ...any) Text {
	return Text{fmt.Sprintf(german, args...), fmt.Sprintf(english, args...)}
}

// Step is one thing that was looked at.
type Step struct {
	Server string // URL
	Tenant string // empty: it is about all
	What   Text
	OK     bool
	Code   string // stable; empty where all is well
	Detail Text   // what was seen
	Next   Text   // what to do, or what would be better; may be empty
}

// Options say what to look at.
type Options struct {
	Directory provisioner.Directory
	Tenants   []provisioner.Tenant // that use it
	Login     string               // of somebody to look at in each tenant; empty: nobody
	Say       func(Step)           // is told each step as it is done
	Progress  func(entries int)    // is told how many entries have been read; nil: nobody
}

// Run looks at each server of the directory. The error is the context's: what is wrong is told as steps.
func Run(ctx context.Context, o Options) error {
	for n, server := range o.Directory.Servers {
		one := o.Directory
		one.Servers = []string{server}
		s := &survey{Options: o, server: server, first: n == 0, mirror: mirror.New()}
		d, err := ldap.New(directory.ConfigOf(one), slog.New(slog.DiscardHandler))
		if err != nil {
			s.fail(Text{"Eintrag", "declaration"}, "directory-declaration", both(err.Error()), Text{"Berichtigen Sie die Datei.", "Correct the file."})
			continue
		}
		s.look(ctx, d)
		if err := errors.Join(d.Close(), ctx.Err()); err != nil {
			return err
		}
	}
	return nil
}

// survey looks at one server.
type survey struct {
	Options
	server  string
	first   bool
	mirror  *mirror.Mirror
	entries int
}

func (s *survey) say(step Step) {
	step.Server = s.server
	s.Say(step)
}

func (s *survey) ok(what, detail Text) { s.say(Step{What: what, OK: true, Detail: detail}) }

func (s *survey) fail(what Text, code string, detail, next Text) {
	s.say(Step{What: what, Code: code, Detail: detail, Next: next})
}

// look goes from what everything rests on to the single person.
func (s *survey) look(ctx context.Context, d *ldap.Directory) {
	if !s.basics(d.Check(ctx, s.bases()[0])) {
		return
	}
	if !s.reading(ctx, d) {
		return
	}
	for _, t := range s.Tenants {
		s.tenant(t)
	}
	if s.Login == "" {
		return
	}
	for _, t := range s.Tenants {
		s.person(ctx, d, t)
	}
}

// basics tells what the directory's own check has found; false: nothing can be read.
func (s *survey) basics(findings []directory.Finding) bool {
	for i, f := range findings {
		if i == 0 && f.OK && !s.first { // the password file is the same for all servers
			continue
		}
		step := Step{What: both(strings.TrimPrefix(f.What, s.server+": ")), OK: f.OK, Code: f.Code, Detail: both(f.Detail), Next: both(f.Next)}
		step.What.German = german(step.What.English)
		step.Next.German = german(f.Next)
		s.say(step)
	}
	return len(findings) > 1 && findings[len(findings)-1].OK
}

func (s *survey) bases() []string {
	var bases []string
	for _, t := range s.Tenants {
		bases = append(bases, s.baseOf(t))
	}
	return append(bases, s.Directory.Base)
}

func (s *survey) baseOf(t provisioner.Tenant) string {
	if t.Base != "" {
		return t.Base
	}
	return s.Directory.Base
}

func (s *survey) interest() directory.Interest {
	var i directory.Interest
	for _, t := range s.Tenants {
		i.Bases = append(i.Bases, s.baseOf(t))
		i.Groups = append(i.Groups, t.GroupsAsked()...)
	}
	if len(i.Bases) == 0 {
		i.Bases = []string{s.Directory.Base}
	}
	return i
}

// reading reads everything and begins to follow; false: it did not come to its end.
func (s *survey) reading(ctx context.Context, d *ldap.Directory) bool {
	what, begin := Text{"alles lesen", "reading everything"}, time.Now()
	trial, err := d.Try(ctx, s.interest(), observer{s})
	if err != nil {
		s.failWith(what, "directory-read", err)
		return false
	}
	people, groups := s.mirror.Size()
	s.ok(what, textf("bis zum Ende: %d Personen und %d Gruppen in %s, in %s", "to the end: %d people and %d groups in %s, in %s",
		people, groups, strings.Join(trial.Roots, "; "), time.Since(begin).Round(10*time.Millisecond)))
	s.say(s.following(trial))
	return true
}

// failWith tells an error of the directory, with its own advice.
func (s *survey) failWith(what Text, code string, err error) {
	var e *directory.Error
	if !errors.As(err, &e) {
		s.fail(what, code, both(err.Error()), Text{})
		return
	}
	advice := e.Advice
	bare := *e
	bare.Advice, bare.Directory = "", ""
	s.fail(what, code, both(strings.TrimPrefix(bare.Error(), "directory: ")), both(advice))
}

// observer has a mirror take in what a feed tells.
type observer struct{ survey *survey }

func (o observer) Pass() directory.Pass {
	o.survey.entries = 0
	return &pass{Pass: o.survey.mirror.Pass(), survey: o.survey}
}
func (o observer) Changed(e directory.Entry) { o.survey.mirror.Changed(e) }
func (o observer) Gone(stableID string)      { o.survey.mirror.Gone(stableID) }
func (observer) Live(directory.Source)       {}
func (observer) Heard()                      {}

type pass struct {
	*mirror.Pass
	survey *survey
}

func (p *pass) Read(e directory.Entry) {
	p.Pass.Read(e)
	p.survey.entries++
	if p.survey.Progress != nil {
		p.survey.Progress(p.survey.entries)
	}
}
