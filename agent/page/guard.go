package page

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"sync"
	"time"
)

const (
	// tokenLasts is how long a token is good, once: the time in which a browser starts.
	tokenLasts = time.Minute
	// seatLasts is how long a page may be left alone, and mostLasts how long it may be used at all.
	seatLasts = 30 * time.Minute
	mostLasts = 12 * time.Hour
	// mostTokens and mostSeats bound what is remembered; the oldest go first.
	mostTokens = 8
	mostSeats  = 16

	cookieName = "heimdraht"
)

// digest is what is remembered of a secret.
type digest [sha256.Size]byte

// seat is a browser that was let in, or may be.
type seat struct {
	as As
	// room is the part of the pages' address that is this browser's alone. A browser sends a cookie to whatever port of the
	// machine it opens, also to one where a program of another account listens, but to no other path than the cookie's.
	room  string
	since time.Time
	seen  time.Time
	// factor is the second factor that she is setting up; nil: none.
	factor *factorSetUp
}

// guard knows who was let in. The zero value has let in nobody.
type guard struct {
	mu     sync.Mutex
	tokens map[digest]seat
	seats  map[digest]seat
}

func secret() (text string, d digest) {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	text = base64.RawURLEncoding.EncodeToString(b[:])
	return text, sha256.Sum256([]byte(text))
}

// invite makes a token for somebody.
func (g *guard) invite(as As, now time.Time) string {
	text, d := secret()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tidy(now)
	if g.tokens == nil {
		g.tokens = make(map[digest]seat)
	}
	g.tokens[d] = seat{as: as, since: now, seen: now}
	crowd(g.tokens, mostTokens)
	return text
}

var errNoToken = errors.New("it is no token, was used, or is too old")

// enter trades a token for a cookie.
func (g *guard) enter(token string, now time.Time) (*http.Cookie, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tidy(now)
	d := digest(sha256.Sum256([]byte(token)))
	s, known := g.tokens[d]
	if !known {
		return nil, errNoToken
	}
	delete(g.tokens, d)
	text, d := secret()
	room, _ := secret()
	if g.seats == nil {
		g.seats = make(map[digest]seat)
	}
	g.seats[d] = seat{as: s.as, room: room, since: now, seen: now}
	crowd(g.seats, mostSeats)
	//nolint:gosec // a loopback address has no certificate, and nobody between
	return &http.Cookie{Name: cookieName, Value: text, Path: at(room), HttpOnly: true, SameSite: http.SameSiteStrictMode}, nil
}

// at is where the pages are in a room.
func at(room string) string { return "/" + room + "/" }

// seatOf finds the seat that a request comes from. Cookies may come along that somebody else has set on another port. The caller
// holds the lock.
func (g *guard) seatOf(r *http.Request) (d digest, s seat, known bool) {
	for _, cookie := range r.CookiesNamed(cookieName) {
		d = sha256.Sum256([]byte(cookie.Value))
		if s, known = g.seats[d]; known && s.room == r.PathValue("room") {
			return d, s, true
		}
	}
	return digest{}, seat{}, false
}

// whose is in whose name a request comes; nil: in nobody's that was let in.
func (g *guard) whose(r *http.Request, now time.Time) As {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tidy(now)
	d, s, known := g.seatOf(r)
	if known {
		s.seen = now
		g.seats[d] = s
	}
	return s.as
}

// keepFactor remembers the second factor that a browser sets up, in the place of another one. Nil: it is set up, or given up.
func (g *guard) keepFactor(r *http.Request, f *factorSetUp) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if d, s, known := g.seatOf(r); known {
		s.factor = f
		g.seats[d] = s
	}
}

// factorOf is the second factor that a browser sets up; nil: none, or that took too long.
func (g *guard) factorOf(r *http.Request, now time.Time) *factorSetUp {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tidy(now)
	_, s, _ := g.seatOf(r)
	return s.factor
}

// leave forgets a browser.
func (g *guard) leave(r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if d, _, known := g.seatOf(r); known {
		delete(g.seats, d)
	}
}

// busy says whether anybody is in, or about to come.
func (g *guard) busy(now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tidy(now)
	return len(g.tokens)+len(g.seats) > 0
}

// tidy forgets whoever is too old.
func (g *guard) tidy(now time.Time) {
	for d, s := range g.tokens {
		if now.Sub(s.since) >= tokenLasts {
			delete(g.tokens, d)
		}
	}
	for d, s := range g.seats {
		if now.Sub(s.seen) >= seatLasts || now.Sub(s.since) >= mostLasts {
			delete(g.seats, d)
			continue
		}
		if s.factor != nil && now.Sub(s.factor.begun) >= factorLasts {
			s.factor = nil
			g.seats[d] = s
		}
	}
}

// crowd forgets the ones longest unseen, so that no more than so many are left.
func crowd(seats map[digest]seat, most int) {
	for len(seats) > most {
		var oldest digest
		var when time.Time
		for d, s := range seats {
			if when.IsZero() || s.seen.Before(when) {
				oldest, when = d, s.seen
			}
		}
		delete(seats, oldest)
	}
}
