package posture

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// Whose screen it is decides: nobody's is locked by the sign-in screen, one's by what she told, and that of several by the worst.
func TestWhoseScreen(t *testing.T) {
	t.Parallel()
	ten := Screen{Locks: true, After: 10 * time.Minute}
	eva := tellings{}.with("1000", ten)
	both := eva.with("1001", Screen{})
	for name, c := range map[string]struct {
		people []string
		of     string
		told   tellings
		want   Answer
	}{
		"nobody is signed in":                  {[]string{}, everybody, nil, Yes},
		"nor is who told":                      {[]string{}, everybody, both, Yes},
		"she has told":                         {[]string{"1000"}, everybody, eva, Yes},
		"somebody else has":                    {[]string{"1001"}, everybody, eva, Unknown},
		"one of both has":                      {[]string{"1000", "1001"}, everybody, eva, Unknown},
		"both have, and one is never locked":   {[]string{"1000", "1001"}, everybody, both, No},
		"whose is not locked is not here":      {[]string{"1000"}, everybody, both, Yes},
		"nobody knows who is signed in":        {nil, everybody, eva, Yes},
		"nor what their screens do":            {nil, everybody, nil, Unknown},
		"she has told again":                   {[]string{"1001"}, everybody, both.with("1001", ten), Yes},
		"nobody knows, and the last is no":     {nil, everybody, both, No},
		"nobody knows, and the last is first":  {nil, everybody, both.with("1000", ten), Yes},
		"hers alone, beside one that is not":   {[]string{"1000", "1001"}, "1000", both, Yes},
		"the other's alone":                    {[]string{"1000", "1001"}, "1001", both, No},
		"hers alone, beside one who is silent": {[]string{"1000", "1001"}, "1000", eva, Yes},
		"the silent one's alone":               {[]string{"1000", "1001"}, "1001", eva, Unknown},
		"hers alone, and she is not there":     {[]string{"1001"}, "1000", both, Yes},
		"hers alone, whoever told last":        {nil, "1000", both, Yes},
		"hers alone, and only another told":    {nil, "1001", eva, Unknown},
		"hers is forgotten":                    {nil, "1000", both.without("1000"), Unknown},
	} {
		if got := judge(c.people, c.of, 15*time.Minute, c.told); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	if got := judge([]string{"1000"}, everybody, 5*time.Minute, eva); got != No {
		t.Errorf("ten minutes where five are allowed: %v", got)
	}
}

// Whatever is told by whom: what an account told last is what it is judged by, and no more is kept than there is room for.
func TestTellings(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var told tellings
		last := make(map[string]bool)
		for range rapid.IntRange(1, 3*mostTold).Draw(t, "tellings") {
			account, locks := fmt.Sprint(rapid.IntRange(0, mostTold-1).Draw(t, "account")), rapid.Bool().Draw(t, "locks")
			told, last[account] = told.with(account, Screen{Locks: locks}), locks
			if told.last(0) != answered(locks) {
				t.Fatalf("the last is %v", told)
			}
		}
		for account, locks := range last {
			if got := told.of(account, 0); got != answered(locks) {
				t.Fatalf("%s: %v, told %v", account, got, locks)
			}
		}
		for n := range 3 * mostTold {
			if told = told.with(fmt.Sprint(n), Screen{}); len(told) > mostTold {
				t.Fatalf("%d are kept", len(told))
			}
		}
	})
}

// Who watches hears of whoever signs in or out once, when her programs have had time to tell, and at once of what they tell;
// and nothing is looked at as long as nobody asks.
func TestWatchingWhoIsAtTheScreens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const every = 15 * time.Second
		var mu sync.Mutex
		var at []string
		var looks atomic.Int64
		set := func(people ...string) { mu.Lock(); defer mu.Unlock(); at = people }
		l := &Looker{
			Logger: slog.New(slog.DiscardHandler),
			People: func() []string { mu.Lock(); defer mu.Unlock(); looks.Add(1); return at },
		}
		ctx, cancel := context.WithCancel(t.Context())
		changed := l.Watch(ctx, every)
		heard := func() int {
			synctest.Wait()
			return len(changed)
		}
		take := func() { <-changed }
		time.Sleep(time.Hour)
		if looks.Load() > 0 || heard() > 0 {
			t.Fatalf("%d looks, and nobody asks", looks.Load())
		}
		l.Look(ctx, []Question{{Name: ScreenLock}})
		time.Sleep(time.Hour)
		if looks.Load() < 2 || heard() > 0 {
			t.Fatalf("%d looks, and nobody has come", looks.Load())
		}
		set("1000")
		time.Sleep(every)
		if heard() > 0 {
			t.Error("she has had no time to tell")
		}
		l.Tell("1000", Screen{})
		if heard() != 1 {
			t.Error("what she tells is not heard of")
		}
		take()
		time.Sleep(every)
		if heard() != 1 {
			t.Error("that she came is not heard of")
		}
		take()
		time.Sleep(time.Hour)
		if heard() > 0 {
			t.Error("nothing has changed since")
		}
		set()
		time.Sleep(2 * every)
		if heard() != 1 {
			t.Error("that she went is not heard of")
		}
		cancel()
		synctest.Wait()
	})
}
