package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/net/proxy"

	"github.com/heimdraht/heimdraht/agent/endpoint/endpointtest"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"heimdraht-agent": main})
}

var update = flag.Bool("update", false, "write the outputs as they are into the scripts")

type planeKey struct{}

// TestScripts runs the program as people do, against a control plane and a gateway in this process. Beside
// testscript's own commands there are
//
//	exits CODE PROGRAM ARG...   runs a program that must end with this status
//	await TEXT                  waits until the status contains a text
//	answers                     waits until the daemon answers
//	fetch                       fetches the page behind the gateway through the daemon's proxy
//	approve [--but-wait]        lets laptops in that wait with a code; the helpdesk has yet to approve them
//	coded                       waits until a laptop with a code has asked
//	revoke CODE                 makes the control plane revoke the device
//	explains LINK CODE          makes it say why a connection does not work
//	wantscode                   makes the control plane want a code for enrolling and signing in again
//	occupied NAME               takes a free port and sets the variable to its address
//	envfile FILE                fills the $NAMES in a file
//	metered                     makes the control plane want to know of two products, and sessions report when asked to
//	reported                    waits until what is shown as reported is what the control plane was told last
//	nosecrets FILE...           fails if a file contains the password
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       *update,
		Setup:               setUp(t),
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":     exits,
			"await":     await,
			"answers":   func(ts *testscript.TestScript, _ bool, _ []string) { answers(ts) },
			"fetch":     fetch,
			"occupied":  occupied,
			"nosecrets": noSecrets,
			"envfile": func(ts *testscript.TestScript, _ bool, args []string) {
				filled := os.Expand(ts.ReadFile(args[0]), ts.Getenv)
				ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(filled), 0o600))
			},
			"approve": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Value(planeKey{}).(*endpointtest.Plane).Script(func(x *endpointtest.Script) {
					x.Approved, x.AwaitsApproval = true, slices.Contains(args, "--but-wait")
				})
			},
			"coded": func(ts *testscript.TestScript, _ bool, _ []string) {
				plane := ts.Value(planeKey{}).(*endpointtest.Plane)
				patiently(ts, "a code", func() bool { return plane.Seen().Asked > 0 })
			},
			"wantscode": func(ts *testscript.TestScript, _ bool, _ []string) {
				ts.Value(planeKey{}).(*endpointtest.Plane).Script(func(x *endpointtest.Script) { x.Code = endpointtest.Code })
			},
			"rules": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Value(planeKey{}).(*endpointtest.Plane).Script(func(s *endpointtest.Script) {
					s.HouseRules = &heimdrahtv1.HouseRules{Version: args[0], Text: "Lock the screen.\nAlways.\x1b[2J", Link: "https://intranet.example/rules"}
				})
			},
			"explains": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Value(planeKey{}).(*endpointtest.Plane).Script(func(s *endpointtest.Script) {
					s.Why = &heimdrahtv1.ExplainOwnResponse{
						Cause: &heimdrahtv1.Cause{Code: args[1], Sentence: "It is so.", NextStep: "Do something.", Who: "helpdesk"},
						Links: []*heimdrahtv1.Link{
							{Link: "directory", State: heimdrahtv1.LinkState_LINK_STATE_OK, Title: "directory", Figure: "stadt-ad"},
							{Link: args[0], State: heimdrahtv1.LinkState_LINK_STATE_NOT_OK, Title: args[0], Figure: "is not in order", Code: args[1]},
						},
					}
				})
			},
			"metered": func(ts *testscript.TestScript, _ bool, _ []string) {
				ts.Value(planeKey{}).(*endpointtest.Plane).Script(func(s *endpointtest.Script) { s.RenewEvery, s.Metering = 10*time.Minute, twoProducts() })
			},
			"reported": reported,
			"revoke": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Value(planeKey{}).(*endpointtest.Plane).Revoke(args[0])
			},
		},
	})
}

func setUp(t *testing.T) func(*testscript.Env) error {
	return func(env *testscript.Env) error {
		plane := endpointtest.New(t)
		env.Values[planeKey{}] = plane
		env.Setenv("ADDRESS", plane.Address())
		env.Setenv("SERVER", plane.Server.String())
		env.Setenv("PIN", plane.Pin().String())
		env.Setenv("WRONGADDRESS", plane.Server.String()+"#"+strings.Repeat("ab", 32))
		env.Setenv("BADADDRESS", plane.Server.String()+"#abc")
		env.Setenv("LANG", "en_GB.UTF-8")
		env.Setenv("GORACE", "atexit_sleep_ms=10") // the race detector's second at every exit adds up
		env.Setenv("TZ", "Europe/Berlin")
		// Socket names are short: 108 bytes at most. A folder of this name holds the sockets of one script.
		dir, err := os.MkdirTemp("", "hd")
		if err != nil {
			return err
		}
		env.Defer(func() { _ = os.RemoveAll(dir) })
		env.Setenv("SOCKET", filepath.Join(dir, "agent.sock"))
		return errors.Join(os.WriteFile(filepath.Join(env.WorkDir, "invitation"), []byte(endpointtest.Invitation+"\n"), 0o600),
			os.WriteFile(filepath.Join(env.WorkDir, "password"), []byte(endpointtest.Password+"\n"), 0o600))
	}
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("ended with status %d, not %d", got, want)
	}
}

// patiently repeats until ready, or fails after some seconds.
func patiently(ts *testscript.TestScript, what string, ready func() bool) {
	patience := time.After(20 * time.Second)
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for !ready() {
		select {
		case <-look.C:
		case <-patience:
			ts.Fatalf("waited in vain for %s", what)
		}
	}
}

func answers(ts *testscript.TestScript) {
	patiently(ts, "the daemon", func() bool {
		conn, err := net.Dial("unix", ts.Getenv("SOCKET"))
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

func await(ts *testscript.TestScript, _ bool, args []string) {
	patiently(ts, args[0], func() bool {
		ts.Check(ts.Exec("heimdraht-agent", "status", "--socket", ts.Getenv("SOCKET"), "-o", "json"))
		return strings.Contains(ts.ReadFile("stdout"), args[0])
	})
}

func fetch(ts *testscript.TestScript, neg bool, _ []string) {
	ts.Check(ts.Exec("heimdraht-agent", "status", "--socket", ts.Getenv("SOCKET")))
	found := regexp.MustCompile(`SOCKS5 (\S+)`).FindStringSubmatch(ts.ReadFile("stdout"))
	if found == nil {
		ts.Fatalf("the status names no proxy")
	}
	dialer, err := proxy.SOCKS5("tcp", found[1], nil, proxy.Direct)
	ts.Check(err)
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return dialer.(proxy.ContextDialer).DialContext(ctx, network, address)
		},
	}}
	response, err := client.Get("http://" + endpointtest.Inside + "/")
	if neg {
		if err == nil {
			_ = response.Body.Close()
			ts.Fatalf("the page could be fetched")
		}
		return
	}
	ts.Check(err)
	body, err := io.ReadAll(response.Body)
	ts.Check(errors.Join(err, response.Body.Close()))
	if string(body) != endpointtest.Page {
		ts.Fatalf("fetched %q", body)
	}
}

func occupied(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = l.Close() })
	ts.Setenv(args[0], l.Addr().String())
}

func noSecrets(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		if text := ts.ReadFile(name); strings.Contains(text, endpointtest.Password) || strings.Contains(text, endpointtest.Invitation) {
			ts.Fatalf("%s contains the password", name)
		}
	}
}
