package endpoint

import (
	"errors"
	"io/fs"
	"net/netip"
	"syscall"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/hostnet"
	"github.com/heimdraht/heimdraht/agent/wireguard"
)

// Catalogue lists the problems that only a laptop has, for the page that lists them. What a name in braces stands for
// differs from case to case.
func Catalogue() []*control.Problem {
	fill := errors.New("{cause}")
	conflict := networkConflict(&hostnet.ConflictError{Network: netip.MustParsePrefix("10.1.0.0/16")})
	return []*control.Problem{
		noNetwork(nil), captivePortal("{page}", false, nil), serverMissing(), addressInvalid(nil), loginMissing(), passwordMissing(), passwordLong(),
		notConnected(), gatewaySilent(), insideSilent(), gatewayNotFound("{gateway}"), clockOff(phrase{"{off}", "{off}"}), controlPlaneAway(nil),
		serverErratic(), serverSilent(), otherTunnel("{name}"), conflict, tunnelLeft(fill), tunnelFailed(fill),
		tunnelFailed(wireguard.ErrKernelUnsupported), tunnelFailed(fs.ErrPermission), tunnelFailed(syscall.EEXIST), tunnelFailed(errors.ErrUnsupported),
		driverProblem(&wireguard.DriverError{Problem: wireguard.DriverMissing, Path: "{file}"}), driverProblem(&wireguard.DriverError{Problem: wireguard.DriverMisplaced}),
		driverProblem(&wireguard.DriverError{Problem: wireguard.DriverRefused, Path: "{file}"}), driverProblem(&wireguard.DriverError{Problem: wireguard.DriverForeign, Path: "{file}"}),
		StateDamaged("{folder}", fill), agentOutdated("{minimum}", phrase{"{from}", "{from}"}),
		seatAwaited(phrase{" an Stelle {position}", " at place {position}"}, phrase{", voraussichtlich noch {wait}", ", probably for another {wait}"}, 3*time.Minute),
		placeRests(3 * time.Minute),
	}
}
