package config

import (
	"net/url"
	"path"
	"strings"
)

// ControlPlane is the content of heimdrahtd.yaml. After loading every field
// has a value, except where it says what empty means.
type ControlPlane struct {
	Listen        string   // of gRPC: host:port, the host may be empty
	Names         []string // DNS names and IP addresses for the server's own certificate; empty: the host's name
	TLS           TLS
	MetricsListen string // of metrics and health, without TLS: host:port
	Profiling     bool   // Go's profiles beside the metrics, which then listen on a loopback address only
	StateDir      string
	Database      string // path of the SQLite file, or DSN of PostgreSQL without a password; empty in the file: heimdraht.db in StateDir
	// DatabasePasswordFile holds the password for PostgreSQL. Empty: none, or
	// where libpq's own files have it.
	DatabasePasswordFile string
	MasterKeyFile        string // unseals the control-plane keys in the database
	LogLevel             string // debug, info, warn or error
	// Directory of the journal of what was taken, which a restore reads; empty:
	// journal in StateDir.
	RevocationJournal string
	// Days for which the journal is kept: older backups cannot be held against it.
	RevocationJournalDays int64
	Audit                 Audit
	Webhook               Webhook
}

// Webhook is where warnings of capacity are told to.
type Webhook struct {
	URL        string // https; empty: nowhere
	SecretFile string
	CAFile     string // PEM, of who may issue its certificate; empty: the system's authorities
}

// Audit is about the audit log.
type Audit struct {
	// Days after which the content of records is erased: of sign-ins, looks and
	// refusals, and of changes of rights and configuration. Zero: never; a file
	// cannot say so.
	SecurityDays int64
	ChangeDays   int64
	Collector    AuditCollector
}

// AuditCollector is where the audit log is sent to, as syslog over TLS.
type AuditCollector struct {
	Address string // host:port; empty: nowhere
	CAFile  string // PEM, of who may issue its certificate
	// CertificateFile and KeyFile, PEM, are shown to it. Both empty: none is.
	CertificateFile string
	KeyFile         string
}

// TLS names a certificate of a public authority to serve with. Both empty: the
// control plane's own authority issues one.
type TLS struct {
	CertFile string // PEM, with intermediates
	KeyFile  string // PEM
}

// Defaults of the control plane's files.
const (
	ControlPlaneFile = "/etc/heimdraht/heimdrahtd.yaml"
	databaseName     = "heimdraht.db"
)

// DefaultControlPlane is what holds where heimdrahtd.yaml is silent.
func DefaultControlPlane() ControlPlane {
	return ControlPlane{
		Listen:        ":8443",
		MetricsListen: "127.0.0.1:9443",
		StateDir:      "/var/lib/heimdraht",
		Database:      "/var/lib/heimdraht/" + databaseName,
		MasterKeyFile: "/etc/heimdraht/master.key",
		LogLevel:      "info",

		RevocationJournalDays: 400,

		Audit: Audit{SecurityDays: 90, ChangeDays: 1096},
	}
}

// LoadControlPlane reads heimdrahtd.yaml. A file that is wrong gives Problems;
// one that cannot be read an error that wraps the system's.
func LoadControlPlane(file string) (ControlPlane, error) {
	return load(file, parseControlPlane)
}

