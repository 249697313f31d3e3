package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

//go:embed migrations
var migrations embed.FS

// ErrSchema says that the database has the schema of another version of the
// program, on which this one cannot run.
var ErrSchema = errors.New("the schema is of another version of the program")

// ErrEmpty says that the database is there and nothing in it.
var ErrEmpty = errors.New("the database is empty")

// allowed is what may be done to the schema.
type allowed struct {
	make   bool // of an empty database
	change bool // of an older one
}

// migrate brings the schema up to date.
//
// While replicas are replaced one after the other, older programs run on the
// newer schema. So a migration only adds; what takes something away that the
// version before still uses waits for the next one and raises
// schema_support.oldest, the oldest schema whose programs can run on this one.
func migrate(ctx context.Context, db *sql.DB, dialect goose.Dialect, dir string, may allowed, o ...goose.ProviderOption) error {
	files, err := fs.Sub(migrations, dir)
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(dialect, db, files, o...)
	if err != nil {
		return err
	}
	current, known, err := p.GetVersions(ctx)
	if err != nil {
		return err
	}
	switch {
	case current > known:
		var oldest int64
		if err := db.QueryRowContext(ctx, `select oldest from schema_support`).Scan(&oldest); err != nil {
			return fmt.Errorf("reading which programs the schema supports: %w", err)
		}
		if known < oldest {
			return fmt.Errorf("%w: the database has version %d, this program knows %d: run the newer program", ErrSchema, current, known)
		}
		return nil
	case current == 0 && !may.make:
		return ErrEmpty
	case current > 0 && current < known && !may.change:
		return fmt.Errorf("%w: the database has version %d, this program knows %d: heimdrahtd run brings it up to date", ErrSchema, current, known)
	case current == known:
		return nil
	}
	_, err = p.Up(ctx)
	return err
}
