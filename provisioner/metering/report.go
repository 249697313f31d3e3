package metering

import (
	"fmt"

	"github.com/heimdraht/heimdraht/provisioner"
)

// Said is what a laptop says of a product, as it says it.
type Said struct {
	Product string
	InUse   bool
	Version string
}

// Use is a product that is in use. Version empty: nobody knows.
type Use struct{ Product, Version string }

// Clip is why something of a report was not taken, as a clause in German and in English.
type Clip struct{ German, English string }

// Check takes of a report what may be believed: products that are metered, each
// once, and versions that can be one. The rest is counted and left: not even its
// names are kept.
func Check(m provisioner.Metering, said []Said) (uses []Use, clips []Clip) {
	if len(said) == 0 {
		return nil, nil
	}
	if len(m.Products) == 0 {
		return nil, []Clip{{"bei dieser Verwaltung werden keine Produkte gezählt", "no products are metered in this tenant"}}
	}
	if n := len(said) - provisioner.MostProducts; n > 0 {
		said = said[:provisioner.MostProducts]
		clips = append(clips, Clip{fmt.Sprintf("%d Produkte zu viel", n), fmt.Sprintf("%d products too many", n)})
	}
	seen := make(map[string]bool, len(said))
	unlisted, twice, versions := 0, 0, 0
	for _, s := range said {
		switch {
		case !m.Lists(s.Product):
			unlisted++
			continue
		case seen[s.Product]:
			twice++
			continue
		}
		seen[s.Product] = true
		if s.Version != "" && (!s.InUse || !provisioner.IsProductVersion(s.Version)) {
			versions++
			s.Version = ""
		}
		if s.InUse {
			uses = append(uses, Use{s.Product, s.Version})
		}
	}
	for _, c := range []struct {
		n               int
		german, english string
	}{
		{unlisted, "Produkte, die nicht gezählt werden: %d", "products that are not metered: %d"},
		{twice, "doppelt genannte Produkte: %d", "products named twice: %d"},
		{versions, "unbrauchbare Versionen: %d", "unusable versions: %d"},
	} {
		if c.n > 0 {
			clips = append(clips, Clip{fmt.Sprintf(c.german, c.n), fmt.Sprintf(c.english, c.n)})
		}
	}
	return uses, clips
}