func parseControlPlane(m *mapping) ControlPlane {
	c := DefaultControlPlane()
	m.text("listen", &c.Listen, listen)
	m.list("names", "host names or IP addresses", &c.Names, host)
	if v, ok := m.ask("tls"); ok {
		if t := v.mapping("tls").under("tls."); t != nil {
			t.needText("cert_file", &c.TLS.CertFile, absolute)
			t.needText("key_file", &c.TLS.KeyFile, absolute)
			t.done()
		}
	}
	m.text("metrics_listen", &c.MetricsListen, listen)
	if v, ok := m.ask("profiling"); ok {
		if c.Profiling = v.boolean(); c.Profiling {
			loopback(v, c.MetricsListen) // profiles show more than numbers
		}
	}
	m.text("state_dir", &c.StateDir, absolute)
	c.Database = path.Join(c.StateDir, databaseName)
	m.text("database", &c.Database, database)
	m.text("database_password_file", &c.DatabasePasswordFile, absolute)
	m.text("master_key_file", &c.MasterKeyFile, absolute)
	m.text("revocation_journal", &c.RevocationJournal, absolute)
	m.whole("revocation_journal_days", &c.RevocationJournalDays, 1, 3660)
	if v, ok := m.ask("audit"); ok {
		if a := v.mapping("audit").under("audit."); a != nil {
			parseAudit(a, &c.Audit)
		}
	}
	if v, ok := m.ask("warnings"); ok {
		if w := v.mapping("warnings").under("warnings."); w != nil {
			parseWarnings(w, &c.Webhook)
		}
	}
	m.logLevel(&c.LogLevel)
	m.done()
	return c
}

// syslogPort is that of syslog over TLS (RFC 5425).
const syslogPort = 6514

func parseAudit(m *mapping, a *Audit) {
	m.whole("security_days", &a.SecurityDays, 1, 3660)
	m.whole("change_days", &a.ChangeDays, 1, 3660)
	if v, ok := m.ask("collector"); ok {
		if c := v.mapping("audit.collector").under("audit.collector."); c != nil {
			c.needText("address", &a.Collector.Address, hostPort(syslogPort))
			c.needText("ca_file", &a.Collector.CAFile, absolute)
			c.text("certificate_file", &a.Collector.CertificateFile, absolute)
			c.text("key_file", &a.Collector.KeyFile, absolute)
			if (a.Collector.CertificateFile == "") != (a.Collector.KeyFile == "") {
				v.failf("certificate_file and key_file belong together")
			}
			c.done()
		}
	}
	m.done()
}

func parseWarnings(m *mapping, w *Webhook) {
	if v, ok := m.need("webhook"); ok {
		if c := v.mapping("warnings.webhook").under("warnings.webhook."); c != nil {
			c.needText("url", &w.URL, overHTTPS)
			c.needText("secret_file", &w.SecretFile, absolute)
			c.text("ca_file", &w.CAFile, absolute)
			c.done()
		}
	}
	m.done()
}

// OnPostgres reports whether the database is on a PostgreSQL server, which
// several replicas may share.
func (c ControlPlane) OnPostgres() bool { return onPostgres(c.Database) }

func onPostgres(database string) bool {
	return strings.HasPrefix(database, "postgres://") || strings.HasPrefix(database, "postgresql://")
}

// database is a path or a DSN. A password in a DSN would stand in a file that
// everybody may read, and in error messages.
func database(v value, s string) (string, bool) {
	if !onPostgres(s) {
		return absolute(v, s)
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || strings.Trim(u.Path, "/") == "":
		v.failf("is not a DSN such as postgres://heimdraht@db.stadt.example/heimdraht")
		return "", false
	case passwordIn(u):
		v.failf("holds a password: put it into a file, and name that in database_password_file")
		return "", false
	}
	return s, true
}

func passwordIn(u *url.URL) bool {
	_, inUser := u.User.Password()
	return inUser || u.Query().Has("password")
}

// load reads one file of one mapping.
func load[T any](file string, parse func(*mapping) T) (T, error) {
	var zero T
	content, err := readFile(file)
	if err != nil {
		return zero, err
	}
	return parseFile(file, content, parse)
}

func parseFile[T any](file string, content []byte, parse func(*mapping) T) (T, error) {
	var zero T
	var problems Problems
	s := source{name: file, problems: &problems}
	var result T
	if m := s.parse(content); m != nil {
		result = parse(m)
	}
	if len(problems) > 0 {
		sortProblems(problems, []string{file})
		return zero, problems
	}
	return result, nil
}
