package provisioner

import (
	"slices"
	"time"
)

// Role is a kind of caller.
type Role string

// The roles, as the protocol's `callers` option names them.
const (
	RoleAnonymous   Role = "anonymous"
	RoleDevice      Role = "device"
	RoleGateway     Role = "gateway"
	RoleStaff       Role = "staff"
	RoleHelpdesk    Role = "helpdesk"
	RolePlanner     Role = "planner"
	RoleTenantAdmin Role = "tenant_admin"
	RoleOperator    Role = "operator"
	// RoleSystem is the control plane itself, when a lease runs out.
	RoleSystem Role = "system"
)

// Grant is a role in a tenant; an operator's has no tenant and holds in all.
type Grant struct {
	Role   Role
	Tenant string
}

// Actor is who calls, as authenticated. The zero Actor is anonymous.
type Actor struct {
	ID         string // device id, gateway name, person id or staff account
	Name       string // for people to read
	Grants     []Grant
	Generation int64     // of a device's or gateway's certificate
	Until      time.Time // the certificate's end; zero: the actor showed none
	Expired    bool      // the certificate has expired; only renewal is open
	Source     string    // network address, for the audit log and throttles
	Language   string    // "de" or "en"; empty: "de"
}

// AboveStaff reports whether a role lets its holder do more than look after her
// own devices: then a password alone is not enough.
func AboveStaff(grants []Grant) bool {
	return slices.ContainsFunc(grants, func(g Grant) bool { return g.Role != RoleStaff })
}

// System acts when no person does.
func System(name string) Actor {
	return Actor{ID: name, Name: name, Grants: []Grant{{Role: RoleSystem}}}
}

// Has reports whether the actor holds role in any tenant.
func (a Actor) Has(role Role) bool {
	if role == RoleAnonymous {
		return true
	}
	return slices.ContainsFunc(a.Grants, func(g Grant) bool { return g.Role == role })
}

// MainRole is the strongest role, for records.
func (a Actor) MainRole() Role {
	for _, r := range []Role{RoleSystem, RoleOperator, RoleTenantAdmin, RoleHelpdesk, RolePlanner, RoleStaff, RoleGateway, RoleDevice} {
		if a.Has(r) {
			return r
		}
	}
	return RoleAnonymous
}

// Action is something that a use case does for an actor.
type Action string

// Every action that Allow knows.
const (
	ActionEnrol               Action = "enrol"
	ActionApproveEnrolment    Action = "approve enrolment"
	ActionDenyEnrolment       Action = "deny enrolment"
	ActionListAwaiting        Action = "list devices that await approval"
	ActionApproveDevice       Action = "approve device"
	ActionDenyDevice          Action = "deny device"
	ActionRenewCertificate    Action = "renew certificate"
	ActionSignInAgain         Action = "sign in again"
	ActionAttach              Action = "attach"
	ActionJoinGateway         Action = "join gateway"
	ActionSyncGateway         Action = "sync gateway"
	ActionFindPeople          Action = "find people"
	ActionReadPerson          Action = "read person"
	ActionReadDevice          Action = "read device"
	ActionExplain             Action = "explain person"
	ActionExplainOwn          Action = "explain own device"
	ActionRevokeDevice        Action = "revoke device"
	ActionSuspendDevice       Action = "suspend device"
	ActionRestoreDevice       Action = "restore device"
	ActionHandOverDevice      Action = "hand over device"
	ActionInvite              Action = "invite"
	ActionReadInvitations     Action = "read invitations"
	ActionWithdrawInvitation  Action = "withdraw invitation"
	ActionReadHouseRules      Action = "read house rules"
	ActionAcknowledge         Action = "acknowledge house rules"
	ActionRevokePerson        Action = "revoke person"
	ActionListSessions        Action = "list sessions"
	ActionMakeStatic          Action = "make static device"
	ActionListStatics         Action = "list static devices"
	ActionMakeExternal        Action = "make external person"
	ActionRenewExternal       Action = "renew external person"
	ActionReadConcurrency     Action = "read concurrency"
	ActionPlan                Action = "plan capacity"
	ActionAssignSeat          Action = "assign seat"
	ActionTakeBackSeat        Action = "take back seat"
	ActionExplainSeat         Action = "explain seat"
	ActionReadGatewayLoad     Action = "read gateway load"
	ActionTestWarnings        Action = "test warnings"
	ActionDiff                Action = "diff"
	ActionApply               Action = "apply"
	ActionSwitchCrisis        Action = "switch crisis mode"
	ActionReadCrisis          Action = "read crisis mode"
	ActionCountConditions     Action = "count conditions"
	ActionApplyInfrastructure Action = "apply infrastructure"
	ActionCreateGatewayToken  Action = "create gateway token"
	ActionListGateways        Action = "list gateways"
	ActionDrainGateway        Action = "drain gateway"
	ActionUndrainGateway      Action = "undrain gateway"
	ActionAnnounceMaintenance Action = "announce maintenance"
	ActionWithdrawMaintenance Action = "withdraw maintenance"
	ActionSignIn              Action = "sign in"
	ActionSignOut             Action = "sign out"
	ActionWhoAmI              Action = "who am i"
	ActionReadPending         Action = "read pending"
	ActionConfirmPending      Action = "confirm pending"
	ActionDismissPending      Action = "dismiss pending"
	ActionProposeIdentities   Action = "propose identities"
	ActionConfirmIdentities   Action = "confirm identities"
	ActionIssueFactorToken    Action = "issue factor token"
	ActionIssueRoleToken      Action = "issue factor token for a role above staff"
	ActionResetFactor         Action = "reset factor"
	ActionTake                Action = "take many"
	ActionTakeEverywhere      Action = "take many in every tenant"
	ActionReadProposals       Action = "read proposals"
	ActionReadAudit           Action = "read audit log"
	ActionExportAudit         Action = "export audit log"
	ActionReadAuditKey        Action = "read audit key"
	ActionReadHistory         Action = "read history"
	ActionExportPerson        Action = "export person"
	ActionForgetPerson        Action = "forget person"
	ActionReportLost          Action = "report lost device"
	ActionListLost            Action = "list lost devices"
	ActionReportOwnLost       Action = "report own device lost"
	ActionSendDiagnosis       Action = "send diagnosis"
	ActionReadDiagnoses       Action = "read diagnoses"
	ActionListAgents          Action = "list agents' versions"
	ActionListUnused          Action = "list unused access"
	ActionReflect             Action = "reflect"
	ActionHealth              Action = "health"
)

