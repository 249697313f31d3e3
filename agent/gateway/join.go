package gateway

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/state"
	"github.com/heimdraht/heimdraht/agent/wireguard"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// JoinOptions say how to join.
type JoinOptions struct {
	// Address is the control plane. Without a pin, its certificate must be
	// publicly trusted.
	Address control.Address
	// Token is the one-time token. It also names the gateway.
	Token string
	// State keeps the keys. It is the caller's.
	State *state.Dir
	// Again allows to join anew, with new keys.
	Again   bool
	Version string
	// Language in which refusals should come. Empty: the server's choice.
	Language string
	// Dial nil: a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Joined is what came of joining.
type Joined struct {
	// Gateway is the name that the token gave.
	Gateway string `json:"gateway"`
	// Server is HOST:PORT.
	Server string `json:"server"`
}

// savedKey is the file of the WireGuard key.
type savedKey struct {
	PrivateKey string `json:"private_key"`
}

// Join trades a one-time token for a certificate. Both private keys are made
// here and never leave the machine. The error is a control.Problem if somebody
// can act upon it.
func Join(ctx context.Context, o JoinOptions) (Joined, error) {
	o.Token = strings.TrimSpace(o.Token)
	if o.Token == "" {
		return Joined{}, tokenMissing()
	}
	if before, err := loadJoined(o.State); err == nil && !o.Again {
		return Joined{}, alreadyJoined(before.Server)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) && !o.Again {
		return Joined{}, control.StateUnusable(o.State.Path(), err)
	}
	key, err := wireguard.GeneratePrivateKey()
	if err != nil {
		return Joined{}, err
	}
	request, err := control.NewKeyRequest()
	if err != nil {
		return Joined{}, err
	}
	trust := control.Trust{Pin: o.Address.Pin}
	conn, err := control.Connect(ctx, control.Options{
		Servers: []control.Server{o.Address.Server}, Trust: trust, Agent: "heimdraht-gateway/" + o.Version,
		Language: o.Language, Dial: o.Dial,
	})
	if err != nil {
		return Joined{}, err
	}
	public := key.PublicKey()
	answer, err := heimdrahtv1.NewGatewayServiceClient(conn).Join(ctx, &heimdrahtv1.JoinRequest{
		Token: o.Token, CertificateRequest: request.CSR, WireguardPublicKey: public[:], AgentVersion: o.Version,
	})
	if err = errors.Join(control.FromStatus(err), conn.Close()); err != nil {
		return Joined{}, err
	}
	if !isName(answer.GetGateway()) {
		return Joined{}, control.ConfigRefused(errors.New("the gateway's name is no name"))
	}
	joined := Joined{Gateway: answer.GetGateway(), Server: o.Address.Server.String()}
	return joined, o.keep(key, request, answer.GetCertificate(), trust, joined)
}

// keep writes everything down, the word that it is complete last. Peers of
// an earlier time belong to other keys.
func (o JoinOptions) keep(key wireguard.PrivateKey, request *control.KeyRequest, issued *heimdrahtv1.Certificate, trust control.Trust, joined Joined) error {
	steps := []func() error{
		func() error { return o.State.Remove(joinedName) },
		func() error { return o.State.SetAside(journalName) },
		func() error { return o.State.Save(keyName, savedKey{PrivateKey: key.Base64()}) },
		func() error { _, err := control.SaveIdentity(o.State, request, issued, trust); return err },
		func() error { return o.State.Save(joinedName, joined) },
	}
	for _, step := range steps {
		err := step()
		if _, ok := control.AsProblem(err); ok {
			return err
		}
		if err != nil {
			return control.StateUnusable(o.State.Path(), err)
		}
	}
	return nil
}

func loadKey(dir *state.Dir) (wireguard.PrivateKey, error) {
	var saved savedKey
	if err := dir.Load(keyName, &saved); err != nil {
		return wireguard.PrivateKey{}, fmt.Errorf("reading the WireGuard key: %w", err)
	}
	key, err := wireguard.ParsePrivateKey(saved.PrivateKey)
	if err != nil {
		return wireguard.PrivateKey{}, fmt.Errorf("reading the WireGuard key: %w", err)
	}
	return key, nil
}

func loadJoined(dir *state.Dir) (Joined, error) {
	var joined Joined
	if err := dir.Load(joinedName, &joined); err != nil {
		return Joined{}, fmt.Errorf("reading whom the gateway joined: %w", err)
	}
	return joined, nil
}
