package config

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestWrittenDefaultsLoadBack(t *testing.T) {
	dir := t.TempDir()
	t.Run("control plane", func(t *testing.T) {
		file := filepath.Join(dir, "heimdrahtd.yaml")
		if err := WriteDefault(file, DefaultControlPlane()); err != nil {
			t.Fatal(err)
		}
		got, err := LoadControlPlane(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(DefaultControlPlane(), got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("gateway", func(t *testing.T) {
		file := filepath.Join(dir, "gateway.yaml")
		want := DefaultGateway()
		want.Servers = []string{"vpn.stadt.example:8443"}
		if err := WriteGateway(file, want); err != nil {
			t.Fatal(err)
		}
		got, err := LoadGateway(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("agent", func(t *testing.T) {
		file := filepath.Join(dir, "agent.yaml")
		if err := WriteAgent(file, DefaultAgent()); err != nil {
			t.Fatal(err)
		}
		got, err := LoadAgent(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(DefaultAgent(), got); diff != "" {
			t.Error(diff)
		}
	})
}

// TestWhatIsWrittenLoadsEqual says of any values: they are written so that
// they load back, or they are refused before a file is made.
func TestWhatIsWrittenLoadsEqual(t *testing.T) {
	dir := t.TempDir()
	// Mostly sensible, sometimes anything.
	mix := func(sensible ...string) *rapid.Generator[string] {
		return rapid.OneOf(rapid.SampledFrom(sensible), rapid.SampledFrom(sensible), rapid.SampledFrom(sensible), rapid.String())
	}
	servers := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a.example:1", "[2001:db8::1]:8443", "10.0.0.1:99"}), 1, 3, rapid.ID[string])
	paths := mix("/a b/ä", `/back\slash`, "/quote\"'", "/hash #x", "/colon: y")
	rapid.Check(t, func(t *rapid.T) {
		c := ControlPlane{
			Listen: mix(":1", "[::1]:65535").Draw(t, "listen"), MetricsListen: mix("127.0.0.1:0").Draw(t, "metrics"),
			StateDir: paths.Draw(t, "state"), Database: paths.Draw(t, "database"), MasterKeyFile: paths.Draw(t, "key"),
			LogLevel: mix("debug", "error").Draw(t, "level"), Profiling: rapid.Bool().Draw(t, "profiling"),
			Audit: Audit{SecurityDays: rapid.Int64Range(1, 3660).Draw(t, "days"), ChangeDays: 1096},
		}
		if rapid.Bool().Draw(t, "collector") {
			c.Audit.Collector = AuditCollector{Address: mix("logs.stadt.example:6514").Draw(t, "collector address"), CAFile: paths.Draw(t, "collector CA")}
			if rapid.Bool().Draw(t, "client certificate") {
				c.Audit.Collector.CertificateFile, c.Audit.Collector.KeyFile = paths.Draw(t, "client certificate"), paths.Draw(t, "client key")
			}
		}
		if rapid.Bool().Draw(t, "webhook") {
			c.Webhook = Webhook{mix("https://warn.stadt.example/a b?k=1", "https://[::1]:8/").Draw(t, "url"), paths.Draw(t, "secret"), mix("", "/ca").Draw(t, "webhook CA")}
		}
		if rapid.Bool().Draw(t, "tls") {
			c.TLS = TLS{paths.Draw(t, "cert"), paths.Draw(t, "key file")}
		}
		roundTrip(t, dir, c, WriteDefault, LoadControlPlane)
		roundTrip(t, dir, Gateway{
			Servers: servers.Draw(t, "servers"), CASHA256: mix("", strings.Repeat("0f", 32)).Draw(t, "pin"), StateDir: paths.Draw(t, "state"),
			Interface: mix("hd0").Draw(t, "interface"), ListenPort: rapid.Uint16().Draw(t, "port"), Mode: ModeKernel,
		}, WriteGateway, LoadGateway)
		roundTrip(t, dir, Agent{
			Servers: servers.Draw(t, "servers"), Tenant: mix("", "stadt").Draw(t, "tenant"), Start: StartManual, Shared: rapid.Bool().Draw(t, "shared"), Interface: "hd1",
			Socket: mix("", "/run/x", `\\.\pipe\heimdraht`).Draw(t, "socket"), User: mix("", "erika", `STADT\erika`).Draw(t, "user"),
			UserspaceProxy: mix("", "[::1]:0").Draw(t, "proxy"),
		}, WriteAgent, LoadAgent)
	})
}

func roundTrip[T any](t *rapid.T, dir string, want T, write func(string, T) error, load func(string) (T, error)) {
	file := filepath.Join(dir, "file.yaml")
	err := write(file, want)
	if err != nil {
		if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("left a file behind: %v", err)
		}
		return
	}
	got, err := load(file)
	if err := errors.Join(err, os.Remove(file)); err != nil {
		t.Fatal(err)
	}
	// Loading brings names and paths into their one form.
	same := cmp.Comparer(func(a, b string) bool {
		return path.Clean(strings.ToLower(a)) == path.Clean(strings.ToLower(b))
	})
	if diff := cmp.Diff(want, got, same); diff != "" {
		t.Fatal(diff)
	}
}

func TestWriteNeverOverwrites(t *testing.T) {
	file := filepath.Join(t.TempDir(), "heimdrahtd.yaml")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := WriteDefault(file, DefaultControlPlane()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v, want %v", err, fs.ErrExist)
	}
	if content, _ := os.ReadFile(file); string(content) != "mine" {
		t.Error("the file was overwritten")
	}
}

func TestValidateRefusesWhatWriteWould(t *testing.T) {
	c := DefaultControlPlane()
	c.Names = []string{"my_host", "10.0.0.5"}
	if err := c.Validate(); err != nil {
		t.Errorf("refused: %v", err)
	}
	c.Names = []string{"rat haus"}
	var problems Problems
	if err := c.Validate(); !errors.As(err, &problems) || !strings.Contains(err.Error(), `names: "rat haus" is neither a host name nor an IP address`) {
		t.Errorf("got %v", err)
	}
	if err := WriteDefault(filepath.Join(t.TempDir(), "f.yaml"), c); !errors.As(err, &problems) {
		t.Errorf("got %v", err)
	}
}
