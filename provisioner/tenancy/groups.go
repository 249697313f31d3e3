package tenancy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// lookForGroups is how long a change may wait for directories to say which groups they
// have: what they do not say then is found by who follows them.
const lookForGroups = 3 * time.Second

// unknownGroups says which of the groups that changes name anew the directory does not
// have. It refuses nothing: a group may be made afterwards, and be hidden until then. Where
// a directory could not be asked it says so of each tenant.
func (s *Service) unknownGroups(ctx context.Context, actor provisioner.Actor, changes []change) []Difference {
	if s.Directories == nil {
		return nil
	}
	declared, named := make(map[string]provisioner.Directory), make(map[string][]Difference)
	for _, v := range changes {
		switch now := v.now.(type) {
		case provisioner.Directory:
			declared[now.Name] = now
		case provisioner.Tenant:
			was := v.was.(provisioner.Tenant)
			before := was.GroupsNamed()
			for _, g := range now.GroupsNamed() {
				if was.Directory != now.Directory || !slices.Contains(before, g) {
					named[now.Directory] = append(named[now.Directory], Difference{Kind: v.kind, Name: v.name, Field: g.Field, Before: g.DN})
				}
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, lookForGroups)
	defer cancel()
	var unknown []Difference
	for _, name := range slices.Sorted(maps.Keys(named)) {
		missing, err := s.missingGroups(ctx, name, declared, named[name])
		switch {
		case errors.Is(err, errNotDeclaredSo):
			unknown = append(unknown, unasked(name, named[name], inLanguage(actor,
				"ob es die genannten Gruppen gibt, sagt apply, sobald dieses Verzeichnis so angewandt ist; vorher wird mit seinem Dienstkonto niemand gefragt",
				"whether the groups that are named exist is told by apply once this directory is applied as it stands here; before that nobody is asked with its service account"))...)
			continue
		case err != nil:
			s.Logger.Warn("looking whether groups are in the directory", "directory", name, "error", err)
			unknown = append(unknown, unasked(name, named[name], inLanguage(actor,
				"ob es die genannten Gruppen gibt, war nicht zu erfahren: Das Verzeichnis hat nicht geantwortet; heimdraht directory status nennt sie später",
				"whether the groups that are named exist could not be learnt: the directory did not answer; heimdraht directory status names them later"))...)
			continue
		}
		for _, d := range named[name] {
			if slices.Contains(missing, d.Before) {
				d.After = inLanguage(actor, "diese Gruppe hat das Verzeichnis nicht, oder es zeigt sie dem Dienstkonto nicht", "the directory has no such group, or hides it from the service account")
				unknown = append(unknown, d)
			}
		}
	}
	return unknown
}

// unasked says once of each tenant why its directory was not asked.
func unasked(directory string, named []Difference, why string) (list []Difference) {
	said := make(map[string]bool)
	for _, d := range named {
		if !said[d.Name] {
			said[d.Name] = true
			list = append(list, Difference{Kind: d.Kind, Name: d.Name, Field: "directory", Before: directory, After: why})
		}
	}
	return list
}

// errNotDeclaredSo says that a directory is not stored yet as it is declared. Whoever looks at
// a file that is not applied must not have the control plane send a password to any
// server that the file names: nothing would record it.
var errNotDeclaredSo = errors.New("the directory is not stored as it is declared")

// missingGroups asks a directory for the groups that are named in Before.
func (s *Service) missingGroups(ctx context.Context, name string, declared map[string]provisioner.Directory, named []Difference) (missing []string, err error) {
	stored, err := store.Read(ctx, s.Store, func(tx *store.Reader) (provisioner.Directory, error) { return tx.Directory(name) })
	now, changes := declared[name]
	switch {
	case errors.Is(err, store.ErrNone), err == nil && changes && !reflect.DeepEqual(stored, now):
		return nil, errNotDeclaredSo
	case err != nil:
		return nil, fmt.Errorf("reading the directory's declaration: %w", err)
	}
	var groups []string
	for _, d := range named {
		groups = append(groups, d.Before)
	}
	slices.Sort(groups)
	err = s.Directories.Use(stored, func(lent directory.Directory) error {
		missing, err = lent.MissingGroups(ctx, slices.Compact(groups))
		return err
	})
	return missing, err
}

func inLanguage(actor provisioner.Actor, german, english string) string {
	if actor.Language == "en" {
		return english
	}
	return german
}
