package main

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/heimdraht/heimdraht/agent/endpoint"
)

// accountsCommands are an administrator's, on a laptop that several share.
type accountsCommands struct {
	List   accountsListCommand   `cmd:"" help:"${accounts_list}"`
	Forget accountsForgetCommand `cmd:"" help:"${accounts_forget}"`
}

type accountsListCommand struct{}

// Run lists which accounts are enrolled.
func (accountsListCommand) Run(ctx context.Context, a *app) error {
	got, err := a.daemon(ctx).call(ctx, http.MethodGet, accountsPath+"?language="+string(a.language), nil)
	if err != nil {
		return err
	}
	for _, x := range got.Accounts {
		line := []string{string(x.Account), cmp.Or(x.Name, "-"), cmp.Or(x.Person, "-")}
		switch {
		case x.Damaged:
			line = append(line, words{"beschädigt", "damaged"}.in(a.language))
		case x.Connected:
			line = append(line, words{"will verbunden sein", "wants to be connected"}.in(a.language))
		}
		a.say(harmless(strings.Join(line, "  ")))
	}
	return nil
}

type accountsForgetCommand struct {
	Account string `arg:"" name:"ACCOUNT" help:"${accounts_forget_account}"`
}

// Run removes an account's enrolment from the laptop, with its keys. Nothing is revoked by that.
func (c *accountsForgetCommand) Run(ctx context.Context, a *app) error {
	of, err := accountOf(ctx, c.Account)
	if err != nil {
		if of = account(c.Account); !isAccountDir(c.Account) { // one that is gone goes by its number
			return unknownAccount(c.Account).Because(err)
		}
	}
	if _, err := a.daemon(ctx).call(ctx, http.MethodPost, forgetPath, forgetCall{Language: string(a.language), Account: of}); err != nil {
		return err
	}
	a.say(words{"Ausgetragen. Die Schlüssel sind von diesem Laptop gelöscht; gesperrt wird das Gerät auf dem Server (heimdraht device revoke).",
		"Forgotten. The keys are removed from this laptop; the device is revoked at the server (heimdraht device revoke)."}.in(a.language))
	return nil
}

// forgetCall asks to forget an account.
type forgetCall struct {
	Language string  `json:"language,omitempty"`
	Account  account `json:"account"`
}

// listed is an account of a laptop that several share, as an administrator sees it.
type listed struct {
	Account account `json:"account"`
	Name    string  `json:"name,omitempty"`
	Person  string  `json:"person,omitempty"`
	// Connected says that a connection is wanted.
	Connected bool `json:"connected"`
	Damaged   bool `json:"damaged,omitempty"`
}

func (d *door) accounts(w http.ResponseWriter, r *http.Request) {
	d.answer(w, r, r.URL.Query().Get("language"), true, func(g *guest, a *answer) error {
		s, err := d.shared(g)
		if err != nil {
			return err
		}
		for _, m := range s.all() {
			x := listed{Account: m.account, Name: m.drawer.name(), Damaged: m.broken != nil}
			if !x.Damaged {
				if !m.laptop.Enrolled() {
					continue
				}
				x.Person, x.Connected = m.laptop.Status("en").Person, m.laptop.Wanted()
			}
			a.Accounts = append(a.Accounts, x)
		}
		slices.SortFunc(a.Accounts, func(a, b listed) int { return cmp.Compare(a.Account, b.Account) })
		return nil
	})
}

func (d *door) forget(w http.ResponseWriter, r *http.Request) {
	var call forgetCall
	if !d.read(w, r, &call) {
		return
	}
	d.answer(w, r, call.Language, true, func(g *guest, _ *answer) error { //nolint:contextcheck // a connection is closed whether the caller waits or not
		s, err := d.shared(g)
		if err != nil {
			return err
		}
		s.mu.Lock()
		m := s.members[call.Account]
		s.mu.Unlock()
		if m == nil {
			return unknownAccount(string(call.Account))
		}
		if err := s.remove(m); err != nil {
			return endpoint.StateDamaged(m.drawer.path, err)
		}
		return nil
	})
}

// shared is the laptop, if several share it and an administrator asks.
func (d *door) shared(g *guest) (*sharing, error) {
	s, ok := d.laptops.(*sharing)
	switch {
	case !ok:
		return nil, notShared()
	case !g.admin:
		return nil, adminOnly()
	}
	return s, nil
}

// forWhom is the account for which an administrator asks: the one that she names, or the one behind sudo. Empty: her own.
func (a *app) forWhom(ctx context.Context) (account, error) {
	if a.account == "" {
		if behind := a.sudoer(); behind != nil {
			return *behind, nil
		}
		return "", nil
	}
	of, err := accountOf(ctx, a.account)
	switch {
	case err != nil:
		return "", unknownAccount(a.account).Because(err)
	case !a.self.admin && of != a.self.account:
		return "", adminOnly()
	}
	return of, nil
}
