package provisioner

// Entry is one line of the catalogue of refusals.
type Entry struct {
	Code    Code
	Kind    RefusalKind
	German  Text
	English Text
}

// Text is what happened, and what to do next.
type Text struct {
	Sentence string
	Next     string
}

// The codes. Their texts stand in Catalogue.
const (
	CodeSignInFailed         Code = "sign-in-failed"
	CodeNotInGroup           Code = "not-in-group"
	CodeAccessEnded          Code = "access-ended"
	CodePasswordExpired      Code = "password-expired"
	CodeExternalEnded        Code = "external-ended"
	CodeAccessHeld           Code = "access-held"
	CodeSponsorMissing       Code = "sponsor-missing"
	CodeOutsideHours         Code = "outside-hours"
	CodeCrisisMode           Code = "crisis-mode"
	CodeCrisisUnprepared     Code = "crisis-unprepared"
	CodeFactorNeeded         Code = "factor-needed"
	CodeFactorMissing        Code = "factor-missing"
	CodeFactorWrong          Code = "factor-wrong"
	CodeFactorThrottled      Code = "factor-throttled"
	CodeFactorThere          Code = "factor-there"
	CodeDeviceLimit          Code = "device-limit"
	CodeApprovalAwaited      Code = "approval-awaited"
	CodeApprovalOver         Code = "approval-over"
	CodeEnrolmentUnknown     Code = "enrolment-code-unknown"
	CodeEnrolmentUsed        Code = "enrolment-code-used"
	CodeEnrolmentThrottled   Code = "enrolment-code-throttled"
	CodeEnrolmentExpired     Code = "enrolment-expired"
	CodeEnrolmentDenied      Code = "enrolment-denied"
	CodeEnrolmentsFull       Code = "enrolments-full"
	CodeSlowDown             Code = "slow-down"
	CodeKeyInUse             Code = "wireguard-key-in-use"
	CodeKeyInvalid           Code = "wireguard-key-invalid"
	CodeCSRInvalid           Code = "certificate-request-invalid"
	CodeNotSignedIn          Code = "not-signed-in"
	CodeCertificateForeign   Code = "certificate-foreign"
	CodeCertificateExpired   Code = "certificate-expired"
	CodeGatewayExpired       Code = "gateway-certificate-expired"
	CodeCertificateNotYet    Code = "certificate-not-yet-valid"
	CodeNotAllowed           Code = "not-allowed"
	CodeNotFound             Code = "not-found"
	CodeHistoryTooShort      Code = "history-too-short"
	CodeWebhookMissing       Code = "webhook-missing"
	CodeWebhookFailed        Code = "webhook-failed"
	CodeAmbiguous            Code = "ambiguous"
	CodeTenantMissing        Code = "tenant-missing"
	CodeInvalid              Code = "invalid"
	CodeReasonMissing        Code = "reason-missing"
	CodeTooLarge             Code = "message-too-large"
	CodeDeviceRevoked        Code = "device-revoked"
	CodeDeviceReplaced       Code = "device-replaced"
	CodeDeviceSuspended      Code = "device-suspended"
	CodeDeviceUnknown        Code = "device-unknown"
	CodeDirectoryUnavailable Code = "directory-unavailable"
	CodeNoLicence            Code = "no-licence"
	CodeNoSeat               Code = "no-seat"
	CodePoolNotNamed         Code = "pool-not-named"
	CodeSeatAssigned         Code = "seat-assigned"
	CodeSeatNotAssigned      Code = "seat-not-assigned"
	CodeNoSeatToAssign       Code = "no-seat-to-assign"
	CodeNoGateway            Code = "no-gateway"
	CodeGatewayFull          Code = "gateway-full"
	CodeSessionUnknown       Code = "session-unknown"
	CodeSessionClosed        Code = "session-closed"
	CodeSessionElsewhere     Code = "session-elsewhere"
	CodeSessionExpired       Code = "session-expired"
	CodeSessionAged          Code = "session-aged"
	CodeSessionIdle          Code = "session-idle"
	CodeSignInNeeded         Code = "sign-in-needed"
	CodeOtherPerson          Code = "other-person"
	CodeGatewayNotReady      Code = "gateway-not-ready"
	CodeStreamReplaced       Code = "stream-replaced"
	CodeTokenInvalid         Code = "token-invalid"
	CodeLoginUnknown         Code = "login-unknown"
	CodeLoginAmbiguous       Code = "login-ambiguous"
	CodeInvitationUnknown    Code = "invitation-unknown"
	CodeInvitationOver       Code = "invitation-over"
	CodeInvitationLaptop     Code = "invitation-other-laptop"
	CodeHouseRules           Code = "house-rules"
	CodeGatewayKeyChanged    Code = "gateway-key-changed"
	CodeGatewayReplaced      Code = "gateway-replaced"
	CodeGatewayMoved         Code = "gateway-moved"
	CodeGatewayDraining      Code = "gateway-draining"
	CodeGatewayMaintenance   Code = "gateway-maintenance"
	CodeGatewayLost          Code = "gateway-lost"
	CodeGatewayHome          Code = "gateway-home"
	CodeGatewaysResting      Code = "gateways-resting"
	CodeMaintenanceInvalid   Code = "maintenance-invalid"
	CodeAccessChanged        Code = "access-changed"
	CodePendingChanged       Code = "pending-changed"
	CodePendingConfirmed     Code = "pending-confirmed"
	CodePendingDismissed     Code = "pending-dismissed"
	CodeProposalUnknown      Code = "proposal-unknown"
	CodeProposalVoid         Code = "proposal-void"
	CodeFourEyes             Code = "four-eyes"
	CodeSecondPerson         Code = "second-person"
	CodeDirectoryUnreadable  Code = "directory-unreadable"
	CodeTenantMoved          Code = "tenant-moved"
	CodeDeclarationInvalid   Code = "declaration-invalid"
	CodeApplyUnfinished      Code = "apply-unfinished"
	CodeTryLater             Code = "try-later"
	CodeAgentTooOld          Code = "agent-too-old"
	CodeDiagnosesMany        Code = "diagnoses-many"
	CodeShuttingDown         Code = "shutting-down"
	CodeDatabaseUnavailable  Code = "database-unavailable"
	CodeProtocol             Code = "protocol"
	CodeReportClipped        Code = "report-clipped"
	CodePersonSuspended      Code = "person-suspended"
	CodeTenantSuspended      Code = "tenant-suspended"
	CodeStillHasAccess       Code = "still-has-access"
	CodeForgetTooEarly       Code = "forget-too-early"
	CodeHistoryLimit         Code = "history-limit"
	CodeConditionUnmet       Code = "condition-unmet"
	CodeConditionGrace       Code = "condition-grace"
)

