package store

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// PostgreSQL's own programs, pg_dump and pg_restore.

// ToolError says that a program of PostgreSQL's is missing, or too old.
type ToolError struct {
	Name        string // pg_dump or pg_restore
	Path        string // empty: it is not installed
	Has, Needs  int    // versions; Needs is zero if it is not known
	needsOfWhat string
}

func (e *ToolError) Error() string {
	switch {
	case e.Path == "":
		return e.Name + " is not installed"
	case e.Needs == 0:
		return fmt.Sprintf("%s has version %d, which is older than that of %s", e.Path, e.Has, e.needsOfWhat)
	default:
		return fmt.Sprintf("%s has version %d, which is older than that of %s, %d", e.Path, e.Has, e.needsOfWhat, e.Needs)
	}
}

// toolPlaces is where distributions put the programs of each version: Debian and
// Ubuntu, and PostgreSQL's packages for Red Hat and SUSE. PATH counts too.
func toolPlaces() []string {
	return []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/lib/postgresql*/bin"}
}

// tool is a program of PostgreSQL's.
type tool struct {
	name, path string
	version    int // 15 of 15.4
}

// findTool finds the newest one: it can deal with servers and files that are
// older.
func findTool(ctx context.Context, name string, places []string) (tool, error) {
	var paths []string
	for _, place := range places {
		found, err := filepath.Glob(filepath.Join(place, name))
		if err != nil {
			return tool{}, err
		}
		paths = append(paths, found...)
	}
	if path, err := exec.LookPath(name); err == nil {
		paths = append(paths, path)
	}
	var newest tool
	var failed error
	for _, path := range paths {
		t, err := toolAt(ctx, name, path)
		if err != nil {
			failed = errors.Join(failed, err)
		} else if t.version > newest.version {
			newest = t
		}
	}
	if newest.path != "" {
		return newest, nil
	}
	return tool{}, errors.Join(&ToolError{Name: name}, failed)
}

// toolTime is how long a program may take to say its version.
const toolTime = 10 * time.Second

func toolAt(ctx context.Context, name, path string) (tool, error) {
	ctx, cancel := context.WithTimeout(ctx, toolTime)
	defer cancel()
	said, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return tool{}, fmt.Errorf("asking %s for its version: %w", path, err)
	}
	// "pg_dump (PostgreSQL) 15.4 (Debian 15.4-1)"
	found := regexp.MustCompile(`\(PostgreSQL\) (\d+)`).FindSubmatch(said)
	if found == nil {
		return tool{}, fmt.Errorf("asking %s for its version: it says %q", path, bytes.TrimSpace(said))
	}
	version, err := strconv.Atoi(string(found[1]))
	return tool{name: name, path: path, version: version}, err
}

// command makes a call of it. What it says is not translated.
func (t tool) command(ctx context.Context, environment []string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, t.path, args...) //nolint:gosec // found where distributions put it
	c.Env = append(append(os.Environ(), "LC_ALL=C", "LANGUAGE="), environment...)
	c.WaitDelay = toolTime
	return c
}

// complaint keeps the last lines that a program wrote, and reads them on the way.
type complaint struct {
	rest  []byte
	lines []string
	each  func(line string) // nil: nobody reads them
}

const complaintLines = 20

func (c *complaint) Write(p []byte) (int, error) {
	c.rest = append(c.rest, p...)
	for {
		line, rest, whole := bytes.Cut(c.rest, []byte("\n"))
		if !whole {
			return len(p), nil
		}
		c.rest = rest
		c.lines = append(c.lines[max(0, len(c.lines)-complaintLines+1):], string(line))
		if c.each != nil {
			c.each(string(line))
		}
	}
}

// said is what went wrong in the program's own words.
func (c *complaint) said() string {
	lines := slices.DeleteFunc(append(c.lines, string(c.rest)), func(line string) bool { return strings.TrimSpace(line) == "" })
	for i, line := range lines {
		if strings.Contains(line, "error:") || strings.Contains(line, "FATAL") {
			return strings.Join(lines[i:], "; ")
		}
	}
	return strings.Join(lines[max(0, len(lines)-1):], "")
}

