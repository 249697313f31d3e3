package endpoint

import (
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
)

// outcome is what the end of an attempt, or an order of the control plane, means for the laptop. The zero
// outcome: nothing to say, try again after the usual pause.
type outcome struct {
	problem *control.Problem
	// drop: the tunnel goes at once.
	drop bool
	// halt: no further attempt by itself, until the person asks for one.
	halt bool
	// roam: a changed network ends the halt too.
	roam bool
	// after is the shortest pause before the next attempt. Zero: as backoff says.
	after time.Duration
	// unused is a session that was opened in vain, and is to be given back; empty: none.
	unused string
}

// The codes of refusals that mean more to the laptop than their sentence. They are those of the protocol.
const (
	codeDeviceRevoked        = "device-revoked"
	codeDeviceReplaced       = "device-replaced"
	codeDeviceUnknown        = "device-unknown"
	codeCertificateForeign   = "certificate-foreign"
	codeCertificateExpired   = "certificate-expired"
	codeNotAllowed           = "not-allowed"
	codeNotSignedIn          = "not-signed-in"
	codeStreamReplaced       = "stream-replaced"
	codeSessionElsewhere     = "session-elsewhere"
	codeHouseRules           = "house-rules"
	codeTryLater             = "try-later"
	codeShuttingDown         = "shutting-down"
	codeDirectoryUnavailable = "directory-unavailable"
	codeDatabaseUnavailable  = "database-unavailable"
	codeSignInNeeded         = "sign-in-needed"
	codeSessionAged          = "session-aged"
	codeSessionIdle          = "session-idle"
	codeGatewayDraining      = "gateway-draining"
	codeGatewayMaintenance   = "gateway-maintenance"
	codeGatewayHome          = "gateway-home"
	codeNoGateway            = "no-gateway"
	codeGatewayFull          = "gateway-full"
	codeGatewayNotReady      = "gateway-not-ready"
	codeGatewaysResting      = "gateways-resting"
)

// isNoPlace names the refusals that say that no gateway can take a session now.
func isNoPlace(code string) bool {
	switch code {
	case codeNoGateway, codeGatewayFull, codeGatewayNotReady, codeGatewaysResting:
		return true
	}
	return false
}

// isFinal names the refusals after which only a new enrolment, or the person's own word, can change the
// answer. To ask again because the network changed would be a storm of useless questions.
func isFinal(code string) bool {
	switch code {
	case codeDeviceRevoked, codeDeviceReplaced, codeDeviceUnknown, codeCertificateForeign, codeCertificateExpired,
		codeNotAllowed, codeNotSignedIn, codeStreamReplaced, codeSignInNeeded, codeSessionElsewhere, codeHouseRules,
		codeSessionIdle: // or the seat would be taken again for nobody
		return true
	}
	return false
}

// isPassing names the refusals that take nothing away: connections that stand stay.
func isPassing(code string) bool {
	switch code {
	case codeTryLater, codeShuttingDown, codeDirectoryUnavailable, codeDatabaseUnavailable:
		return true
	}
	return false
}

// judgeRefused judges the refusal of an opening.
func judgeRefused(p *control.Problem) outcome {
	out := outcome{problem: p, drop: !isPassing(p.Code), after: p.RetryAfter}
	switch {
	case isFinal(p.Code):
		out.halt, out.after = true, 0
	case p.RetryAfter == 0 && !isPassing(p.Code):
		out.halt, out.roam = true, true
	}
	return out
}

// judgeClosed judges the end of the session by the control plane. The tunnel goes, whatever the reason. Whether the
// laptop may open the next one by itself is the control plane's word: it may where a time to wait is named.
func judgeClosed(p *control.Problem) outcome {
	out := judgeRefused(p)
	out.drop = true
	return out
}