// Catalogue lists every refusal. The German is for people who never heard of
// a tunnel; the English for the same people.
func Catalogue() []Entry {
	return []Entry{
		{CodeSignInFailed, KindUnauthenticated,
			Text{"Die Anmeldung hat nicht geklappt.", "Prüfen Sie Benutzername (oder Mailadresse) und Passwort. Nach mehreren Fehlversuchen warten Sie bitte eine halbe Stunde. Klappt es dann nicht, sieht der Helpdesk den Grund."},
			Text{"Signing in did not work.", "Check user name (or mail address) and password. After several wrong attempts please wait half an hour. If it still fails, the helpdesk can see why."}},
		{CodeNotInGroup, KindForbidden,
			Text{"Ihr Konto ist nicht für das Homeoffice freigeschaltet.", "Bitten Sie Ihre Vorgesetzten oder den Helpdesk um die Freischaltung (Gruppe {group})."},
			Text{"Your account is not enabled for working from home.", "Ask your manager or the helpdesk to enable it (group {group})."}},
		{CodeAccessEnded, KindForbidden,
			Text{"Ihr Konto ist {why}.", "Wenden Sie sich an den Helpdesk."},
			Text{"Your account {why}.", "Contact the helpdesk."}},
		{CodeAccessHeld, KindForbidden,
			Text{"Nach dem Verzeichnis endet dieser Zugang, und noch hat niemand darüber entschieden. So lange kommt kein weiteres Gerät hinzu.", "Wenden Sie sich an den Helpdesk: heimdraht directory pending zeigt, was zu entscheiden ist."},
			Text{"By the directory's word this access ends, and nobody has decided on that yet. Until then no further device is added.", "Contact the helpdesk: heimdraht directory pending shows what has to be decided."}},
		{CodePasswordExpired, KindForbidden,
			Text{"Ihr Passwort ist abgelaufen oder muss geändert werden.", "Ändern Sie das Passwort an einem Arbeitsplatz im Haus oder mit Hilfe des Helpdesks und melden Sie sich dann neu an."},
			Text{"Your password has expired or must be changed.", "Change it at a workplace in the office or with the helpdesk, then sign in again."}},
		{CodeExternalEnded, KindForbidden,
			Text{"Ihr Zugang war bis zu einem Tag vereinbart, und der ist vorbei.", "Bitten Sie den Menschen in der Verwaltung, der für Sie einsteht, oder den Helpdesk um Verlängerung. Ihr Laptop bleibt angemeldet."},
			Text{"Your access was agreed until a day, and that day is over.", "Ask the person in the administration who answers for you, or the helpdesk, to extend it. Your laptop stays enrolled."}},
		{CodeSponsorMissing, KindForbidden,
			Text{"Für Externe und Auszubildende muss erst jemand in der Verwaltung einstehen.", "Bitten Sie jemanden aus der Verwaltung, der Sie kennt, das mit dem Helpdesk zu klären. Danach melden Sie den Laptop an."},
			Text{"For external people and trainees somebody in the administration must answer first.", "Ask somebody in the administration who knows you to settle that with the helpdesk. Then enrol the laptop."}},
		{CodeOutsideHours, KindForbidden,
			Text{"Ihre Verwaltung hat den Zugang auf bestimmte Zeiten begrenzt, und jetzt ist keine davon.", "Er geht {when}; der Laptop verbindet sich dann von selbst. Brauchen Sie ihn zu anderen Zeiten, fragen Sie Ihre Vorgesetzten."},
			Text{"Your administration has limited access to certain times, and this is none of them.", "It works {when}; the laptop then connects by itself. If you need it at other times, ask your manager."}},
		{CodeConditionUnmet, KindForbidden,
			Text{"{what} So lässt Ihre Verwaltung diesen Laptop nicht ins Netz.", "{how} Danach verbindet er sich von selbst; er sieht alle paar Minuten nach."},
			Text{"{what} Like this your administration does not let the laptop connect.", "{how} After that it connects by itself; it looks again every few minutes."}},
		{CodeConditionGrace, KindForbidden,
			Text{"{what} So verbindet sich dieser Laptop nur noch bis zum {day}.", "{how} Mit der nächsten Verbindung verschwindet dann dieser Hinweis."},
			Text{"{what} Like this the laptop connects until {day} only.", "{how} This notice then goes with the next connection."}},
		{CodeCrisisMode, KindForbidden,
			Text{"Ihre Verwaltung arbeitet im Krisenbetrieb: Neue Verbindungen bekommen zurzeit nur Krisenstab und Leitstelle.", "Nichts zu tun: Der Laptop verbindet sich von selbst, sobald der Krisenbetrieb endet. Werden Sie jetzt gebraucht, wenden Sie sich an Ihre Vorgesetzten."},
			Text{"Your administration is in crisis mode: only the crisis team and the control room get new connections now.", "Nothing to do: the laptop connects by itself when the crisis mode ends. If you are needed now, turn to your manager."}},
		{CodeCrisisUnprepared, KindConflict,
			Text{"Für die Verwaltung {tenant} ist kein Krisenbetrieb vorbereitet.", "Ergänzen Sie in ihrer Datei unter crisis, was dann gelten soll, zum Beispiel idle: 15m und hours: lifted, und wenden Sie sie an: heimdraht apply -f DATEI."},
			Text{"No crisis mode is prepared for the tenant {tenant}.", "Add to its file under crisis what is to hold then, such as idle: 15m and hours: lifted, and apply it: heimdraht apply -f FILE."}},
		{CodeFactorNeeded, KindUnauthenticated,
			Text{"Zum Passwort gehört hier noch ein Code aus der App auf Ihrem Telefon.", "Geben Sie die sechs Ziffern ein, die die App gerade zeigt, oder einen Ihrer Ersatzcodes."},
			Text{"Beside the password this takes a code from the app on your phone.", "Type the six digits that the app shows now, or one of your recovery codes."}},
		{CodeFactorMissing, KindUnauthenticated,
			Text{"Dafür brauchen Sie eine zweite Bestätigung auf Ihrem Telefon, und die ist noch nicht eingerichtet.", "Lassen Sie sich von der Stelle, die den Zugang Ihrer Verwaltung betreut, einen einmaligen Schlüssel geben. Dann: heimdraht factor set-up, auf einem Laptop heimdraht-agent factor set-up."},
			Text{"This takes a second factor on your phone, and none is set up yet.", "Ask your tenant's administrator for a one-time token. Then: heimdraht factor set-up, on a laptop heimdraht-agent factor set-up."}},
		{CodeFactorWrong, KindUnauthenticated,
			Text{"Der Code stimmt nicht{why}.", "Warten Sie, bis die App den nächsten zeigt, und geben Sie ihn ein. Jeder gilt nur einmal. Ist das Telefon weg, nehmen Sie einen Ersatzcode, oder rufen Sie den Helpdesk an."},
			Text{"The code is not right{why}.", "Wait until the app shows the next one, and type that. Each counts once. If the phone is gone, use a recovery code or call the helpdesk."}},
		{CodeFactorThrottled, KindExhausted,
			Text{"Es gab zu viele falsche Codes.", "Warten Sie {wait}. Waren Sie das nicht, kennt jemand Ihr Passwort: Ändern Sie es, und sagen Sie es dem Helpdesk."},
			Text{"There were too many wrong codes.", "Wait {wait}. If that was not you, somebody knows your password: change it, and tell the helpdesk."}},
		{CodeFactorThere, KindConflict,
			Text{"{name} hat schon eine zweite Bestätigung auf dem Telefon eingerichtet.", "Ist das Telefon weg, setzen Sie sie erst zurück: heimdraht person reset-factor."},
			Text{"{name} has set up a second factor already.", "If the phone is gone, reset it first: heimdraht person reset-factor."}},
		{CodeDeviceLimit, KindExhausted,
			Text{"Sie haben schon so viele Laptops angemeldet, wie vorgesehen sind ({limit}).", "Bitten Sie den Helpdesk, einem alten Laptop den Zugang zu entziehen."},
			Text{"You have already enrolled as many laptops as are allowed ({limit}).", "Ask the helpdesk to revoke an old one."}},
		{CodeApprovalAwaited, KindForbidden,
			Text{"Dieser Laptop ist angemeldet und wartet darauf, dass der Helpdesk ihn freigibt.", "Nichts zu tun: Ist die Verbindung gewünscht, kommt sie nach der Freigabe von selbst. Dauert es länger als üblich, rufen Sie den Helpdesk an."},
			Text{"This laptop is enrolled and waits for the helpdesk to approve it.", "Nothing to do: if a connection is wanted, it comes by itself after the approval. If it takes longer than usual, call the helpdesk."}},
		{CodeApprovalOver, KindConflict,
			Text{"Über diesen Laptop ist nicht mehr zu entscheiden: Er wartet nicht auf eine Freigabe, oder er ist inzwischen neu angemeldet.", "Sehen Sie nach, was wartet: heimdraht device waiting."},
			Text{"There is nothing to decide about this laptop any more: it does not wait for an approval, or was enrolled anew meanwhile.", "Look at what waits: heimdraht device waiting."}},
		{CodeEnrolmentUnknown, KindNotFound,
			Text{"Diesen Code gibt es nicht, oder er gilt nicht mehr.", "Vergleichen Sie ihn mit dem, was der Laptop zeigt. Ein Code gilt 15 Minuten; einen neuen gibt es mit heimdraht-agent enrol --by-code."},
			Text{"There is no such code, or it is no longer valid.", "Compare it with what the laptop shows. A code is good for 15 minutes; a new one comes with heimdraht-agent enrol --by-code."}},
		{CodeEnrolmentUsed, KindConflict,
			Text{"Über diesen Code ist schon entschieden.", "Jeder Code zählt einmal. Soll der Laptop noch einmal angemeldet werden, lassen Sie ihn einen neuen zeigen: heimdraht-agent enrol --by-code."},
			Text{"This code has been decided on already.", "Each code counts once. If the laptop is to be enrolled again, let it show a new one: heimdraht-agent enrol --by-code."}},
		{CodeEnrolmentThrottled, KindUnavailable,
			Text{"Sie haben zu viele falsche Codes eingegeben.", "Warten Sie eine halbe Stunde, und tippen Sie den Code genau ab."},
			Text{"You have typed too many wrong codes.", "Wait half an hour, and type the code exactly as it is shown."}},
		{CodeEnrolmentExpired, KindNotFound,
			Text{"Die Anmeldung mit Code ist abgelaufen: Niemand hat den Code rechtzeitig bestätigt.", "Beginnen Sie von vorn: heimdraht-agent enrol --by-code."},
			Text{"The enrolment by code has expired: nobody approved the code in time.", "Begin again: heimdraht-agent enrol --by-code."}},
		{CodeEnrolmentDenied, KindForbidden,
			Text{"Die Anmeldung dieses Laptops wurde abgelehnt.", "Hat sie jemand anders abgelehnt als Sie, rufen Sie den Helpdesk an. Sonst beginnen Sie von vorn: heimdraht-agent enrol --by-code."},
			Text{"The enrolment of this laptop was denied.", "If somebody else than you denied it, call the helpdesk. Else begin again: heimdraht-agent enrol --by-code."}},
		{CodeEnrolmentsFull, KindUnavailable,
			Text{"Es warten schon zu viele Laptops auf eine Bestätigung.", "Bestätigen Sie erst die anderen, oder versuchen Sie es in einer Viertelstunde noch einmal."},
			Text{"Too many laptops are waiting to be approved already.", "Approve the others first, or try again in a quarter of an hour."}},
		{CodeSlowDown, KindUnavailable,
			Text{"Dieser Laptop fragt schon, ob er bestätigt ist.", "Fragen Sie seltener."},
			Text{"This laptop is asking already whether it is approved.", "Ask less often."}},
		{CodeKeyInUse, KindConflict,
			Text{"Der Schlüssel dieses Geräts wird schon von einem anderen benutzt.", "Melden Sie das Gerät noch einmal an: Dabei entsteht ein neuer Schlüssel. Wurde das Gerät kopiert, sagen Sie es dem Helpdesk."},
			Text{"This machine's key is already used by another one.", "Enrol again: that makes a new key. If the machine was cloned, tell the helpdesk."}},
		{CodeKeyInvalid, KindInvalid,
			Text{"Der Schlüssel dieses Geräts ist unbrauchbar.", "Melden Sie das Gerät noch einmal an. Bleibt der Fehler, braucht es eine neue Version des Programms."},
			Text{"This machine's key is unusable.", "Enrol again. If the error stays, it needs a newer version of the agent."}},
		{CodeCSRInvalid, KindInvalid,
			Text{"Der Antrag dieses Geräts auf einen Ausweis (Zertifikat) ist unbrauchbar.", "Melden Sie das Gerät noch einmal an. Bleibt der Fehler, braucht es eine neue Version des Programms."},
			Text{"This machine's request for a certificate is unusable.", "Enrol again. If the error stays, it needs a newer version of the agent."}},
		{CodeNotSignedIn, KindUnauthenticated,
			Text{"Sie sind nicht angemeldet, oder Ihre Anmeldung ist abgelaufen.", "Melden Sie sich an: heimdraht login. Einen Laptop meldet man so an: heimdraht-agent enrol."},
			Text{"You are not signed in, or your sign-in has expired.", "Sign in: heimdraht login. A laptop is enrolled by: heimdraht-agent enrol."}},
		{CodeCertificateForeign, KindUnauthenticated,
			Text{"Der Ausweis (Zertifikat) dieses Geräts stammt nicht von diesem Server.", "Prüfen Sie die Adresse des Servers, oder melden Sie den Laptop neu an: heimdraht-agent enrol. Ein Zugangsserver tritt neu bei: heimdraht gateway token."},
			Text{"This machine's certificate was not issued by this server.", "Check the server's address, or enrol the laptop again: heimdraht-agent enrol. A gateway joins again: heimdraht gateway token."}},
		{CodeCertificateExpired, KindUnauthenticated,
			Text{"Der Ausweis (Zertifikat) dieses Laptops ist abgelaufen.", "Melden Sie sich mit Ihrem Passwort neu an: heimdraht-agent enrol. Gerät und Adresse bleiben."},
			Text{"This laptop's certificate has expired.", "Sign in again with your password: heimdraht-agent enrol. Device and address stay."}},
		{CodeGatewayExpired, KindUnauthenticated,
			Text{"Der Ausweis (Zertifikat) dieses Zugangsservers ist abgelaufen.", "Lassen Sie ihn neu beitreten: heimdraht gateway token, dann heimdraht-gateway join --again."},
			Text{"This gateway's certificate has expired.", "Let it join again: heimdraht gateway token, then heimdraht-gateway join --again."}},
		{CodeCertificateNotYet, KindUnauthenticated,
			Text{"Der Ausweis (Zertifikat) dieses Geräts gilt noch nicht: Eine der beiden Uhren geht falsch.", "Stellen Sie die Uhr dieses Geräts. Stimmt sie, muss der Betrieb die des Servers prüfen."},
			Text{"This machine's certificate is not valid yet: one of the two clocks is wrong.", "Set this machine's clock. If it is right, the operator must check the server's."}},
		{CodeNotAllowed, KindForbidden,
			Text{"Das dürfen Sie nicht, oder es gibt das nicht.", "Prüfen Sie die Angabe. Brauchen Sie das Recht, fragen Sie die Stelle, die den Zugang Ihrer Verwaltung betreut."},
			Text{"You may not do that, or there is no such thing.", "Check what you typed. If you need the right, ask your tenant's administrator."}},
		{CodeNotFound, KindNotFound,
			Text{"{what} gibt es nicht: {name}.", "Prüfen Sie die Angabe: heimdraht find sucht Personen und Geräte, heimdraht gateway list nennt die Zugangsserver, heimdraht directory status die Verwaltungen, heimdraht seats die Lizenzen."},
			Text{"There is no such {what}: {name}.", "Check what you typed: heimdraht find looks for people and devices, heimdraht gateway list names the gateways, heimdraht directory status the tenants, heimdraht seats the licence pools."}},
		{CodeHistoryTooShort, KindInvalid,
			Text{"Für eine Vorhersage ist zu wenig bekannt: {known} Stunden.", "Sie braucht zwei Wochen, von denen zusammen eine gemessen ist, und Zahlen aus den letzten vier Wochen. Verdeckte Stunden zählen nicht: heimdraht capacity usage zeigt sie."},
			Text{"Too little is known for a forecast: {known} hours.", "It needs two weeks, of which one is measured in all, and numbers from the last four weeks. Withheld hours do not count: heimdraht capacity usage shows them."}},
		{CodeWebhookMissing, KindInvalid,
			Text{"Auf diesem Server ist nicht eingerichtet, wohin Warnungen gehen.", "Tragen Sie warnings.webhook in heimdrahtd.yaml ein und starten Sie heimdrahtd neu."},
			Text{"On this server it is not configured where warnings go.", "Put warnings.webhook into heimdrahtd.yaml and restart heimdrahtd."}},
		{CodeWebhookFailed, KindUnavailable,
			Text{"Der Empfänger hat die Nachricht nicht angenommen: {why}.", "Prüfen Sie Adresse, Zertifikat und Geheimnis unter warnings.webhook in heimdrahtd.yaml, und ob der Empfänger läuft."},
			Text{"The receiver has not taken the message: {why}.", "Check the address, the certificate and the secret under warnings.webhook in heimdrahtd.yaml, and that the receiver runs."}},
		{CodeAmbiguous, KindInvalid,
			Text{"{name} passt auf mehrere {what}.", "Geben Sie mehr Zeichen an, oder die ganze Nummer, die heimdraht find zeigt."},
			Text{"{name} matches more than one {what}.", "Give more characters, or the whole id that heimdraht find shows."}},
		{CodeTenantMissing, KindInvalid,
			Text{"Diese Person gehört zu mehreren Verwaltungen: {tenants}.", "Sagen Sie, um welche es geht: --tenant NAME."},
			Text{"This person belongs to several tenants: {tenants}.", "Say which one is meant: --tenant NAME."}},
		{CodeInvalid, KindInvalid,
			Text{"Die Angabe {field} ist nicht gültig: {why}.", "Berichtigen Sie die Angabe."},
			Text{"The value of {field} is not valid: {why}.", "Correct it."}},
		{CodeReasonMissing, KindInvalid,
			Text{"Es fehlt der Grund.", "Geben Sie einen Grund an (--reason); er wird protokolliert."},
			Text{"A reason is missing.", "State a reason (--reason); it is recorded."}},
		{CodeTooLarge, KindExhausted,
			Text{"Die Anfrage ist zu groß.", "Teilen Sie sie auf, oder kürzen Sie die Angaben."},
			Text{"The request is too large.", "Split it, or shorten what you sent."}},
		{CodeDeviceRevoked, KindForbidden,
			Text{"Diesem Laptop wurde der Zugang entzogen.", "Wenn Sie ihn weiter brauchen, melden Sie den Laptop neu an oder fragen Sie den Helpdesk."},
			Text{"This laptop's access has been ended.", "If you still need it, enrol the laptop again or ask the helpdesk."}},
		{CodeDeviceReplaced, KindForbidden,
			Text{"Dieser Laptop wurde inzwischen neu angemeldet; die alten Schlüssel gelten nicht mehr.", "Benutzen Sie die neue Anmeldung. Waren Sie das nicht, sagen Sie es sofort dem Helpdesk."},
			Text{"This laptop has been enrolled anew; the old keys are no longer valid.", "Use the new enrolment. If that was not you, tell the helpdesk at once."}},
		{CodeDeviceSuspended, KindForbidden,
			Text{"Der Zugang dieses Laptops ruht.", "Der Helpdesk kann ihn zurückgeben."},
			Text{"This laptop's access is suspended.", "The helpdesk can restore it."}},
		{CodeDeviceUnknown, KindUnauthenticated,
			Text{"Dieser Laptop ist hier nicht bekannt.", "Melden Sie ihn neu an: heimdraht-agent enrol."},
			Text{"This laptop is not known here.", "Enrol it again: heimdraht-agent enrol."}},
		{CodeDirectoryUnavailable, KindUnavailable,
			Text{"Das Verzeichnis Ihrer Verwaltung antwortet nicht, und der letzte Stand ist zu alt.", "Versuchen Sie es in einigen Minuten wieder. Bestehende Verbindungen bleiben."},
			Text{"Your administration's directory does not answer, and what is known is too old.", "Try again in a few minutes. Connections that stand stay."}},
		{CodeNoLicence, KindForbidden,
			Text{"Für Ihre Verwaltung ist zurzeit keine Lizenz hinterlegt.", "Die Stelle, die den Zugang Ihrer Verwaltung betreut, muss Lizenzen eintragen."},
			Text{"Your administration has no licence on record at present.", "Your tenant's administrator must declare licences."}},
		{CodeNoSeat, KindExhausted,
			Text{"Alle Plätze sind belegt ({seats}).", "Versuchen Sie es in einigen Minuten wieder."},
			Text{"All seats are taken ({seats}).", "Try again in a few minutes."}},
		{CodePoolNotNamed, KindInvalid,
			Text{"Die Plätze von {pool} gehören niemandem: Wer sich verbindet, nimmt sich einen.", "Zuteilen kann man nur aus einem Vorrat mit model: named."},
			Text{"The seats of {pool} are nobody's: whoever connects takes one.", "Seats are assigned from a pool with model: named only."}},
		{CodeSeatAssigned, KindInvalid,
			Text{"{name} hat schon einen Platz aus {pool}.", "Es ist nichts zu tun: Einer reicht für alle Laptops."},
			Text{"{name} has a seat of {pool} already.", "There is nothing to do: one is enough for all laptops."}},
		{CodeSeatNotAssigned, KindInvalid,
			Text{"{name} hat keinen Platz aus {pool}.", "Prüfen Sie die Angaben; heimdraht seats explain zeigt, was dieser Mensch hat."},
			Text{"{name} has no seat of {pool}.", "Check what you typed; heimdraht seats explain shows what this person has."}},
		{CodeNoSeatToAssign, KindExhausted,
			Text{"In {pool} ist kein Platz frei, der zugeteilt werden könnte.", "Nehmen Sie einen ungebrauchten zurück (heimdraht licences zählt sie), oder kaufen Sie welche dazu."},
			Text{"No seat of {pool} is free to be assigned.", "Take back one that is not used (heimdraht licences counts them), or buy more."}},
		{CodeNoGateway, KindUnavailable,
			Text{"Zurzeit ist kein Zugangsserver erreichbar.", "Versuchen Sie es in einigen Minuten wieder. Bleibt es so, weiß der Betrieb mehr."},
			Text{"No gateway can be reached at present.", "Try again in a few minutes. If it stays so, ask the operator."}},
		{CodeGatewayFull, KindExhausted,
			Text{"Die Zugangsserver Ihrer Verwaltung sind voll belegt.", "Versuchen Sie es in einigen Minuten wieder."},
			Text{"Your administration's gateways are full.", "Try again in a few minutes."}},
		{CodeGatewayNotReady, KindUnavailable,
			Text{"Der Zugangsserver hat die Verbindung nicht rechtzeitig eingerichtet.", "Versuchen Sie es gleich noch einmal."},
			Text{"The gateway did not set up the connection in time.", "Try again at once."}},
		{CodeSessionUnknown, KindNotFound,
			Text{"Diese Verbindung gibt es nicht mehr.", "Verbinden Sie sich neu: heimdraht-agent up."},
			Text{"This connection no longer exists.", "Connect again: heimdraht-agent up."}},
		{CodeSessionClosed, KindConflict,
			Text{"Sie haben die Verbindung beendet.", "Verbinden Sie sich neu, wenn Sie sie brauchen: heimdraht-agent up."},
			Text{"You closed the connection.", "Connect again when you need it: heimdraht-agent up."}},
		{CodeSessionElsewhere, KindConflict,
			Text{"Dieser Laptop hat eine neue Verbindung geöffnet; diese hier ist beendet.", "Nichts zu tun."},
			Text{"This laptop has opened a new connection; this one has ended.", "Nothing to do."}},
		{CodeSessionExpired, KindConflict,
			Text{"Die Verbindung wurde beendet, weil sich der Laptop lange nicht gemeldet hat.", "Verbinden Sie sich neu: heimdraht-agent up."},
			Text{"The connection was ended because the laptop was silent for long.", "Connect again: heimdraht-agent up."}},
		{CodeSessionAged, KindConflict,
			Text{"Die Verbindung bestand so lange, wie Ihre Verwaltung es vorsieht; sie wird neu aufgebaut.", "Nichts zu tun."},
			Text{"The connection lasted as long as your administration lets one last; it is being opened again.", "Nothing to do."}},
		{CodeSessionIdle, KindConflict,
			Text{"Die Verbindung wurde beendet, weil längere Zeit nichts übertragen wurde.", "Wollen Sie weiterarbeiten, verbinden Sie sich wieder: heimdraht-agent up."},
			Text{"The connection was ended because nothing was transferred for some time.", "If you want to go on working, connect again: heimdraht-agent up."}},
		{CodeSignInNeeded, KindUnauthenticated,
			Text{"Ihre letzte Anmeldung an diesem Laptop ist zu lange her.", "Melden Sie sich mit Ihrem Passwort wieder an: heimdraht-agent sign-in."},
			Text{"Your last sign-in on this laptop is too long ago.", "Sign in again with your password: heimdraht-agent sign-in."}},
		{CodeOtherPerson, KindForbidden,
			Text{"Dieser Laptop ist für jemand anderen angemeldet.", "Melden Sie sich mit dem Namen an, für den er angemeldet ist. Soll er Ihnen gehören, melden Sie ihn neu an: heimdraht-agent enrol."},
			Text{"This laptop is enrolled for somebody else.", "Sign in with the name for which it is enrolled. If it is to be yours, enrol it again: heimdraht-agent enrol."}},
		{CodeStreamReplaced, KindConflict,
			Text{"Derselbe Laptop hat sich ein zweites Mal gemeldet.", "Läuft das Programm doppelt, beenden Sie eines. Wurde der Laptop kopiert, sagen Sie es dem Helpdesk."},
			Text{"The same laptop has connected a second time.", "If the agent runs twice, stop one. If the laptop was cloned, tell the helpdesk."}},
		{CodeTokenInvalid, KindUnauthenticated,
			Text{"Der einmalige Schlüssel gilt nicht: falsch, abgelaufen oder schon benutzt.", "Lassen Sie sich einen neuen geben."},
			Text{"The one-time token is not valid: wrong, expired or already used.", "Ask for a new one."}},
		{CodeLoginUnknown, KindNotFound,
			Text{"Im Verzeichnis der Verwaltung hat niemand diesen Benutzernamen oder diese Mailadresse.", "Prüfen Sie die Schreibweise: heimdraht find sucht auch nach einem Stück."},
			Text{"Nobody in the tenant's directory has this user name or mail address.", "Check the spelling: heimdraht find looks for scraps too."}},
		{CodeLoginAmbiguous, KindConflict,
			Text{"Dieser Benutzername gehört zu mehreren Einträgen im Verzeichnis der Verwaltung.", "Nehmen Sie die Mailadresse, oder lassen Sie das Verzeichnis berichtigen."},
			Text{"This user name belongs to more than one entry of the tenant's directory.", "Use the mail address, or have the directory corrected."}},
		{CodeInvitationUnknown, KindUnauthenticated,
			Text{"Diese Einladung gibt es nicht.", "Prüfen Sie, ob sie ganz und richtig abgeschrieben ist. Nach mehreren Fehlversuchen warten Sie bitte zehn Minuten. Sonst lassen Sie sich vom Helpdesk neu einladen."},
			Text{"There is no such invitation.", "Check that it was copied whole and right. After several wrong attempts please wait ten minutes. Else ask the helpdesk for a new one."}},
		{CodeInvitationOver, KindForbidden,
			Text{"Diese Einladung {why}.", "Brauchen Sie eine, lassen Sie sich vom Helpdesk neu einladen. Wurde sie benutzt und Sie waren es nicht, sagen Sie es ihm sofort."},
			Text{"This invitation {why}.", "If you need one, ask the helpdesk for a new one. If it was used and that was not you, tell the helpdesk at once."}},
		{CodeInvitationLaptop, KindForbidden,
			Text{"Diese Einladung ist für einen anderen Laptop.", "Nehmen Sie die Einladung, die zu diesem Laptop gehört, oder fragen Sie den Helpdesk; er sieht, welche Seriennummer dieser Laptop nennt."},
			Text{"This invitation is for another laptop.", "Take the invitation that belongs to this laptop, or ask the helpdesk, which sees what serial number this laptop states."}},
		{CodeHouseRules, KindConflict,
			Text{"Sie haben die Hausregeln Ihrer Verwaltung in der jetzigen Fassung ({version}) noch nicht bestätigt.", "Lesen und bestätigen Sie sie: heimdraht-agent rules. Bei der Anmeldung eines Laptops werden Sie gefragt; für Skripte: --accept-house-rules {version}."},
			Text{"You have not acknowledged your administration's house rules in their present version ({version}).", "Read and acknowledge them: heimdraht-agent rules. When a laptop is enrolled you are asked; for scripts: --accept-house-rules {version}."}},
		{CodeGatewayKeyChanged, KindConflict,
			Text{"Der Zugangsserver zeigt einen anderen Schlüssel als beim Beitritt.", "Lassen Sie ihn mit einem neuen einmaligen Schlüssel noch einmal beitreten: heimdraht gateway token, dann heimdraht-gateway join --again."},
			Text{"The gateway shows another key than when it joined.", "Let it join again with a new token: heimdraht gateway token, then heimdraht-gateway join --again."}},
		{CodeGatewayReplaced, KindForbidden,
			Text{"Dieser Zugangsserver ist inzwischen neu beigetreten; der alte Ausweis gilt nicht mehr.", "Benutzen Sie den neuen Beitritt, oder lassen Sie ihn nochmals beitreten: heimdraht gateway token."},
			Text{"This gateway has joined anew; the old certificate is no longer valid.", "Use the new one, or let it join again: heimdraht gateway token."}},
		{CodeGatewayMoved, KindConflict,
			Text{"Der Zugangsserver wurde neu eingerichtet; die Verbindung wird neu aufgebaut.", "Nichts zu tun."},
			Text{"The gateway was set up anew; the connection is being opened again.", "Nothing to do."}},
		{CodeGatewayDraining, KindConflict,
			Text{"Ihr Zugangsserver wird abgeschaltet; die Verbindung zieht auf einen anderen um.", "Nichts zu tun."},
			Text{"Your gateway is being switched off; the connection moves to another one.", "Nothing to do."}},
		{CodeGatewayMaintenance, KindConflict,
			Text{"Ihr Zugangsserver wird gewartet; die Verbindung zieht auf einen anderen um.", "Nichts zu tun."},
			Text{"Your gateway is under maintenance; the connection moves to another one.", "Nothing to do."}},
		{CodeGatewayLost, KindConflict,
			Text{"Ihr Zugangsserver ist ausgefallen; die Verbindung wird über einen anderen neu aufgebaut.", "Nichts zu tun."},
			Text{"Your gateway has failed; the connection is being opened again through another one.", "Nothing to do."}},
		{CodeGatewayHome, KindConflict,
			Text{"Auf einem anderen Zugangsserver ist wieder mehr Platz; die Verbindung zieht dorthin um, sobald Sie eine Pause machen.", "Nichts zu tun."},
			Text{"There is more room on another gateway again; the connection moves there as soon as you take a break.", "Nothing to do."}},
		{CodeGatewaysResting, KindUnavailable,
			Text{"Die Zugangsserver Ihrer Verwaltung werden gerade gewartet, {until}.", "Nichts zu tun: Der Laptop verbindet sich danach von selbst."},
			Text{"Your administration's gateways are under maintenance, {until}.", "Nothing to do: the laptop connects by itself afterwards."}},
		{CodeMaintenanceInvalid, KindInvalid,
			Text{"Diese Wartung ist nicht möglich: {why}.", "Prüfen Sie Beginn und Ende: heimdraht gateway maintenance --help."},
			Text{"This maintenance is not possible: {why}.", "Check its beginning and end: heimdraht gateway maintenance --help."}},
		{CodeAccessChanged, KindConflict,
			Text{"Was Sie von zu Hause aus erreichen, hat sich geändert; die Verbindung wird neu aufgebaut.", "Nichts zu tun."},
			Text{"What you can reach from home has changed; the connection is being opened again.", "Nothing to do."}},
		{CodePendingChanged, KindConflict,
			Text{"Die Liste ist nicht mehr die, die Sie gesehen haben.", "Sehen Sie sie noch einmal an: heimdraht directory pending."},
			Text{"The list is no longer the one that you have seen.", "Look at it again: heimdraht directory pending."}},
		{CodePendingConfirmed, KindConflict,
			Text{"Diese Liste ist schon bestätigt, von {who}: Wer auf ihr steht, verliert den Zugang, auch wenn der Server dabei unterbrochen wurde.", "Es ist nichts mehr zu tun. Was sonst noch wartet, zeigt heimdraht directory pending."},
			Text{"This list has been confirmed already, by {who}: whoever is on it loses access, even if the server was interrupted at it.", "Nothing is left to do. What else is waiting is shown by heimdraht directory pending."}},
		{CodePendingDismissed, KindConflict,
			Text{"Diese Liste ist schon verworfen, von {who}: Wer auf ihr steht, behält den Zugang.", "War das falsch, so berichtigen Sie das Verzeichnis, oder entziehen Sie den Zugang einzeln: heimdraht person revoke."},
			Text{"This list has been dismissed already, by {who}: whoever is on it keeps access.", "If that was wrong, correct the directory, or take access from each: heimdraht person revoke."}},
		{CodeProposalUnknown, KindNotFound,
			Text{"Diesen Vorschlag gibt es nicht: Er ist abgelaufen, schon bestätigt, oder er betrifft auch andere Verwaltungen.", "Lassen Sie ihn noch einmal machen."},
			Text{"There is no such proposal: it has expired, was confirmed already, or is about other tenants too.", "Have it made again."}},
		{CodeProposalVoid, KindConflict,
			Text{"Was vorgeschlagen wurde, gilt so nicht mehr: Seither hat sich an den Menschen, den Verzeichnissen oder der Verwaltung etwas geändert.", "Es wurde nichts geändert. Lassen Sie den Vorschlag noch einmal machen: heimdraht directory migrate."},
			Text{"What was proposed does not hold any more: the people, the directories or the tenant have changed since.", "Nothing was changed. Have it proposed again: heimdraht directory migrate."}},
		{CodeFourEyes, KindForbidden,
			Text{"Das muss jemand anders bestätigen als {who}, von dem der Vorschlag ist.", "Bitten Sie jemand anders, der das auch darf. Alle, die sich mit einem einmaligen Kennwort des Servers angemeldet haben, gelten dabei als einer."},
			Text{"Somebody else than {who} must confirm this, whose proposal it is.", "Ask somebody else who may do it too. All who signed in with a one-time token of the server count as one."}},
		{CodeSecondPerson, KindExhausted,
			Text{"Sie haben in einer Stunde schon {limit} Menschen allein den Zugang genommen oder zurückgegeben; bei weiteren braucht es jemand zweites.", "Schlagen Sie es mit heimdraht access revoke, suspend oder restore --person vor; jemand anders bestätigt es mit heimdraht proposals confirm. Im Notfall geht es gleich, mit --emergency."},
			Text{"You have taken, or given back, the access of {limit} people alone within an hour; for more it takes a second person.", "Propose it with heimdraht access revoke, suspend or restore --person; somebody else confirms it with heimdraht proposals confirm. In an emergency it is done at once, with --emergency."}},
		{CodeDirectoryUnreadable, KindUnavailable,
			Text{"Das Verzeichnis {directory} lässt sich gerade nicht ganz lesen.", "Es wurde nichts geändert. Warum, steht im Log von heimdrahtd; heimdraht directory test geht es Schritt für Schritt durch."},
			Text{"The directory {directory} cannot be read as a whole just now.", "Nothing was changed. The log of heimdrahtd says why; heimdraht directory test goes through it step by step."}},
		{CodeTenantMoved, KindUnavailable,
			Text{"Ihre Verwaltung ist gerade auf ein anderes Verzeichnis umgestellt worden.", "Versuchen Sie es gleich noch einmal. Bestehende Verbindungen bleiben."},
			Text{"Your administration has just been moved to another directory.", "Try again in a moment. Connections that stand stay."}},
		{CodeDeclarationInvalid, KindInvalid,
			Text{"Die Angaben zu {object} stimmen nicht: {why}.", "Berichtigen Sie die Datei und wenden Sie sie noch einmal an. Es wurde nichts geändert."},
			Text{"The declaration of {object} is not valid: {why}.", "Correct the file and apply it again. Nothing was changed."}},
		{CodeApplyUnfinished, KindConflict,
			Text{"Die Datei ist erst zum Teil angewandt; dann kam etwas dazwischen.", "Wenden Sie sie noch einmal an: Es geht weiter, wo es aufgehört hat, oder es wird gesagt, was im Weg steht."},
			Text{"Only a part of the file was applied; then something came in between.", "Apply it again: it goes on where it stopped, or says what is in the way."}},
		{CodeAgentTooOld, KindConflict,
			Text{"Das Programm Heimdraht auf diesem Laptop ist zu alt ({version}). Ihre Verwaltung verlangt mindestens {minimum}.", "Starten Sie den Laptop neu und warten Sie auf die Aktualisierung, die Ihre Verwaltung verteilt. Kommt keine, rufen Sie den Helpdesk an."},
			Text{"The program Heimdraht on this laptop is too old ({version}). Your administration wants {minimum} at least.", "Restart the laptop and wait for the update that your administration distributes. If none comes, call the helpdesk."}},
		{CodeDiagnosesMany, KindExhausted,
			Text{"Von diesem Laptop wurden heute schon fünf Störungen gemeldet.", "Rufen Sie den Helpdesk an: Er sieht die bisherigen Meldungen."},
			Text{"Five faults were reported from this laptop today already.", "Call the helpdesk: it sees the former reports."}},
		{CodeTryLater, KindUnavailable,
			Text{"Der Server hat gerade zu viel zu tun.", "Versuchen Sie es gleich noch einmal."},
			Text{"The server is too busy just now.", "Try again in a moment."}},
		{CodeShuttingDown, KindUnavailable,
			Text{"Der Server wird gerade neu gestartet.", "Bestehende Verbindungen bleiben. Versuchen Sie es gleich noch einmal."},
			Text{"The server is being restarted.", "Connections that stand stay. Try again in a moment."}},
		{CodeDatabaseUnavailable, KindUnavailable,
			Text{"Der Server erreicht gerade seine Datenbank nicht oder kann nicht in sie schreiben.", "Bestehende Verbindungen bleiben. Versuchen Sie es in einer Minute noch einmal; hält es an, rufen Sie den Betrieb an."},
			Text{"The server cannot reach its database just now, or cannot write to it.", "Connections that stand stay. Try again in a minute; if it lasts, call the operator."}},
		{CodeProtocol, KindInvalid,
			Text{"Das Programm auf diesem Gerät hat eine Nachricht geschickt, die hier nicht passt: {why}.", "Aktualisieren Sie das Programm."},
			Text{"The program on this machine sent a message that does not fit here: {why}.", "Update the program."}},
		{CodeReportClipped, KindInvalid,
			Text{"Was dieser Laptop gemeldet hat, wurde zum Teil nicht übernommen: {why}.", "Die Verbindung bleibt. Bleibt auch dies, aktualisieren Sie das Programm."},
			Text{"Part of what this laptop reported was not taken: {why}.", "The connection stays. If this stays too, update the program."}},
		{CodePersonSuspended, KindForbidden,
			Text{"Ihr Zugang ruht zurzeit{until}; das gilt auch für weitere Laptops.", "Brauchen Sie ihn früher wieder, wenden Sie sich an den Helpdesk."},
			Text{"Your access is suspended at present{until}; that holds for further laptops too.", "If you need it back earlier, contact the helpdesk."}},
		{CodeTenantSuspended, KindForbidden,
			Text{"Der Zugang der ganzen Verwaltung ruht zurzeit, auch der neuer Laptops.", "Am Laptop ist nichts zu tun. Der Zugang kommt zurück, wenn der Helpdesk ihn der Verwaltung zurückgibt (heimdraht access restore --tenant)."},
			Text{"The access of the whole administration is suspended at present, that of new laptops too.", "Nothing is to be done at the laptop. Access comes back when the helpdesk gives it back to the administration (heimdraht access restore --tenant)."}},
		{CodeStillHasAccess, KindConflict,
			Text{"{name} hat noch Zugang und kann deshalb nicht vergessen werden.", "Nehmen Sie zuerst den Zugang weg: heimdraht person revoke. Es wurde nichts geändert."},
			Text{"{name} still has access, and so cannot be forgotten.", "Take the access away first: heimdraht person revoke. Nothing was changed."}},
		{CodeForgetTooEarly, KindConflict,
			Text{"Noch nicht alle Zugangsserver haben bestätigt, dass der Zugang weg ist ({gateways}); bis dahin muss bekannt bleiben, wem er gehörte.", "Versuchen Sie es später noch einmal, spätestens in einer Woche geht es. Es wurde nichts geändert."},
			Text{"Not every gateway has confirmed that the access is gone ({gateways}); until then it must be known whose it was.", "Try again later; in a week at the latest it is possible. Nothing was changed."}},
		{CodeHistoryLimit, KindExhausted,
			Text{"Sie haben heute schon {limit} Verläufe angesehen; mehr sieht niemand an einem Tag.", "Geht es um einen Vorfall, der viele betrifft, wenden Sie sich an die oder den Datenschutzbeauftragten."},
			Text{"You have looked at {limit} histories today already; nobody looks at more in a day.", "If it is about an incident that concerns many, ask the data protection officer."}},
	}
}
