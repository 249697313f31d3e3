package warning

import (
	"fmt"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Sentence says in "en", else in German, what a warning is about, and why it ended if it has.
func Sentence(w store.Warning, language string) string {
	pick := func(german, english string) string {
		if language == "en" {
			return english
		}
		return german
	}
	return about(w, pick) + end(End(w.EndedWhy), pick)
}

func about(w store.Warning, pick func(german, english string) string) string {
	switch Kind(w.Kind) {
	case Seats:
		return fmt.Sprintf(pick("%s: Von %d Plätzen waren %d gleichzeitig belegt (Schwelle %d %%).", "%s: of %d seats, %d were held at one time (threshold %d %%)."), w.Name, w.Capacity, w.Value, w.Percent)
	case Forecast:
		return fmt.Sprintf(pick("%s: Ab %s reichen %d Plätze mit %d %% Wahrscheinlichkeit nicht mehr.", "%s: from %s on, %d seats are no longer enough, with a probability of %d %%."),
			w.Name, dayIn(w.Expected, pick), w.Capacity, w.Percent)
	case Queue:
		return fmt.Sprintf(pick("%s: %d Geräte warteten gleichzeitig auf einen Platz.", "%s: %d laptops waited for a seat at one time."), w.Name, w.Value)
	case Refused:
		name := w.Name
		if name == "" {
			name = pick("Alle zusammen", "all together")
		}
		return fmt.Sprintf(pick("%s: In einer Stunde wurden %d Verbindungen abgewiesen, weil kein Platz oder kein Zugangsserver frei war.",
			"%s: within an hour, %d sessions were refused for want of a seat or a gateway."), name, w.Value)
	case Sessions:
		return fmt.Sprintf(pick("%s: Von %d Verbindungen, die dieser Zugangsserver haben darf, waren %d gleichzeitig offen (Schwelle %d %%).",
			"%s: of the %d sessions that this gateway may have, %d were open at one time (threshold %d %%)."), w.Name, w.Capacity, w.Value, w.Percent)
	case Addresses:
		return fmt.Sprintf(pick("%s: Von %d Blöcken zu 64 Adressen sind %d vergeben, und eine Verwaltung braucht bald noch einen (Schwelle %d %%).",
			"%s: of %d blocks of 64 addresses, %d are given out, and a tenant soon needs another one (threshold %d %%)."), w.Name, w.Capacity, w.Value, w.Percent)
	default:
		return w.Name
	}
}

func end(why End, pick func(german, english string) string) string {
	switch why {
	case EndQuiet:
		return pick(" Beendet: Zwei Wochen lang war es ruhig.", " Ended: two weeks were quiet.")
	case EndGone:
		return pick(" Beendet: Das gibt es nicht mehr.", " Ended: it is not there any more.")
	case EndThreshold:
		return pick(" Beendet: Diese Schwelle gilt nicht mehr.", " Ended: this threshold is not set any more.")
	default:
		return ""
	}
}

// dayIn is a day as people write it.
func dayIn(t time.Time, pick func(german, english string) string) string {
	year, month, day := provisioner.DayOf(t)
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Format(pick("02.01.2006", time.DateOnly))
}
