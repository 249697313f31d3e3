package posture

import (
	"context"
	"slices"
	"time"
)

// Whose screen it is decides: the settings are a person's own, who is signed in, and on Linux her programs alone can read them.
// Where nobody is signed in the sign-in screen stands there, which lets nobody in without a password: it is the lock.
//
// A laptop that is one account's is judged by everybody who is signed in: whoever finds a screen open has its connection. Where
// each account has a connection of its own it is judged by that one's screen alone: nobody answers for what another one has set,
// and nobody's screen is told under another's name.

// everybody stands for all who are signed in, in the place of one account.
const everybody = ""

// judged are those of a list whose screens decide for one account. Nil stays nil.
func judged(people []string, of string) []string {
	if of == everybody || people == nil {
		return people
	}
	return slices.DeleteFunc(slices.Clone(people), func(account string) bool { return account != of })
}

// judge judges one account or everybody by what each of those who are signed in at a screen has told. Nil: nobody can tell who is.
func judge(people []string, of string, limit time.Duration, told tellings) Answer {
	switch {
	case people == nil && of == everybody:
		return told.last(limit)
	case people == nil:
		return told.of(of, limit)
	}
	answer := Yes
	for _, account := range judged(people, of) {
		answer = all(answer, told.of(account, limit))
	}
	return answer
}

// mostTold bounds of how many accounts is kept what they told.
const mostTold = 32

// telling is what an account's own programs have told.
type telling struct {
	account string
	screen  Screen
}

// tellings are those of several accounts, the latest last.
type tellings []telling

// with is the same with another one.
func (t tellings) with(account string, s Screen) tellings {
	rest := append(t.without(account), telling{account, s})
	return rest[max(0, len(rest)-mostTold):]
}

// without is the same without what an account told.
func (t tellings) without(account string) tellings {
	return slices.DeleteFunc(slices.Clone(t), func(old telling) bool { return old.account == account })
}

// of judges an account by what it told.
func (t tellings) of(account string, limit time.Duration) Answer {
	for _, one := range t {
		if one.account == account {
			return one.screen.locked(limit)
		}
	}
	return Unknown
}

// last judges by what was told last, whoever it was.
func (t tellings) last(limit time.Duration) Answer {
	if len(t) == 0 {
		return Unknown
	}
	return t[len(t)-1].screen.locked(limit)
}

// Tell keeps what an account's own programs have said of how its screen is locked, where the service cannot read it.
func (l *Looker) Tell(account string, s Screen) {
	if s.After < 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told = l.told.with(account, s)
	l.hint()
}

// Forget forgets what an account told, which is gone: its number may be given to somebody else.
func (l *Looker) Forget(account string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told = l.told.without(account)
}

// hint tells who watches. The caller holds the lock.
func (l *Looker) hint() {
	select {
	case l.watcher <- struct{}{}:
	default: // nobody watches, or knows already
	}
}

// Watch tells, by each value, that Look may answer otherwise now: somebody has signed in or out, or has told how her screen is
// locked. It looks so often, and not at all as long as nobody asks for screens. Who has just signed in has until the next time to
// tell: her programs are only starting. It may be called once, and ends with the context.
func (l *Looker) Watch(ctx context.Context, every time.Duration) <-chan struct{} {
	changed := make(chan struct{}, 1)
	l.mu.Lock()
	l.watcher = changed
	l.mu.Unlock()
	go func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for fresh := false; ; {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			fresh = l.compare(fresh)
		}
	}()
	return changed
}

// compare notes who is at the screens now. It hints if that has changed the last time, and says whether it has this time.
func (l *Looker) compare(fresh bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.screens {
		return false
	}
	if fresh {
		l.hint()
	}
	now := l.atScreens()
	fresh = !slices.Equal(l.people, now)
	l.people = now
	return fresh
}

// atScreens are the accounts that are signed in at a screen now.
func (l *Looker) atScreens() []string {
	if l.People != nil {
		return l.People()
	}
	return peopleAtScreens()
}

// screen judges how screens are locked: by what the system says of it, else by what was told.
func (l *Looker) screen(ctx context.Context, of string, limit time.Duration) (Answer, error) {
	people := l.atScreens() // first: who comes in between is seen by Watch
	set, known, err := screenOf(ctx, judged(people, of))
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.screens {
		l.screens, l.people = true, people
	}
	switch {
	case err != nil:
		return Unknown, err
	case known:
		return set.locked(limit), nil
	}
	return judge(people, of, limit, l.told), nil
}
