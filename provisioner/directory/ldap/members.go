package ldap

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/heimdraht/heimdraht/provisioner/directory"
)

// complete reads what is missing of a group's members: Active Directory gives the values of an attribute in parts
// (MS-ADTS 3.1.1.3.1.3.3).
func (f *feed) complete(ctx context.Context, on site, dn string, a directory.Attributes) error {
	for _, attribute := range on.flavour.Members {
		name := strings.ToLower(attribute)
		values, next := takePart(a, name)
		for next >= 0 {
			part, err := f.readPart(ctx, on, dn, on.flavour.Part(attribute, next))
			if isAbsent(err) {
				break // it has just been deleted, which is told next
			}
			if err != nil {
				return fmt.Errorf("reading the members of a group: %w", err)
			}
			var more []string
			more, next = takePart(part, name)
			values = append(values, more...)
		}
		if values != nil {
			a[name] = values
		}
	}
	return nil
}

func (f *feed) readPart(ctx context.Context, on site, dn, attribute string) (part directory.Attributes, err error) {
	ctx, cancel := context.WithTimeout(ctx, on.answer)
	defer cancel()
	err = f.d.onServer(ctx, on.server, forSearch, 1, func(ctx context.Context, c *conn) error {
		part, err = c.entry(ctx, dn, []string{attribute})
		return err
	})
	return part, err
}

// takePart finds the values that an answer has of an attribute, and at which number the next ones begin; -1: these
// were all.
func takePart(a directory.Attributes, name string) (values []string, next int) {
	for key, values := range a {
		window, found := strings.CutPrefix(key, name+";range=")
		if !found {
			continue
		}
		_, upper, _ := strings.Cut(window, "-")
		if last, err := strconv.Atoi(upper); err == nil && last >= 0 && len(values) > 0 {
			return values, last + 1
		}
		return values, -1
	}
	return a[name], -1
}
