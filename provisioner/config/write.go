package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"text/template"
)

// WriteDefault writes heimdrahtd.yaml with a comment for each key, so that it
// loads as c (names in lower case, paths cleaned). It never touches a file that exists (fs.ErrExist). The file is
// readable by everybody: it names secrets' files and holds none.
func WriteDefault(file string, c ControlPlane) error {
	return write(file, controlPlaneTemplate, c, parseControlPlane)
}

// WriteGateway writes gateway.yaml as WriteDefault does.
func WriteGateway(file string, g Gateway) error {
	return write(file, gatewayTemplate, g, parseGatewayFile)
}

// WriteAgent writes agent.yaml as WriteDefault does. deploy/agent.yaml is made so, of the defaults.
func WriteAgent(file string, a Agent) error {
	return write(file, agentTemplate, a, parseAgentFile)
}

// ReplaceAgent writes agent.yaml in the place of the former one, or leaves that as it is.
func ReplaceAgent(file string, a Agent) error {
	if _, err := render(file, agentTemplate, a, parseAgentFile); err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	next := file + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing what an interrupted writing has left: %w", err)
	}
	if err := WriteAgent(next, a); err != nil {
		return err
	}
	if err := os.Rename(next, file); err != nil {
		return errors.Join(fmt.Errorf("putting %s in place: %w", file, err), os.Remove(next))
	}
	return nil
}

// Validate says what WriteDefault would refuse, as Problems, and touches
// nothing: for those who make other things first.
func (c ControlPlane) Validate() error {
	_, err := render("heimdrahtd.yaml", controlPlaneTemplate, c, parseControlPlane)
	return err
}

// render gives the content of a file. What would not load must not lie there
// for the next start to find.
func render[T any](file, text string, values T, parse func(*mapping) T) (string, error) {
	t, err := template.New("").Funcs(template.FuncMap{"quote": strconv.Quote, "list": quotedList}).Parse(text)
	if err != nil {
		return "", err
	}
	var content strings.Builder
	if err := t.Execute(&content, values); err != nil {
		return "", err
	}
	_, err = parseFile(file, []byte(content.String()), parse)
	return content.String(), err
}

func write[T any](file, text string, values T, parse func(*mapping) T) (err error) {
	content, err := render(file, text, values, parse)
	if err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("writing %s: %w", file, err), os.Remove(file))
		}
	}()
	_, err = f.WriteString(content)
	return errors.Join(err, f.Sync(), f.Close())
}

func quotedList(all []string) string {
	var q []string
	for _, s := range all {
		q = append(q, strconv.Quote(s))
	}
	return "[" + strings.Join(q, ", ") + "]"
}

const controlPlaneTemplate = `# The control plane of Heimdraht. Directories, tenants, gateways and licences are
# declared in files of their own: heimdraht apply -f FILE.
# Check this file with: heimdrahtd check

# Where laptops, gateways and people reach it (gRPC, always TLS).
listen: {{quote .Listen}}

# The names and addresses under which they do. They stand in its certificate,
# so a name that is missing here is refused by those who use it.
{{if .Names}}names: {{list .Names}}{{else}}# names: ["vpn.stadt.example"]{{end}}

# A certificate of a public authority; without one the control plane issues its
# own, which laptops and gateways recognise by its fingerprint.
{{if or .TLS.CertFile .TLS.KeyFile}}tls:
  cert_file: {{quote .TLS.CertFile}}
  key_file: {{quote .TLS.KeyFile}}{{else}}# tls:
#   cert_file: "/etc/heimdraht/tls.crt"
#   key_file: "/etc/heimdraht/tls.key"{{end}}

# Metrics and health, without TLS: keep it on this machine.
metrics_listen: {{quote .MetricsListen}}

# Go's profiles of this process (/debug/pprof/) beside them, on a loopback address
# only: they tell what is slow, and anybody on this machine can read them.
profiling: {{.Profiling}}

# What the control plane keeps.
state_dir: {{quote .StateDir}}

# Its database: a file of SQLite, or PostgreSQL, which several control planes
# may share: postgres://heimdraht@db.stadt.example/heimdraht. The password stands in
# a file of its own that only the control plane may read.
database: {{quote .Database}}
{{if .DatabasePasswordFile}}database_password_file: {{quote .DatabasePasswordFile}}{{else}}# database_password_file: "/etc/heimdraht/database.pw"{{end}}

# Unseals the keys in the database. Without this file a backup is worth nothing:
# keep a copy of it, in another place than the backups.
master_key_file: {{quote .MasterKeyFile}}

# What was revoked, suspended and replaced is also written here, at once, so that
# no revoked laptop comes back with an older backup. Best on another disk than
# the database; without this key it lies in state_dir.
{{if .RevocationJournal}}revocation_journal: {{quote .RevocationJournal}}{{else}}# revocation_journal: "/srv/backup/heimdraht/journal"{{end}}

# For how many days it is kept. A backup that is older cannot be restored without
# giving back what was taken since.
revocation_journal_days: {{.RevocationJournalDays}}

# The audit log: after how many days the content of its records is erased (sign-ins,
# looks and refusals; changes of rights and configuration), and where it is sent to as
# syslog over TLS, if anywhere.
audit:
  security_days: {{.Audit.SecurityDays}}
  change_days: {{.Audit.ChangeDays}}
{{- with .Audit.Collector}}{{if or .Address .CAFile .CertificateFile .KeyFile}}
  collector:
    address: {{quote .Address}}
    ca_file: {{quote .CAFile}}
    {{- if or .CertificateFile .KeyFile}}
    certificate_file: {{quote .CertificateFile}}
    key_file: {{quote .KeyFile}}{{end}}{{else}}
  # collector:
  #   address: "logs.stadt.example:6514"
  #   ca_file: "/etc/heimdraht/collector-ca.pem"
  #   certificate_file: "/etc/heimdraht/collector.crt"
  #   key_file: "/etc/heimdraht/collector.key"{{end}}{{end}}

# Where warnings are told to that seats, gateways or addresses run short, if anywhere: the
# secret's file, with mode 0600, holds a line whsec_ and 32 bytes in base64.
{{- with .Webhook}}{{if or .URL .SecretFile .CAFile}}
warnings:
  webhook:
    url: {{quote .URL}}
    secret_file: {{quote .SecretFile}}
    {{- if .CAFile}}
    ca_file: {{quote .CAFile}}{{end}}{{else}}
# warnings:
#   webhook:
#     url: "https://warn.stadt.example/heimdraht"
#     secret_file: "/etc/heimdraht/webhook.secret"
#     ca_file: "/etc/heimdraht/webhook-ca.pem"{{end}}{{end}}

# debug, info, warn or error
log_level: {{quote .LogLevel}}
`