// Object is what an action is about. Empty fields do not matter to it: an
// object without a tenant is a question over all tenants, whose answer the
// actor's Scope narrows.
type Object struct {
	Tenant  string
	Device  string
	Gateway string
	Person  string // matters to staff, who may do something with themselves alone
}

// Allow decides whether actor may do action to object. It is the one place
// that does. Each reason for a "no" has its own return:
// nobody in particular is signed in; the certificate has expired; the role is
// missing; or the object is another's, which reads like the role is missing,
// so that nothing tells whether the object exists.
func Allow(actor Actor, action Action, object Object) *Refusal {
	roles := rolesFor(action)
	if slices.Contains(roles, RoleAnonymous) {
		return nil
	}
	if len(actor.Grants) == 0 {
		return Refuse(CodeNotSignedIn)
	}
	if actor.Expired && action != ActionRenewCertificate {
		return certificateExpired(actor)
	}
	for _, g := range actor.Grants {
		if slices.Contains(roles, g.Role) && g.covers(actor, object) {
			return nil
		}
	}
	return Refuse(CodeNotAllowed)
}

// rolesFor lists who may do an action at all; for their own tenant, device or
// gateway. The same lists stand in the .proto files; a test compares them.
func rolesFor(action Action) []Role {
	switch action {
	case ActionEnrol, ActionJoinGateway, ActionSignIn, ActionHealth:
		return []Role{RoleAnonymous}
	case ActionApproveEnrolment, ActionDenyEnrolment:
		return []Role{RoleStaff}
	case ActionListAwaiting, ActionApproveDevice, ActionDenyDevice:
		return []Role{RoleHelpdesk, RoleTenantAdmin, RoleOperator}
	case ActionRenewCertificate:
		return []Role{RoleDevice, RoleGateway}
	case ActionAttach, ActionExplainOwn, ActionSignInAgain, ActionReadHouseRules, ActionAcknowledge, ActionReportOwnLost, ActionSendDiagnosis:
		return []Role{RoleDevice}
	case ActionSyncGateway:
		return []Role{RoleGateway}
	case ActionFindPeople, ActionReadPerson, ActionReadDevice, ActionExplain, ActionRestoreDevice, ActionRevokePerson, ActionListSessions,
		ActionMakeStatic, ActionListStatics, ActionIssueFactorToken, ActionResetFactor, ActionReadProposals, ActionTake,
		ActionHandOverDevice, ActionInvite, ActionReadInvitations, ActionWithdrawInvitation:
		return []Role{RoleHelpdesk, RoleTenantAdmin, RoleOperator}
	case ActionMakeExternal:
		return []Role{RoleHelpdesk, RoleTenantAdmin, RoleOperator}
	case ActionRenewExternal: // staff those for whom they answer
		return []Role{RoleStaff, RoleHelpdesk, RoleTenantAdmin, RoleOperator}
	case ActionRevokeDevice, ActionSuspendDevice:
		return []Role{RoleHelpdesk, RoleTenantAdmin, RoleOperator, RoleSystem}
	case ActionAssignSeat, ActionTakeBackSeat:
		return []Role{RoleTenantAdmin, RoleOperator}
	case ActionExplainSeat:
		return []Role{RoleHelpdesk, RoleTenantAdmin, RoleOperator}
	case ActionReadConcurrency:
		return []Role{RolePlanner, RoleTenantAdmin, RoleOperator}
	case ActionPlan:
		return []Role{RolePlanner, RoleOperator}
	case ActionReadPending:
		return []Role{RoleHelpdesk, RoleTenantAdmin, RoleOperator}
	case ActionDiff, ActionApply, ActionConfirmPending, ActionDismissPending, ActionProposeIdentities, ActionConfirmIdentities,
		ActionReadAudit, ActionExportAudit, ActionReadAuditKey:
		return []Role{RoleTenantAdmin, RoleOperator}
	case ActionSwitchCrisis, ActionReadCrisis, ActionCountConditions:
		return []Role{RoleTenantAdmin, RoleOperator}
	case ActionIssueRoleToken:
		return []Role{RoleTenantAdmin, RoleOperator}
	case ActionReadGatewayLoad, ActionTestWarnings, ActionApplyInfrastructure, ActionCreateGatewayToken, ActionListGateways, ActionDrainGateway, ActionUndrainGateway,
		ActionAnnounceMaintenance, ActionWithdrawMaintenance, ActionReflect, ActionTakeEverywhere:
		return []Role{RoleOperator}
	case ActionReadHistory, ActionReportLost, ActionListUnused, ActionReadDiagnoses, ActionListAgents:
		return []Role{RoleHelpdesk, RoleTenantAdmin, RoleOperator}
	case ActionForgetPerson, ActionListLost:
		return []Role{RoleTenantAdmin, RoleOperator}
	case ActionExportPerson:
		return []Role{RoleStaff, RoleTenantAdmin, RoleOperator}
	case ActionSignOut, ActionWhoAmI:
		return []Role{RoleStaff, RoleHelpdesk, RolePlanner, RoleTenantAdmin, RoleOperator}
	default:
		return nil
	}
}

