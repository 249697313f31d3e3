package ldap

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/heimdraht/heimdraht/provisioner/directory"
)

// site is a server, and what a feed has to know of it.
type site struct {
	*server
	flavour directory.Flavour
	root    directory.Attributes // of the root DSE
	roots   []string             // what is searched: the naming contexts that hold what is of interest
	bases   []string             // below which people are of interest, folded
	pace    pace
	answer  time.Duration // within which a server has to answer
	missing []string      // bases that are not there
}

// source says that changes are noticed in this way.
func (on site) source(w directory.Way) directory.Source {
	return directory.Source{Server: on.url, Flavour: on.flavour.Name, Way: w, Limited: strings.Join(on.missingSaid(), "; ")}
}

// missingSaid says which bases are not there.
func (on site) missingSaid() []string {
	var said []string
	for _, base := range on.missing {
		said = append(said, "anybody below "+base+", which is not in the directory, or hidden from the service account")
	}
	return said
}

// holds reports whether somebody with this DN is of interest.
func (on site) holds(dn string) bool {
	folded, err := fold(dn)
	return err != nil || // cannot be told: then rather too many
		slices.ContainsFunc(on.bases, func(base string) bool { return directory.Under(folded, base) })
}

// site asks a server what it offers, and whether the bases are there. One that is not keeps the others from nothing: it is named,
// and an observer takes nothing away where nobody is left.
func (f *feed) site(ctx context.Context, s *server) (site, error) {
	on := site{server: s, pace: f.pace, answer: f.d.cfg.Timeout}
	ctx, cancel := context.WithTimeout(ctx, f.d.cfg.Timeout)
	defer cancel()
	err := f.d.onServer(ctx, s, forSearch, 1, func(ctx context.Context, c *conn) error {
		root, err := c.entry(ctx, "", append(directory.RootDSE(), "supportedControl"))
		if err != nil {
			return fmt.Errorf("reading the root DSE: %w", err)
		}
		on.root, on.flavour = root, f.d.known().flavour
		if on.roots, on.bases, err = f.roots(root["namingcontexts"]); err != nil {
			return err
		}
		on.missing, err = f.missingBases(ctx, c)
		return err
	})
	return on, err
}

func (f *feed) missingBases(ctx context.Context, c *conn) (missing []string, err error) {
	for _, base := range f.interest.Bases {
		if base == "" {
			continue
		}
		_, err := c.entry(ctx, base, []string{"1.1"})
		switch {
		case isAbsent(err):
			missing = append(missing, base)
		case err != nil:
			return nil, err
		}
	}
	return missing, nil
}

// roots are the naming contexts that hold bases and groups, in a stable order. What lies in none of them is not there, and keeps the
// rest from nothing; but where a server does not say what it holds, each is searched by itself. bases are the interest's,
// folded.
func (f *feed) roots(contexts []string) (roots, bases []string, err error) {
	known := map[string]string{} // folded: as spelt
	for _, context := range contexts {
		if folded, err := fold(context); err == nil && folded != "" {
			known[folded] = context
		}
	}
	chosen := map[string]string{}
	for i, target := range slices.Concat(f.interest.Bases, f.interest.Groups) {
		folded, err := fold(target)
		if err != nil {
			return nil, nil, final{f.d.fault(directory.Misconfigured, fmt.Sprintf("%q is not a DN", target), "correct it", err)}
		}
		if i < len(f.interest.Bases) {
			bases = append(bases, folded)
		}
		maps.Copy(chosen, rootsOf(folded, target, known))
	}
	for _, folded := range slices.Sorted(maps.Keys(chosen)) {
		roots = append(roots, chosen[folded])
	}
	if len(roots) == 0 {
		return nil, nil, final{f.d.fault(directory.Misconfigured, "the server holds none of the bases and groups; it has "+strings.Join(contexts, "; "),
			"correct the base", nil)}
	}
	return roots, bases, nil
}

// rootsOf are the context that a target is in, or the contexts below it, or the target itself.
func rootsOf(folded, target string, contexts map[string]string) map[string]string {
	best, below := "", map[string]string{}
	for context, spelt := range contexts {
		if directory.Under(folded, context) && len(context) > len(best) {
			best = context
		}
		if directory.Under(context, folded) {
			below[context] = spelt
		}
	}
	switch {
	case best != "":
		return map[string]string{best: contexts[best]}
	case len(below) > 0 || len(contexts) > 0:
		return below
	}
	return map[string]string{folded: target}
}

// limited is what an error at the end of a search means that had told so many entries.
func (f *feed) limited(on site, entries int, err error) error {
	if !goldap.IsErrorAnyOf(err, goldap.LDAPResultSizeLimitExceeded, goldap.LDAPResultAdminLimitExceeded) {
		return err
	}
	return final{f.d.fault(directory.Misconfigured,
		fmt.Sprintf("%s lets the service account read %d entries and no more", on.url, entries),
		fmt.Sprintf("lift its limit: in OpenLDAP `limits dn.exact=%q size=unlimited`, in 389 Directory Server nsSizeLimit and nsLookThroughLimit "+
			"of its entry to -1 (reading in pages does not lift it)", f.d.cfg.BindDN), err)}
}
