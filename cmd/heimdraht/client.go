package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/state"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// credentials are what a login leaves on disk, for this user alone. After a
// logout the server stays, so that the next login needs no address.
type credentials struct {
	Servers   []string  `json:"servers"`   // host:port
	CASHA256  string    `json:"ca_sha256"` // empty: publicly trusted
	Token     string    `json:"token"`     // empty: not signed in
	ExpiresAt time.Time `json:"expires_at"`
}

const credentialsName = "credentials"

// directory is where credentials lie: $XDG_CONFIG_HOME/heimdraht, or what the
// operating system has in its place.
func (a *app) directory() (string, error) {
	if dir := a.world.env("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "heimdraht"), nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("looking for the place of the credentials: %w", err)
	}
	return filepath.Join(dir, "heimdraht"), nil
}

// credentials reads what the last login left. Not signed in is a Problem; the
// server may be known all the same.
func (a *app) credentials() (credentials, error) {
	var c credentials
	dir, err := a.directory()
	if err != nil {
		return c, err
	}
	err = state.Read(dir, credentialsName, &c)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return credentials{}, control.StateUnusable(dir, err)
	}
	if c.Token != "" {
		return c, nil
	}
	command := "heimdraht login"
	if len(c.Servers) == 0 {
		command += " SERVER#FINGERPRINT"
	}
	return c, problem(codeNotSignedIn,
		words{"Sie sind nicht angemeldet.", "You are not signed in."},
		words{"Melden Sie sich an: " + command, "Sign in: " + command})
}

// keep writes credentials.
func (a *app) keep(c credentials) (err error) {
	dir, err := a.directory()
	if err != nil {
		return err
	}
	d, err := state.Open(dir)
	if err != nil {
		return control.StateUnusable(dir, err)
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if err := d.Save(credentialsName, c); err != nil {
		return control.StateUnusable(dir, err)
	}
	return nil
}

// client is a connection to a control plane that has proved itself.
type client struct {
	conn *control.Conn
	auth heimdrahtv1.AuthServiceClient
	desk heimdrahtv1.HelpdeskServiceClient
	plan heimdrahtv1.CapacityServiceClient
	adm  heimdrahtv1.AdminServiceClient
	dir  heimdrahtv1.DirectoryServiceClient
	aud  heimdrahtv1.AuditServiceClient
	appr heimdrahtv1.ApprovalServiceClient
	inv  heimdrahtv1.InvitationServiceClient

	static   heimdrahtv1.StaticServiceClient
	external heimdrahtv1.ExternalServiceClient
	privacy  heimdrahtv1.PrivacyServiceClient
	reports  heimdrahtv1.ReportServiceClient
	licence  heimdrahtv1.LicenceServiceClient
}

func (a *app) connect(ctx context.Context, c credentials) (*client, error) {
	servers, err := control.ParseServers(c.Servers)
	if err != nil {
		return nil, err
	}
	trust := control.Trust{Public: true}
	if c.CASHA256 != "" {
		pin, err := control.ParseFingerprint(c.CASHA256)
		if err != nil {
			return nil, err
		}
		trust = control.Trust{Pin: pin}
	}
	conn, err := control.Connect(ctx, control.Options{
		Servers:  servers,
		Trust:    trust,
		First:    true,
		Agent:    "heimdraht/" + version(),
		Language: string(a.language),
		Logger:   a.log,
	})
	if err != nil {
		return nil, err
	}
	return &client{
		conn: conn,
		auth: heimdrahtv1.NewAuthServiceClient(conn),
		desk: heimdrahtv1.NewHelpdeskServiceClient(conn), privacy: heimdrahtv1.NewPrivacyServiceClient(conn), reports: heimdrahtv1.NewReportServiceClient(conn),
		plan: heimdrahtv1.NewCapacityServiceClient(conn),
		adm:  heimdrahtv1.NewAdminServiceClient(conn),
		dir:  heimdrahtv1.NewDirectoryServiceClient(conn),
		aud:  heimdrahtv1.NewAuditServiceClient(conn),
		appr: heimdrahtv1.NewApprovalServiceClient(conn),
		inv:  heimdrahtv1.NewInvitationServiceClient(conn),

		static:   heimdrahtv1.NewStaticServiceClient(conn),
		external: heimdrahtv1.NewExternalServiceClient(conn),
		licence:  heimdrahtv1.NewLicenceServiceClient(conn),
	}, nil
}

// withClient calls as the person who is signed in. Errors of calls become
// Problems where somebody can act upon them.
func (a *app) withClient(ctx context.Context, call func(context.Context, *client) error) error {
	c, err := a.credentials()
	if err != nil {
		return err
	}
	k, err := a.connect(ctx, c)
	if err != nil {
		return err
	}
	err = control.FromStatus(call(bearing(ctx, c.Token), k))
	return errors.Join(endOf(ctx, err), k.conn.Close())
}

// bearing puts the token into the calls' metadata.
func bearing(ctx context.Context, token string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
}

// endOf prefers the reason why our own waiting ended to how gRPC tells it.
func endOf(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