// covers reports whether a grant reaches an object.
func (g Grant) covers(actor Actor, object Object) bool {
	switch g.Role {
	case RoleOperator, RoleSystem:
		return true
	case RoleDevice:
		return (object.Device == "" || object.Device == actor.ID) && (object.Tenant == "" || object.Tenant == g.Tenant)
	case RoleGateway:
		return object.Gateway == "" || object.Gateway == actor.ID
	case RoleStaff:
		return (object.Person == "" || object.Person == actor.ID) && (object.Tenant == "" || object.Tenant == g.Tenant)
	default:
		return object.Tenant == "" || object.Tenant == g.Tenant
	}
}

// Scope is the set of tenants that a query may touch. The zero Scope is empty
// and reaches nothing.
type Scope struct {
	all     bool
	tenants []string
}

// Everywhere is the scope of the control plane's own duties.
func Everywhere() Scope { return Scope{all: true} }

// Within is the scope of the named tenants.
func Within(tenants ...string) Scope { return Scope{tenants: slices.Clone(tenants)} }

// ScopeOf gives the tenants in which actor may do action.
func ScopeOf(actor Actor, action Action) Scope {
	var s Scope
	roles := rolesFor(action)
	for _, g := range actor.Grants {
		if !slices.Contains(roles, g.Role) {
			continue
		}
		if g.Role == RoleOperator || g.Role == RoleSystem {
			return Everywhere()
		}
		if g.Tenant != "" && !slices.Contains(s.tenants, g.Tenant) {
			s.tenants = append(s.tenants, g.Tenant)
		}
	}
	slices.Sort(s.tenants)
	return s
}

// Includes reports whether tenant lies in the scope.
func (s Scope) Includes(tenant string) bool { return s.all || slices.Contains(s.tenants, tenant) }

// Tenants lists the scope's tenants; all is true where it has no bounds.
func (s Scope) Tenants() (tenants []string, all bool) { return slices.Clone(s.tenants), s.all }

// Narrow keeps only tenant, if the scope includes it; an empty tenant keeps
// the scope as it is.
func (s Scope) Narrow(tenant string) Scope {
	switch {
	case tenant == "":
		return s
	case s.Includes(tenant):
		return Within(tenant)
	default:
		return Scope{}
	}
}

// certificateExpired says what to do: a laptop's person has a password, a
// gateway needs a new token.
func certificateExpired(actor Actor) *Refusal {
	if actor.Has(RoleGateway) {
		return Refuse(CodeGatewayExpired)
	}
	return Refuse(CodeCertificateExpired)
}