const gatewayTemplate = `# A VPN gateway of Heimdraht.

# The control plane, in order of preference.
server: {{list .Servers}}

# SHA-256 of the control plane's CA certificate. Without it the server's
# certificate must be publicly trusted.
{{if .CASHA256}}ca_sha256: {{quote .CASHA256}}{{else}}# ca_sha256: "64 hexadecimal digits"{{end}}

# What the gateway keeps: its key, its certificate, its peers.
state_dir: {{quote .StateDir}}

# The WireGuard interface, and its UDP port (0: the port that the gateway is
# declared with).
interface: {{quote .Interface}}
listen_port: {{.ListenPort}}

# auto: the kernel's WireGuard if it has one, else the embedded; kernel; userspace
mode: {{quote (print .Mode)}}

# debug, info, warn or error
log_level: {{quote .LogLevel}}
`

const agentTemplate = `# The laptop agent of Heimdraht, usually laid down by device management.

# The control plane, in order of preference.
{{if .Servers}}server: {{list .Servers}}{{else}}# server: ["vpn.stadt.example:8443"]{{end}}

# SHA-256 of the control plane's CA certificate. Without it the server's
# certificate must be publicly trusted.
{{if .CASHA256}}ca_sha256: {{quote .CASHA256}}{{else}}# ca_sha256: "64 hexadecimal digits"{{end}}

# Without a tenant it follows from the mail address that is typed.
{{if .Tenant}}tenant: {{quote .Tenant}}{{else}}# tenant: "stadt"{{end}}

# boot, login or manual: when the laptop connects by itself
start: {{quote (print .Start)}}

# Whether several people share this laptop: each account of the operating system has an enrolment of its own then,
# one is connected at a time, and signing out disconnects. Goes with start login or manual, and without user.
shared: {{.Shared}}

# Without these the usual places of the operating system.
{{if .StateDir}}state_dir: {{quote .StateDir}}{{else}}# state_dir: "/var/lib/heimdraht-agent"{{end}}
{{if .Socket}}socket: {{quote .Socket}}{{else}}# socket: "/run/heimdraht/agent.sock"{{end}}

# The WireGuard interface. With Linux there is a second one (here hd1) while the laptop goes to another gateway,
# and the tunnel stays on that until the next time.
interface: {{quote .Interface}}

# Who may use the agent besides root; without it, who enrolled.
{{if .User}}user: {{quote .User}}{{else}}# user: "erika"{{end}}

# A SOCKS5 proxy to offer instead of an interface; needs no rights.
{{if .UserspaceProxy}}userspace_proxy: {{quote .UserspaceProxy}}{{else}}# userspace_proxy: "127.0.0.1:1080"{{end}}

# debug, info, warn or error
log_level: {{quote .LogLevel}}
`
