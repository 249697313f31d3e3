package main

import (
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	_ "time/tzdata" // scripts show times in Berlin

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"heimdraht": main})
}

var update = flag.Bool("update", false, "write the outputs as they are into the scripts")

// TestScripts runs the program as people do, against a control plane whose
// answers are written down in fake_test.go. Beside testscript's own commands
// there are
//
//	requests FILE   writes what the control plane was asked since the last time
//	signin          signs in, so that a script begins with what it is about
//	refused ARG...  runs the program, which must end with status 1
//	misused ARG...  runs the program, which must end with status 2
//	halt            stops the control plane
//	modes PATH...   fails unless only the user can read these
func TestScripts(t *testing.T) {
	type key struct{}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       *update,
		Setup: func(env *testscript.Env) error {
			f, stop := startFake(t)
			stopped := false
			halt := func() {
				if !stopped {
					stop()
				}
				stopped = true
			}
			env.Defer(halt)
			env.Values[key{}] = f
			env.Values["halt"] = halt
			server, pin, _ := strings.Cut(f.address, "#")
			env.Setenv("ADDRESS", f.address)
			env.Setenv("SERVER", server)
			env.Setenv("PIN", pin)
			env.Setenv("PASSWORD", goodPassword)
			env.Setenv("STAFFTOKEN", goodToken)
			env.Setenv("XDG_CONFIG_HOME", filepath.Join(env.WorkDir, "config"))
			env.Setenv("LANG", "en_GB.UTF-8")
			env.Setenv("TZ", "Europe/Berlin")
			// With the race detector each process would wait a second at its end.
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			return os.WriteFile(filepath.Join(env.WorkDir, "password"), []byte(goodPassword+"\n"), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"requests": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(ts.Value(key{}).(*fake).takeRequests()), 0o600))
			},
			"signin": func(ts *testscript.TestScript, _ bool, _ []string) {
				f := ts.Value(key{}).(*fake)
				ts.Check(ts.Exec("heimdraht", "login", f.address, "--login", "erika", "--password-file", "password"))
				f.takeRequests()
			},
			"refused": func(ts *testscript.TestScript, _ bool, args []string) { exits(ts, exitFailed, args) },
			"misused": func(ts *testscript.TestScript, _ bool, args []string) { exits(ts, exitUsage, args) },
			"halt":    func(ts *testscript.TestScript, _ bool, _ []string) { ts.Value("halt").(func())() },
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

func exits(ts *testscript.TestScript, status int, args []string) {
	err := ts.Exec("heimdraht", args...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != status {
		ts.Fatalf("ended with %v, want exit status %d", err, status)
	}
}
