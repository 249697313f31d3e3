package store_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner/store"
)

// fakeTool lays a program down that says a version, and else runs a script.
func fakeTool(t *testing.T, name, version, script string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	text := fmt.Sprintf("#!/bin/sh\nif [ \"$1\" = --version ]; then echo '%s (PostgreSQL) %s'; exit; fi\n%s\n", name, version, script)
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Of several the newest is taken; one that is older than the server, or missing,
// is refused before anything is begun.
func TestTheToolFits(t *testing.T) {
	o := onPostgres(t)
	t.Setenv("PATH", t.TempDir())
	old, older := fakeTool(t, "pg_dump", "11.22", ""), fakeTool(t, "pg_dump", "9.4.1", "")
	newer := fakeTool(t, "pg_dump", "99beta1", "")
	var tool *store.ToolError
	if err := store.ToolProblem(t.Context(), "pg_dump", []string{t.TempDir()}, o); !errors.As(err, &tool) || tool.Path != "" {
		t.Errorf("missing: %v", err)
	}
	err := store.ToolProblem(t.Context(), "pg_dump", []string{older, old}, o)
	if !errors.As(err, &tool) || tool.Path != filepath.Join(old, "pg_dump") || tool.Has != 11 || tool.Needs < 12 {
		t.Errorf("older than the server: %v", err)
	}
	if err := store.ToolProblem(t.Context(), "pg_dump", []string{old, newer, older}, o); err != nil {
		t.Errorf("one that is new enough among others: %v", err)
	}
	t.Setenv("PATH", newer)
	if err := store.ToolProblem(t.Context(), "pg_dump", []string{old}, o); err != nil {
		t.Errorf("one that is new enough in PATH: %v", err)
	}
}

// Nothing on the command line says more than which state goes where.
func TestTheToolsCommandLine(t *testing.T) {
	o := onPostgres(t)
	town(t, open(t, o))
	said := filepath.Join(t.TempDir(), "said")
	dir := fakeTool(t, "pg_dump", "99.1", fmt.Sprintf(`printf '%%s\n' "$@" >%[1]s; env >%[1]s.env; echo "pg_dump: error: out of ideas" >&2; exit 1`, said))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	_, err := store.Dump(t.Context(), o, newFile(t), func(int, int) {})
	if err == nil || !strings.HasSuffix(err.Error(), "pg_dump: error: out of ideas") {
		t.Errorf("of a program that fails is said: %v", err)
	}
	line, err := os.ReadFile(said)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{o.Password, "postgres://"} {
		if strings.Contains(string(line), secret) {
			t.Errorf("the command line shows %q:\n%s", secret, line)
		}
	}
	environment, err := os.ReadFile(said + ".env")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(environment), "PGPASSWORD="+o.Password+"\n") {
		t.Error("the environment lacks the password")
	}
}

// The tools connect as we do, with the same demands on TLS.
func TestTheToolsConnection(t *testing.T) {
	roots := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(roots, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("SSL_CERT_FILE", roots)
	for _, name := range []string{"PGSSLMODE", "PGSSLROOTCERT", "PGOPTIONS", "PGHOST", "PGPORT", "PGSERVICE"} {
		t.Setenv(name, "")
	}
	for _, tt := range []struct {
		dsn  string
		want []string
	}{
		{"postgres://u@db.stadt.example/n", []string{"PGHOST=db.stadt.example", "PGSSLMODE=verify-full", "PGSSLROOTCERT=" + roots}},
		{"postgres://u@db.stadt.example/n?sslmode=require", []string{"PGHOST=db.stadt.example", "PGSSLMODE=require"}},
		{"postgres://u@127.0.0.1:5433/n", []string{"PGHOST=127.0.0.1", "PGPORT=5433"}},
		{"postgres://u@[::1]:5433/n", []string{"PGHOST=::1", "PGPORT=5433"}},
		{"postgres://u@/n?host=/run/postgresql", []string{"PGHOST=/run/postgresql"}},
		{"postgres://u@a.example,b.example/n?target_session_attrs=primary&sslmode=verify-full", []string{
			"PGHOST=a.example,b.example", "PGSSLMODE=verify-full", "PGSSLROOTCERT=" + roots, "PGTARGETSESSIONATTRS=primary",
		}},
		{"postgres://u@localhost/n?search_path=a%20b&role=c", []string{"PGHOST=localhost", `PGOPTIONS=-c role=c -c search_path=a\ b`}},
	} {
		got, err := store.ToolEnvironment(store.Options{Database: tt.dsn, Password: "p w"})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(got)
		want := append(tt.want, "PGCONNECT_TIMEOUT=5", "PGDATABASE=n", "PGPASSWORD=p w", "PGUSER=u")
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.dsn, diff)
		}
	}
}
