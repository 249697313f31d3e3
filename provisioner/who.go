package provisioner

// Who can do the next step of a refusal or a cause. The values are stable.
type Who string

// Those who can.
const (
	WhoEmployee    Who = "employee"
	WhoHelpdesk    Who = "helpdesk"
	WhoTenantAdmin Who = "tenant_admin"
	WhoOperator    Who = "operator"
	WhoNobody      Who = "nobody" // nobody has to: it passes by itself, or all is well
)

// Who says whose the next step of a refusal is. Where it does not follow from
// the kind it is named here.
func (r *Refusal) Who() Who {
	switch r.Code {
	case CodeSignInFailed, CodeDeviceRevoked, CodeDeviceReplaced, CodeSessionExpired, CodeReasonMissing, CodePasswordExpired,
		CodeTooLarge, CodeConditionUnmet, CodeConditionGrace:
		return WhoEmployee
	case CodeNoLicence, CodeFactorMissing, CodeFourEyes, CodeCrisisUnprepared:
		return WhoTenantAdmin
	case CodeNotInGroup, CodeAccessEnded, CodeDeviceLimit, CodeAgentTooOld:
		return WhoHelpdesk
	case CodeDatabaseUnavailable, CodeDirectoryUnreadable, CodeGatewayKeyChanged, CodeGatewayReplaced, CodeGatewayExpired:
		return WhoOperator
	case CodeSessionElsewhere, CodeGatewayMoved, CodeGatewayDraining, CodeGatewayMaintenance, CodeGatewayLost, CodeGatewaysResting, CodeGatewayHome, CodeAccessChanged, CodeNoSeat, CodeGatewayFull, CodeOutsideHours, CodeFactorThrottled, CodeCrisisMode:
		return WhoNobody
	}
	switch r.Kind() {
	case KindForbidden, KindExhausted:
		return WhoHelpdesk
	case KindUnavailable:
		return WhoNobody
	default:
		return WhoEmployee
	}
}
