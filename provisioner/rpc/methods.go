package rpc

import (
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
)

// actionOf names the action behind a method. A method without one is refused
// to everybody.
func actionOf(method string) (provisioner.Action, bool) {
	switch method {
	case heimdrahtv1.EnrolmentService_Enrol_FullMethodName, heimdrahtv1.EnrolmentService_BeginEnrolment_FullMethodName,
		heimdrahtv1.EnrolmentService_AwaitEnrolment_FullMethodName:
		return provisioner.ActionEnrol, true
	case heimdrahtv1.ApprovalService_GetWaitingLaptop_FullMethodName, heimdrahtv1.ApprovalService_ApproveLaptop_FullMethodName:
		return provisioner.ActionApproveEnrolment, true
	case heimdrahtv1.ApprovalService_DenyLaptop_FullMethodName:
		return provisioner.ActionDenyEnrolment, true
	case heimdrahtv1.ApprovalService_ListAwaitingDevices_FullMethodName:
		return provisioner.ActionListAwaiting, true
	case heimdrahtv1.ApprovalService_ApproveDevice_FullMethodName:
		return provisioner.ActionApproveDevice, true
	case heimdrahtv1.ApprovalService_DenyDevice_FullMethodName:
		return provisioner.ActionDenyDevice, true
	case heimdrahtv1.EnrolmentService_RenewCertificate_FullMethodName:
		return provisioner.ActionRenewCertificate, true
	case heimdrahtv1.EnrolmentService_SignInAgain_FullMethodName:
		return provisioner.ActionSignInAgain, true
	case heimdrahtv1.SessionService_Attach_FullMethodName:
		return provisioner.ActionAttach, true
	case heimdrahtv1.SessionService_ExplainOwn_FullMethodName:
		return provisioner.ActionExplainOwn, true
	case heimdrahtv1.ReportService_ReportOwnLost_FullMethodName:
		return provisioner.ActionReportOwnLost, true
	case heimdrahtv1.ReportService_SendDiagnosis_FullMethodName:
		return provisioner.ActionSendDiagnosis, true
	case heimdrahtv1.ReportService_ListAgentVersions_FullMethodName:
		return provisioner.ActionListAgents, true
	case heimdrahtv1.ReportService_ListDiagnoses_FullMethodName:
		return provisioner.ActionReadDiagnoses, true
	case heimdrahtv1.GatewayService_Join_FullMethodName:
		return provisioner.ActionJoinGateway, true
	case heimdrahtv1.GatewayService_Sync_FullMethodName:
		return provisioner.ActionSyncGateway, true
	case heimdrahtv1.EnrolmentService_GetHouseRules_FullMethodName:
		return provisioner.ActionReadHouseRules, true
	case heimdrahtv1.EnrolmentService_AcknowledgeHouseRules_FullMethodName:
		return provisioner.ActionAcknowledge, true
	case heimdrahtv1.InvitationService_Invite_FullMethodName:
		return provisioner.ActionInvite, true
	case heimdrahtv1.InvitationService_ListInvitations_FullMethodName:
		return provisioner.ActionReadInvitations, true
	case heimdrahtv1.InvitationService_WithdrawInvitation_FullMethodName:
		return provisioner.ActionWithdrawInvitation, true
	case heimdrahtv1.InvitationService_HandOverDevice_FullMethodName:
		return provisioner.ActionHandOverDevice, true
	case heimdrahtv1.HelpdeskService_FindPeople_FullMethodName:
		return provisioner.ActionFindPeople, true
	case heimdrahtv1.HelpdeskService_GetPerson_FullMethodName:
		return provisioner.ActionReadPerson, true
	case heimdrahtv1.HelpdeskService_GetDevice_FullMethodName:
		return provisioner.ActionReadDevice, true
	case heimdrahtv1.HelpdeskService_Explain_FullMethodName:
		return provisioner.ActionExplain, true
	case heimdrahtv1.HelpdeskService_RevokeDevice_FullMethodName:
		return provisioner.ActionRevokeDevice, true
	case heimdrahtv1.HelpdeskService_SuspendDevice_FullMethodName:
		return provisioner.ActionSuspendDevice, true
	case heimdrahtv1.HelpdeskService_RestoreDevice_FullMethodName:
		return provisioner.ActionRestoreDevice, true
	case heimdrahtv1.HelpdeskService_RevokePerson_FullMethodName:
		return provisioner.ActionRevokePerson, true
	case heimdrahtv1.HelpdeskService_ListSessions_FullMethodName:
		return provisioner.ActionListSessions, true
	case heimdrahtv1.StaticService_MakeStaticDevice_FullMethodName:
		return provisioner.ActionMakeStatic, true
	case heimdrahtv1.StaticService_ListStaticDevices_FullMethodName:
		return provisioner.ActionListStatics, true
	case heimdrahtv1.ExternalService_SetExternal_FullMethodName, heimdrahtv1.ExternalService_ListExternals_FullMethodName:
		return provisioner.ActionRenewExternal, true
	case heimdrahtv1.LicenceService_AssignSeat_FullMethodName:
		return provisioner.ActionAssignSeat, true
	case heimdrahtv1.LicenceService_TakeBackSeat_FullMethodName:
		return provisioner.ActionTakeBackSeat, true
	case heimdrahtv1.LicenceService_ExplainSeat_FullMethodName:
		return provisioner.ActionExplainSeat, true
	case heimdrahtv1.CapacityService_GetConcurrency_FullMethodName, heimdrahtv1.CapacityService_GetUsage_FullMethodName,
		heimdrahtv1.CapacityService_GetForecast_FullMethodName, heimdrahtv1.CapacityService_ListProducts_FullMethodName,
		heimdrahtv1.CapacityService_ListWarnings_FullMethodName,
		heimdrahtv1.LicenceService_ListSeats_FullMethodName, heimdrahtv1.LicenceService_ListLicences_FullMethodName:
		return provisioner.ActionReadConcurrency, true
	case heimdrahtv1.CapacityService_TestWarnings_FullMethodName:
		return provisioner.ActionTestWarnings, true
	case heimdrahtv1.CapacityService_Plan_FullMethodName:
		return provisioner.ActionPlan, true
	case heimdrahtv1.AdminService_Diff_FullMethodName:
		return provisioner.ActionDiff, true
	case heimdrahtv1.AdminService_Apply_FullMethodName:
		return provisioner.ActionApply, true
	case heimdrahtv1.AdminService_SwitchCrisis_FullMethodName:
		return provisioner.ActionSwitchCrisis, true
	case heimdrahtv1.AdminService_ListCrises_FullMethodName:
		return provisioner.ActionReadCrisis, true
	case heimdrahtv1.AdminService_CountConditions_FullMethodName:
		return provisioner.ActionCountConditions, true
	case heimdrahtv1.AdminService_CreateGatewayToken_FullMethodName:
		return provisioner.ActionCreateGatewayToken, true
	case heimdrahtv1.AdminService_ListGateways_FullMethodName:
		return provisioner.ActionListGateways, true
	case heimdrahtv1.AdminService_DrainGateway_FullMethodName:
		return provisioner.ActionDrainGateway, true
	case heimdrahtv1.AdminService_UndrainGateway_FullMethodName:
		return provisioner.ActionUndrainGateway, true
	case heimdrahtv1.AdminService_AnnounceMaintenance_FullMethodName:
		return provisioner.ActionAnnounceMaintenance, true
	case heimdrahtv1.AdminService_WithdrawMaintenance_FullMethodName:
		return provisioner.ActionWithdrawMaintenance, true
	case heimdrahtv1.DirectoryService_Status_FullMethodName, heimdrahtv1.DirectoryService_ListPending_FullMethodName:
		return provisioner.ActionReadPending, true
	case heimdrahtv1.DirectoryService_ConfirmPending_FullMethodName:
		return provisioner.ActionConfirmPending, true
	case heimdrahtv1.DirectoryService_DismissPending_FullMethodName:
		return provisioner.ActionDismissPending, true
	case heimdrahtv1.DirectoryService_ProposeIdentities_FullMethodName:
		return provisioner.ActionProposeIdentities, true
	case heimdrahtv1.DirectoryService_GetIdentities_FullMethodName, heimdrahtv1.DirectoryService_ConfirmIdentities_FullMethodName:
		return provisioner.ActionConfirmIdentities, true
	case heimdrahtv1.HelpdeskService_Take_FullMethodName, heimdrahtv1.HelpdeskService_FollowTaking_FullMethodName:
		return provisioner.ActionTake, true
	case heimdrahtv1.HelpdeskService_IssueFactorToken_FullMethodName:
		return provisioner.ActionIssueFactorToken, true
	case heimdrahtv1.HelpdeskService_ResetFactor_FullMethodName:
		return provisioner.ActionResetFactor, true
	case heimdrahtv1.HelpdeskService_ListProposals_FullMethodName, heimdrahtv1.HelpdeskService_ConfirmProposal_FullMethodName,
		heimdrahtv1.HelpdeskService_WithdrawProposal_FullMethodName:
		return provisioner.ActionReadProposals, true
	case heimdrahtv1.AuthService_RedeemToken_FullMethodName, heimdrahtv1.AuthService_Login_FullMethodName,
		heimdrahtv1.AuthService_BeginFactor_FullMethodName, heimdrahtv1.AuthService_ConfirmFactor_FullMethodName:
		return provisioner.ActionSignIn, true
	case heimdrahtv1.AuthService_Logout_FullMethodName:
		return provisioner.ActionSignOut, true
	case heimdrahtv1.AuthService_WhoAmI_FullMethodName:
		return provisioner.ActionWhoAmI, true
	case heimdrahtv1.AuditService_ListRecords_FullMethodName:
		return provisioner.ActionReadAudit, true
	case heimdrahtv1.AuditService_Export_FullMethodName:
		return provisioner.ActionExportAudit, true
	case heimdrahtv1.AuditService_GetKey_FullMethodName:
		return provisioner.ActionReadAuditKey, true
	case heimdrahtv1.PrivacyService_GetHistory_FullMethodName:
		return provisioner.ActionReadHistory, true
	case heimdrahtv1.PrivacyService_ExportPerson_FullMethodName:
		return provisioner.ActionExportPerson, true
	case heimdrahtv1.PrivacyService_ForgetPerson_FullMethodName:
		return provisioner.ActionForgetPerson, true
	case heimdrahtv1.PrivacyService_ReportLost_FullMethodName:
		return provisioner.ActionReportLost, true
	case heimdrahtv1.PrivacyService_ListLost_FullMethodName:
		return provisioner.ActionListLost, true
	case heimdrahtv1.PrivacyService_ListUnused_FullMethodName:
		return provisioner.ActionListUnused, true
	case "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch", "/grpc.health.v1.Health/List":
		return provisioner.ActionHealth, true
	case "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo":
		return provisioner.ActionReflect, true
	default:
		return "", false
	}
}
