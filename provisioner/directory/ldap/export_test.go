package ldap

import (
	"time"

	"github.com/heimdraht/heimdraht/provisioner/directory"
)

// Hurry has a feed look after its server, and read, more often than any server would want.
func Hurry(f directory.Feed, often, settle time.Duration) {
	f.(*feed).pace = pace{beat: often, poll: often, settle: settle}
}

// SetCookies replaces what a feed that nobody follows knows of how far it has come.
func SetCookies(f directory.Feed, cookie string) {
	for root := range f.(*feed).cookies {
		f.(*feed).cookies[root] = []byte(cookie)
	}
}

// Settled reports whether a feed has nothing to look after but its server.
func Settled(f directory.Feed) bool { return f.(*feed).regroupAt().IsZero() }