// toolEnvironment has a program of PostgreSQL's connect as we do: to the same
// server, with the same demands on TLS.
//
// All of it goes through the environment, and nothing on the command line, which
// everybody on the machine can read. The password does too: the environment of a
// process can be read by its own user and by root, and they can read the file
// that it comes from; a PGPASSFILE of our own would be left behind if we were
// killed, and libpq accepts nothing that is no file.
func toolEnvironment(o Options) ([]string, error) {
	dsn := encrypted(o.Database)
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, withoutDSN(err)
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return nil, withoutDSN(err)
	}
	env := []string{"PGUSER=" + config.User, "PGDATABASE=" + config.Database}
	set := func(name, value string) {
		if value != "" {
			env = append(env, name+"="+value)
		}
	}
	q := u.Query()
	hosts, ports := hostsOf(u.Host)
	set("PGHOST", cmp.Or(q.Get("host"), hosts))
	set("PGPORT", cmp.Or(q.Get("port"), ports))
	for _, key := range []string{
		"sslmode", "sslkey", "sslcert", "sslrootcert", "sslnegotiation", "sslsni", "sslcertmode", "passfile", "service", "krbsrvname",
	} {
		set("PG"+strings.ToUpper(key), q.Get(key))
	}
	set("PGSERVICEFILE", q.Get("servicefile"))
	set("PGTARGETSESSIONATTRS", q.Get("target_session_attrs"))
	set("PGCHANNELBINDING", q.Get("channel_binding"))
	set("PGREQUIREAUTH", q.Get("require_auth"))
	set("PGCONNECT_TIMEOUT", strconv.Itoa(int(connectTime.Seconds())))
	set("PGPASSWORD", o.Password)
	set("PGSSLROOTCERT", systemRoots(cmp.Or(q.Get("sslmode"), os.Getenv("PGSSLMODE")), cmp.Or(q.Get("sslrootcert"), os.Getenv("PGSSLROOTCERT"))))
	set("PGOPTIONS", settings(config.RuntimeParams))
	return env, nil
}

// hostsOf splits what stands for the server in a DSN: a.example:5433,b.example.
func hostsOf(list string) (hosts, ports string) {
	if list == "" {
		return "", ""
	}
	var names, numbers []string
	some := false
	for _, one := range strings.Split(list, ",") {
		name, number, err := net.SplitHostPort(one)
		if err != nil { // no port
			name, number = strings.Trim(one, "[]"), ""
		}
		names, numbers = append(names, name), append(numbers, number)
		some = some || number != ""
	}
	if !some {
		return strings.Join(names, ","), ""
	}
	return strings.Join(names, ","), strings.Join(numbers, ",")
}

// settings has the session of a program set what the DSN sets for ours: a role,
// say.
func settings(params map[string]string) string {
	var list []string
	for name, value := range params {
		switch name {
		case "options":
			list = append(list, value)
		case "application_name":
		default:
			list = append(list, "-c "+name+"="+strings.NewReplacer(`\`, `\\`, " ", `\ `).Replace(value))
		}
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// systemRoots gives the certificates by which libpq verifies a server where we
// take the system's: it would look for a file of its own and refuse without it.
// The files are those that crypto/x509 knows too. (From version 16 on libpq knows
// "system".) Empty: it knows by itself.
func systemRoots(mode, file string) string {
	if mode != "verify-full" && mode != "verify-ca" || file != "" && file != "system" {
		return ""
	}
	if home, err := os.UserHomeDir(); err == nil && file == "" {
		if _, err := os.Stat(filepath.Join(home, ".postgresql", "root.crt")); err == nil {
			return ""
		}
	}
	for _, bundle := range []string{
		os.Getenv("SSL_CERT_FILE"), "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem",
	} {
		if _, err := os.Stat(bundle); bundle != "" && err == nil {
			return bundle
		}
	}
	return "system"
}
