package app_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/heimdraht/heimdraht/provisioner/app"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// made is a control plane that has never run.
func made(t *testing.T) app.Config {
	t.Helper()
	dir := t.TempDir()
	c := app.DefaultConfig()
	c.Listen, c.MetricsListen, c.Names = "127.0.0.1:0", "127.0.0.1:0", []string{"127.0.0.1"}
	c.StateDir = filepath.Join(dir, "state")
	c.Database, c.MasterKeyFile = filepath.Join(c.StateDir, "heimdraht.db"), filepath.Join(dir, "master.key")
	if _, err := app.Init(context.Background(), c); err != nil {
		t.Fatal("making a control plane: ", err)
	}
	return c
}

func start(t *testing.T, c app.Config) (*app.App, error) {
	t.Helper()
	return app.New(t.Context(), app.Options{Config: c, Logger: slog.New(slog.DiscardHandler)})
}

func TestOneControlPlaneADatabase(t *testing.T) {
	c := made(t)
	first, err := start(t, c)
	if err != nil {
		t.Fatal(err)
	}
	_, err = start(t, c)
	var setup *app.SetupError
	if !errors.As(err, &setup) || !strings.HasPrefix(setup.What, "another heimdrahtd ") || setup.Next == "" {
		t.Errorf("a second one: %v", err)
	}
	// What may run beside it does, and leaves the lock alone.
	if _, _, err := app.OperatorToken(t.Context(), c); err != nil {
		t.Error("making a token beside it: ", err)
	}
	app.Check(t.Context(), c, func(f app.Finding) {
		if !f.OK {
			t.Errorf("checking beside it: %+v", f)
		}
	})
	if _, err := start(t, c); !errors.As(err, &setup) {
		t.Errorf("after that a second one: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	again, err := start(t, c)
	if err != nil {
		t.Fatal("after the first one has gone: ", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

// In the bubble it is the year 2000; the database was made outside, and work goes
// on after the clock was set back.
func TestRecordsDoNotHideThatTheClockWasSetBack(t *testing.T) {
	c := made(t)
	synctest.Test(t, func(t *testing.T) {
		s, err := store.Open(context.Background(), store.Options{Database: c.Database})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.Update(context.Background(), func(tx *store.Writer) error {
			return tx.Audit(store.Event{Action: "device.revoke"})
		}), s.Close()); err != nil {
			t.Fatal(err)
		}
		app.Check(context.Background(), c, func(f app.Finding) {
			if f.What == "clock" && f.OK {
				t.Errorf("%+v", f)
			}
		})
	})
}

// In the bubble it is the year 2000; the database was made outside.
func TestClockThatWasSetBackIsFound(t *testing.T) {
	c := made(t)
	synctest.Test(t, func(t *testing.T) {
		found := make(map[string]app.Finding)
		app.Check(context.Background(), c, func(f app.Finding) { found[f.What] = f })
		for _, f := range found {
			if !f.OK && (f.Code == "" || f.Next == "") {
				t.Errorf("it has no code, or nothing to do: %+v", f)
			}
		}
		for _, what := range []string{"clock", "certificate"} {
			if f := found[what]; f.OK || !strings.Contains(f.Detail, "2000-01-01T00:00:00Z") || !strings.HasPrefix(f.Next, "Set this machine's clock") {
				t.Errorf("%s: %+v", what, f)
			}
		}
		if f := found["database"]; !f.OK {
			t.Errorf("the database: %+v", f)
		}
		_, err := app.New(context.Background(), app.Options{Config: c, Logger: slog.New(slog.DiscardHandler)})
		var setup *app.SetupError
		if !errors.As(err, &setup) || setup.Next != "Set this machine's clock." {
			t.Errorf("running in the year 2000: %v", err)
		}
	})
}
