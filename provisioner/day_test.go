package provisioner_test

import (
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/heimdraht/heimdraht/provisioner"
)

func TestDayBeginsAsTheZoneDatabaseSays(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for day := time.Date(1997, 1, 1, 0, 0, 0, 0, berlin); day.Year() < 2100; day = day.AddDate(0, 0, 1) {
		got := provisioner.DayBegins(day.Date())
		if !got.Equal(day) {
			t.Fatalf("%s begins at %s, not %s", day.Format(time.DateOnly), day.UTC(), got)
		}
		for _, at := range []time.Time{got, got.Add(day.AddDate(0, 0, 1).Sub(day) - time.Nanosecond)} {
			y, m, d := provisioner.DayOf(at)
			if wy, wm, wd := day.Date(); y != wy || m != wm || d != wd {
				t.Fatalf("%s is on %d-%02d-%02d, not %s", at, y, m, d, day.Format(time.DateOnly))
			}
		}
	}
}
