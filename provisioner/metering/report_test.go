package metering_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/metering"
)

// agreed is a list of two products.
func agreed() provisioner.Metering {
	return provisioner.Metering{
		Agreement: provisioner.WorksAgreement{Reference: "DV 2026-03", Date: provisioner.DayBegins(2026, 3, 1)},
		Products:  []provisioner.Product{{Name: "citrix", Processes: []string{"wfica"}}, {Name: "phone", Processes: []string{"sipp"}}},
	}
}

func TestCheck(t *testing.T) {
	many := slices.Repeat([]metering.Said{{Product: "x"}}, 10_000)
	for _, c := range []struct {
		name  string
		said  []metering.Said
		uses  []metering.Use
		clips []string
	}{
		{"nothing", nil, nil, nil},
		{"honest", []metering.Said{{Product: "citrix", InUse: true, Version: "24.2.0-rc.1"}, {Product: "phone"}}, []metering.Use{{Product: "citrix", Version: "24.2.0-rc.1"}}, nil},
		{"unlisted", []metering.Said{{Product: "game", InUse: true}, {Product: "phone", InUse: true}}, []metering.Use{{Product: "phone"}}, []string{"products that are not metered: 1"}},
		{"twice", []metering.Said{{Product: "phone", InUse: true}, {Product: "phone", InUse: true}}, []metering.Use{{Product: "phone"}}, []string{"products named twice: 1"}},
		{"no version", []metering.Said{{Product: "phone", InUse: true, Version: "of Eva Müller"}}, []metering.Use{{Product: "phone"}}, []string{"unusable versions: 1"}},
		{"endless version", []metering.Said{{Product: "phone", InUse: true, Version: strings.Repeat("1", 1<<20)}}, []metering.Use{{Product: "phone"}}, []string{"unusable versions: 1"}},
		{"a version of what does not run", []metering.Said{{Product: "phone", Version: "1"}}, nil, []string{"unusable versions: 1"}},
		{"ten thousand", many, nil, []string{"9950 products too many", "products that are not metered: 50"}},
	} {
		uses, clips := metering.Check(agreed(), c.said)
		var english []string
		for _, clip := range clips {
			if clip.German == "" || clip.German == clip.English {
				t.Errorf("%s: in German it says %q", c.name, clip.German)
			}
			english = append(english, clip.English)
		}
		if diff := cmp.Diff(c.uses, uses) + cmp.Diff(c.clips, english); diff != "" {
			t.Errorf("%s:\n%s", c.name, diff)
		}
	}
	if uses, clips := metering.Check(provisioner.Metering{}, []metering.Said{{Product: "phone", InUse: true}}); len(uses) != 0 || len(clips) != 1 {
		t.Errorf("where nothing is metered, taken %v, %v", uses, clips)
	}
}

// Whatever is said, only listed products are taken, each once, and only versions that
// are some; and either all of it was taken or something is said of the rest.
func TestCheckTakesWhatIsListed(t *testing.T) {
	said := rapid.SliceOf(rapid.Custom(func(t *rapid.T) metering.Said {
		return metering.Said{
			Product: rapid.OneOf(rapid.SampledFrom([]string{"citrix", "phone", ""}), rapid.String()).Draw(t, "product"),
			InUse:   rapid.Bool().Draw(t, "in use"),
			Version: rapid.OneOf(rapid.SampledFrom([]string{"", "1.2"}), rapid.String()).Draw(t, "version"),
		}
	}))
	rapid.Check(t, func(t *rapid.T) {
		list := said.Draw(t, "said")
		uses, clips := metering.Check(agreed(), list)
		seen := make(map[string]bool)
		for _, u := range uses {
			if !agreed().Lists(u.Product) || seen[u.Product] || u.Version != "" && !provisioner.IsProductVersion(u.Version) ||
				!slices.ContainsFunc(list, func(s metering.Said) bool { return s.Product == u.Product && s.InUse }) {
				t.Fatalf("took %+v of %+v", u, list)
			}
			seen[u.Product] = true
		}
		whole := 0
		for _, s := range list {
			if slices.Contains(uses, metering.Use{Product: s.Product, Version: s.Version}) && s.InUse || agreed().Lists(s.Product) && !s.InUse && s.Version == "" {
				whole++
			}
		}
		if len(clips) == 0 && whole != len(list) {
			t.Fatalf("of %+v %+v were taken, and nothing is said of the rest", list, uses)
		}
	})
}

// FuzzCheck demands of any report: no panic, and nothing that is not listed.
func FuzzCheck(f *testing.F) {
	f.Add("citrix", "1.2", true, 1)
	f.Add("game", "\xff\x00", true, 60)
	f.Fuzz(func(t *testing.T, product, version string, inUse bool, times int) {
		list := slices.Repeat([]metering.Said{{Product: product, Version: version, InUse: inUse}}, min(max(times, 0), 200))
		uses, _ := metering.Check(agreed(), list)
		if len(uses) > 1 || len(uses) == 1 && !agreed().Lists(uses[0].Product) {
			t.Errorf("took %s", fmt.Sprint(uses))
		}
	})
}
