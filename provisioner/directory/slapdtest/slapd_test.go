package slapdtest

import (
	"strings"
	"testing"
)

func TestLDIFHasTheGroupsItPromises(t *testing.T) {
	text := string(LDIF(1000))
	groups := strings.Count(text, "objectClass: groupOfNames\n") + strings.Count(text, "objectClass: groupOfUniqueNames\n") + strings.Count(text, "objectClass: posixGroup\n")
	if groups != Groups {
		t.Errorf("LDIF has %d groups, Groups says %d", groups, Groups)
	}
}

func TestStartStopAndStartAgain(t *testing.T) {
	s := Start(t, Options{People: 10})
	before := s.LDAPS
	s.Stop()
	s.Stop()
	s.Run()
	if s.LDAPS != before {
		t.Errorf("after a restart the server is at %s, was at %s", s.LDAPS, before)
	}
}
