package main

import (
	"context"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
)

// lookEvery is how soon a connection is wanted after its person has signed in. One look costs one small file, or one
// question to the system.
const lookEvery = 2 * time.Second

// followLogins connects when the laptop's person signs in, and disconnects when she has signed out: the next one at a
// shared laptop must not find a way into the office that is hers. What she asks for in between stays.
func (s *sole) followLogins(ctx context.Context, every time.Duration) error {
	last, was := account(""), false
	for {
		user := s.owner.user()
		is := s.logins(user)
		switch {
		case is && (!was || user != last):
			s.laptop.Want()
		case was && !is:
			leaving, cancel := context.WithTimeout(ctx, downWithin)
			if err := s.laptop.Down(leaving); err != nil && ctx.Err() == nil {
				s.log.Warn("could not disconnect after its person signed out", "error", err)
			}
			cancel()
		}
		last, was = user, is
		select {
		case <-ctx.Done():
			return nil
		case <-s.poked:
		case <-time.After(control.Jitter(every, 0.2)):
		}
	}
}
