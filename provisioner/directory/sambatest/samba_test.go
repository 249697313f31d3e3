//go:build unix

package sambatest

import "testing"

func TestStartStopAndStartAgain(t *testing.T) {
	s := Start(t, Options{})
	before := s.LDAPS
	eva := s.AddPerson(TownHall, "eva", "Eva Müller", "Guten-Morgen", nil)
	s.Stop()
	s.Stop()
	s.Run()
	if s.LDAPS != before {
		t.Errorf("after a restart the server is at %s, was at %s", s.LDAPS, before)
	}
	s.Delete(eva) // what was written is there
}

func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		Start(b, Options{}).Stop()
	}
}
