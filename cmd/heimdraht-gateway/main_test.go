package main

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/heimdraht/heimdraht/agent/gateway"
	"github.com/heimdraht/heimdraht/agent/state"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"heimdraht-gateway": main})
}

// TestScripts runs the program as people do, against a real control plane.
// Beside testscript's own commands there are
//
//	token FILE      writes a new one-time token
//	refused ARG...  runs the program, which must end with status 1
//	misused ARG...  runs the program, which must end with status 2
//	serve DIR       runs the gateway on DIR in this process, without root's
//	                rights, until it is connected; then stops it again
//	age DIR         makes the status in DIR look two minutes old
//	modes PATH...   fails unless only the user can read these
func TestScripts(t *testing.T) {
	type key struct{}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			// Each script has its own: a new token ends the one before it.
			server := provisionertest.Start(t, nil)
			env.Values[key{}] = server
			env.Setenv("ADDRESS", server.Address()+"#"+server.Fingerprint())
			env.Setenv("SERVER", server.Address())
			env.Setenv("PIN", server.Fingerprint())
			env.Setenv("LANG", "en_GB.UTF-8")
			env.Setenv("TZ", "Europe/Berlin")
			env.Setenv("C", "--config="+filepath.Join(env.WorkDir, "gateway.yaml"))
			env.Setenv("S", "--state="+filepath.Join(env.WorkDir, "state"))
			// With the race detector each process would wait a second at its end.
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"token": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(newToken(t, ts.Value(key{}).(*provisionertest.Server))+"\n"), 0o600))
			},
			"refused": func(ts *testscript.TestScript, _ bool, args []string) { exits(ts, exitFailed, args) },
			"misused": func(ts *testscript.TestScript, _ bool, args []string) { exits(ts, exitUsage, args) },
			"serve": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Check(serve(t.Context(), ts.MkAbs(args[0])))
			},
			"age": func(ts *testscript.TestScript, _ bool, args []string) { ts.Check(age(ts.MkAbs(args[0]))) },
			"modes": func(ts *testscript.TestScript, _ bool, args []string) {
				for _, a := range args {
					info, err := os.Stat(ts.MkAbs(a))
					ts.Check(err)
					if info.Mode().Perm()&0o077 != 0 {
						ts.Fatalf("%s has mode %v", a, info.Mode())
					}
				}
			},
		},
	})
}

func newToken(t *testing.T, server *provisionertest.Server) string {
	answer, err := heimdrahtv1.NewAdminServiceClient(server.Dial(nil)).CreateGatewayToken(
		provisionertest.As(t.Context(), server.Operator), &heimdrahtv1.CreateGatewayTokenRequest{Gateway: "gw1"})
	if err != nil {
		t.Fatal(err)
	}
	return answer.GetToken()
}

func exits(ts *testscript.TestScript, status int, args []string) {
	err := ts.Exec("heimdraht-gateway", args...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != status {
		ts.Fatalf("ended with %v, want exit status %d", err, status)
	}
}

// serve runs a gateway without an interface until it is connected and has
// said so in its status.
func serve(ctx context.Context, path string) error {
	dir, err := state.Open(path)
	if err != nil {
		return err
	}
	g, err := gateway.New(gateway.Options{
		State: dir, Version: "test", Logger: slog.New(slog.DiscardHandler),
		Open: gateway.Netstack{Listen: netip.MustParseAddr("127.0.0.1")}.Open,
	})
	if err != nil {
		return errors.Join(err, dir.Close())
	}
	ctx, stop := context.WithTimeout(ctx, 30*time.Second)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		s, err := gateway.ReadStatus(path)
		if err == nil && s.Connected && s.Mode != "" {
			stop()
			if err := <-done; !errors.Is(err, context.Canceled) {
				return err
			}
			return dir.Close()
		}
		select {
		case err := <-done:
			return errors.Join(err, dir.Close())
		case <-poll.C:
		}
	}
}

func age(path string) error {
	dir, err := state.Open(path)
	if err != nil {
		return err
	}
	s, err := gateway.ReadStatus(path)
	if err == nil {
		s.WrittenAt = s.WrittenAt.Add(-2 * gateway.StatusStale)
		err = dir.Save("status", s)
	}
	return errors.Join(err, dir.Close())
}
