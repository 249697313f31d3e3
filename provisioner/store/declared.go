package store

import (
	"slices"
	"strings"

	"github.com/heimdraht/heimdraht/provisioner"
)

// Declared is everything that is declared, as one view has read it.
type Declared struct {
	Directories []provisioner.Directory
	Tenants     []provisioner.Tenant
	Pools       []provisioner.LicencePool
	Gateways    []GatewayState // with their tenants

	at    Position
	texts []declaration
}

// declaration is an object that is kept as one text.
type declaration struct{ kind, name, text string }

func (r *Reader) declarations() ([]declaration, error) {
	return all(r.q, func(s scanner) (d declaration, err error) {
		err = s.Scan(&d.kind, &d.name, &d.text)
		return d, err
	}, `select 'directory', name, declaration from directory union all
		select 'pool', name, declaration from licence_pool union all
		select 'tenant', name, declaration from tenant order by 1, 2`)
}

// Declared reads everything that is declared, in a handful of queries.
func (r *Reader) Declared() (*Declared, error) {
	d := new(Declared)
	var err error
	if d.at, err = r.Position(); err != nil {
		return nil, err
	}
	if d.texts, err = r.declarations(); err != nil {
		return nil, err
	}
	for _, v := range d.texts {
		switch v.kind {
		case "directory":
			err = decode(v.text, &d.Directories)
		case "pool":
			err = decode(v.text, &d.Pools)
		case "tenant":
			err = decode(v.text, &d.Tenants)
		}
		if err != nil {
			return nil, err
		}
	}
	d.Gateways, err = r.Gateways()
	return d, err
}

func decode[T any](text string, list *[]T) error {
	var v T
	err := fromJSON(text, &v)
	*list = append(*list, v)
	return err
}

// StillDeclared reports whether everything is declared as it was when d was
// read. It compares texts, and looks for changes of gateways, which have
// revisions: reading all of it once more would keep the writer from others. A
// gateway that has joined since counts as a change.
func (w *Writer) StillDeclared(d *Declared) (bool, error) {
	if w.alloc.epoch != d.at.Epoch || w.alloc.horizon > d.at.Revision {
		return false, nil
	}
	moved, err := one(w.q, value[int64], `select count(*) from (select 1 from change where revision > $1 and kind = $2 limit 1) t`,
		d.at.Revision, string(provisioner.ChangeGateway))
	if err != nil || moved > 0 {
		return false, err
	}
	now, err := w.declarations()
	return slices.Equal(now, d.texts), err
}

// manyRows are the numbers of rows that one statement inserts. They are few, as
// each is a statement of its own to prepare.
var manyRows = [...]int{64, 8, 1} //nolint:gochecknoglobals // a constant, if Go had such

// insertMany inserts rows of the same number of columns; end follows the values.
func insertMany(q querier, into string, rows [][]any, end string) error {
	for _, n := range manyRows {
		for len(rows) >= n {
			a := new(args)
			values := make([]string, n)
			for i, row := range rows[:n] {
				marks := make([]string, len(row))
				for j, v := range row {
					marks[j] = a.add(v)
				}
				values[i] = "(" + strings.Join(marks, ", ") + ")"
			}
			if err := run(q, into+` values `+strings.Join(values, ", ")+end, a.list...); err != nil {
				return err
			}
			rows = rows[n:]
		}
	}
	return nil
}

// without lists what of list is not in other.
func without[T comparable](list, other []T) []T {
	known := make(map[T]bool, len(other))
	for _, v := range other {
		known[v] = true
	}
	return slices.DeleteFunc(slices.Clone(list), func(v T) bool { return known[v] })
}
