package diagnosis

import (
	"slices"
	"strings"

	"github.com/heimdraht/heimdraht/provisioner"
)

// Entry is one line of the catalogue of causes.
type Entry struct {
	Code    provisioner.Code
	Who     provisioner.Who
	German  provisioner.Text
	English provisioner.Text
}

// The codes. Some are those of refusals: what one laptop is told in the words of
// a refusal is explained here to whoever looks from outside.
const (
	Connected     provisioner.Code = "connected"
	Connecting    provisioner.Code = "connecting"
	LaptopOff     provisioner.Code = "laptop-off"
	StaticOff     provisioner.Code = "static-off"
	SessionClosed provisioner.Code = "session-closed"
	SessionSilent provisioner.Code = "session-expired"
	Reopening     provisioner.Code = "session-elsewhere"

	DirectorySilent  provisioner.Code = "directory-silent"
	DirectoryUnasked provisioner.Code = "directory-did-not-answer"
	DirectoryWrong   provisioner.Code = "directory-set-up-wrongly"
	GroupMissing     provisioner.Code = "staff-group-missing"
	BrakeHolding     provisioner.Code = "brake-holding"
	AccountDeleted   provisioner.Code = "account-deleted"
	AccountDisabled  provisioner.Code = "account-disabled"
	AccountExpired   provisioner.Code = "account-expired"
	AccountLocked    provisioner.Code = "account-locked"
	ExternalEnded    provisioner.Code = "external-ended"
	OutsideHours     provisioner.Code = "outside-hours"
	NotInGroup       provisioner.Code = "not-in-group"
	PasswordExpired  provisioner.Code = "password-expired"
	PasswordLimits   provisioner.Code = "password-expired-limits"
	PasswordCloses   provisioner.Code = "password-expired-closes"

	UnknownTenant   provisioner.Code = "unknown-tenant"
	UnknownLogin    provisioner.Code = "unknown-login"
	AmbiguousLogin  provisioner.Code = "ambiguous-login"
	WrongPassword   provisioner.Code = "wrong-password"
	EmptyPassword   provisioner.Code = "empty-password"
	PasswordLong    provisioner.Code = "sign-in-password-too-long"
	LockedByTries   provisioner.Code = "locked-by-tries"
	NotPermitted    provisioner.Code = "sign-in-not-permitted"
	LoginThrottled  provisioner.Code = "too-many-tries"
	SourceThrottled provisioner.Code = "too-many-tries-from-address"
	CodeWrong       provisioner.Code = "wrong-code"
	CodeUsed        provisioner.Code = "code-used-before"
	CodeClock       provisioner.Code = "code-of-another-time"
	DeviceLimit     provisioner.Code = "device-limit"

	NoInvitation        provisioner.Code = "no-such-invitation"
	InvitationSerial    provisioner.Code = "invitation-other-serial-number"
	InvitationNoSerial  provisioner.Code = "invitation-no-serial-number"
	InvitationUsed      provisioner.Code = "invitation-used"
	InvitationWithdrawn provisioner.Code = "invitation-withdrawn"
	InvitationReplaced  provisioner.Code = "invitation-replaced"
	InvitationExpired   provisioner.Code = "invitation-expired"

	RulesUnread          provisioner.Code = "house-rules"
	SignInNeeded         provisioner.Code = "sign-in-needed"
	NoDevice             provisioner.Code = "no-device"
	DeviceRevoked        provisioner.Code = "device-revoked"
	DeviceSuspended      provisioner.Code = "device-suspended"
	DeviceSuspendedFor   provisioner.Code = "device-suspended-until"
	SuspendedByDirectory provisioner.Code = "device-suspended-by-directory"
	TenantSuspended      provisioner.Code = "tenant-suspended"
	ApprovalAwaited      provisioner.Code = "approval-awaited"
	CertificateExpired   provisioner.Code = "certificate-expired"
	NoLicence            provisioner.Code = "no-licence"
	LicenceOver          provisioner.Code = "licence-over"
	NoSeat               provisioner.Code = "no-seat"
	SeatAwaited          provisioner.Code = "seat-awaited"
	NoGateway            provisioner.Code = "no-gateway-for-tenant"
	GatewayAway          provisioner.Code = "gateway-away"
	GatewayFull          provisioner.Code = "gateway-full"
	GatewaysResting      provisioner.Code = "gateways-resting"
	GatewayBehind        provisioner.Code = "gateway-behind"
	LaptopSilent         provisioner.Code = "laptop-silent"
	ServerAway           provisioner.Code = "server-away"
	GatewaySilent        provisioner.Code = "gateway-silent"
	OneWay               provisioner.Code = "one-way-traffic"
	InsideSilent         provisioner.Code = "inside-silent"
	ClockWrong           provisioner.Code = "clock-wrong"
	AgentOld             provisioner.Code = "agent-too-old"
)

// Catalogue lists every cause that has words here. They are said of her, to the
// helpdesk, and must read well to her too.
func Catalogue() []Entry {
	return slices.Concat(catalogueOfConnection(), catalogueOfPerson(), catalogueOfSigningIn(), catalogueOfLaptop(), catalogueOfPlace())
}

func catalogueOfConnection() []Entry {
	return []Entry{
		{Connected, provisioner.WhoNobody,
			provisioner.Text{Sentence: "Der Laptop ist verbunden, und alles ist in Ordnung.", Next: "Geht trotzdem etwas nicht, liegt es an dem Programm oder dem Server im Haus, um den es geht."},
			provisioner.Text{Sentence: "The laptop is connected, and all is well.", Next: "If something does not work all the same, it is the program or the server in the office that it is about."}},
		{Connecting, provisioner.WhoNobody,
			provisioner.Text{Sentence: "Die Verbindung ist eben erst geöffnet; ob der Laptop durchkommt, hat noch niemand gemeldet.", Next: "Sehen Sie in einer halben Minute noch einmal nach."},
			provisioner.Text{Sentence: "The connection has only just been opened; nobody has said yet whether the laptop gets through.", Next: "Look again in half a minute."}},
		{LaptopOff, provisioner.WhoEmployee,
			provisioner.Text{Sentence: "Der Laptop ist nicht verbunden, und nichts hindert ihn: Er ist aus, hat kein Netz, oder niemand hat ihn verbunden.", Next: "Laptop einschalten und verbinden: heimdraht-agent up. Geht das nicht, sagt heimdraht-agent status am Laptop, warum."},
			provisioner.Text{Sentence: "The laptop is not connected, and nothing keeps it from it: it is off, has no network, or nobody has connected it.", Next: "Switch it on and connect: heimdraht-agent up. If that does not work, heimdraht-agent status on the laptop says why."}},
		{ExternalEnded, provisioner.WhoHelpdesk,
			provisioner.Text{Sentence: "Der Zugang dieses externen Menschen war bis zu einem Tag vereinbart, und der ist vorbei.", Next: "Wer für sie oder ihn einsteht, verlängert, oder der Helpdesk: heimdraht person external. Laptops bleiben angemeldet."},
			provisioner.Text{Sentence: "This external person's access was agreed until a day, and that day is over.", Next: "Whoever answers for her or him extends it, or the helpdesk: heimdraht person external. Laptops stay enrolled."}},
		{OutsideHours, provisioner.WhoNobody,
			provisioner.Text{Sentence: "Die Verwaltung hat den Zugang auf bestimmte Zeiten begrenzt, und jetzt ist keine davon.", Next: "Der Laptop verbindet sich von selbst, wenn es wieder geht: {when}."},
			provisioner.Text{Sentence: "The administration has limited access to certain times, and this is none of them.", Next: "The laptop connects by itself when it may again: {when}."}},
		{StaticOff, provisioner.WhoEmployee,
			provisioner.Text{Sentence: "Das Telefon oder der Router hat den Zugang gerade nicht an, und nichts hindert ihn.", Next: "In der WireGuard-App einschalten und das Netz prüfen. Hilft das nicht, macht der Helpdesk eine neue Datei: heimdraht device static --replace."},
			provisioner.Text{Sentence: "The phone or router does not have its access switched on, and nothing keeps it from it.", Next: "Switch it on in WireGuard's app and look at the network. If that does not help, the helpdesk makes a new file: heimdraht device static --replace."}},
		{SessionClosed, provisioner.WhoEmployee,
			provisioner.Text{Sentence: "Die Verbindung wurde am Laptop beendet.", Next: "Verbinden, wenn sie wieder gebraucht wird: heimdraht-agent up."},
			provisioner.Text{Sentence: "The connection was ended at the laptop.", Next: "Connect when it is needed again: heimdraht-agent up."}},
		{SessionSilent, provisioner.WhoEmployee,
			provisioner.Text{Sentence: "Die Verbindung ist zu Ende, weil sich der Laptop lange nicht gemeldet hat: Er war aus, schlief oder hatte kein Netz.", Next: "Laptop einschalten und verbinden: heimdraht-agent up."},
			provisioner.Text{Sentence: "The connection has ended because the laptop was silent for long: it was off, asleep or without a network.", Next: "Switch the laptop on and connect: heimdraht-agent up."}},
		{Reopening, provisioner.WhoEmployee,
			provisioner.Text{Sentence: "Unter diesem Laptop wurde in zehn Minuten {times} Mal eine neue Verbindung geöffnet, und jede beendet die vorige: Das Programm läuft doppelt, oder der Laptop wurde kopiert.", Next: "Eines der beiden Programme beenden. Wurde der Laptop kopiert, ihm den Zugang entziehen: heimdraht device revoke."},
			provisioner.Text{Sentence: "In the name of this laptop a new connection was opened {times} times in ten minutes, and each ends the one before: the agent runs twice, or the laptop was cloned.", Next: "Stop one of the two agents. If the laptop was cloned, revoke it: heimdraht device revoke."}},
	}
}

func catalogueOfPerson() []Entry {
	return []Entry{
		{DirectorySilent, provisioner.WhoOperator,
			provisioner.Text{Sentence: "Das Verzeichnis {directory} hat seit {age} nichts gesagt, und was es zuletzt sagte, ist zu alt, um neue Verbindungen zu öffnen.", Next: "Der Betrieb sieht mit heimdraht directory status und heimdraht directory test, woran es liegt. Bestehende Verbindungen bleiben."},
			provisioner.Text{Sentence: "The directory {directory} has said nothing for {age}, and what it said last is too old to open new connections.", Next: "The operator sees with heimdraht directory status and heimdraht directory test why. Connections that stand stay."}},
		{DirectoryUnasked, provisioner.WhoOperator,
			provisioner.Text{Sentence: "Das Verzeichnis hat nicht geantwortet.", Next: "In einigen Minuten noch einmal anmelden. Bleibt es so, sieht der Betrieb mit heimdraht directory test nach."},
			provisioner.Text{Sentence: "The directory did not answer.", Next: "Sign in again in a few minutes. If it stays so, the operator looks with heimdraht directory test."}},
		{DirectoryWrong, provisioner.WhoTenantAdmin,
			provisioner.Text{Sentence: "Das Verzeichnis ist falsch eingerichtet.", Next: "Wer den Zugang der Verwaltung betreut, geht es mit heimdraht directory test Schritt für Schritt durch."},
			provisioner.Text{Sentence: "The directory is set up wrongly.", Next: "The tenant's administrator goes through it step by step with heimdraht directory test."}},
		{GroupMissing, provisioner.WhoTenantAdmin,
			provisioner.Text{Sentence: "Die Gruppe {group}, deren Mitglieder ins Homeoffice dürfen, lässt sich im Verzeichnis nicht lesen.", Next: "staff_group berichtigen, oder das Dienstkonto die Gruppe lesen lassen. Bis dahin verliert niemand den Zugang."},
			provisioner.Text{Sentence: "The group {group}, whose members may work from home, cannot be read in the directory.", Next: "Correct staff_group, or let the service account read the group. Until then nobody loses access."}},
		{BrakeHolding, provisioner.WhoTenantAdmin,
			provisioner.Text{Sentence: "Laut Verzeichnis endet der Zugang ({why}), mit dem vieler anderer zugleich. Deshalb wartet das auf eine Entscheidung, und so lange geht auch keine neue Anmeldung.", Next: "Ansehen, und bestätigen oder verwerfen: heimdraht directory pending."},
			provisioner.Text{Sentence: "By the directory's word the access ends ({why}), together with that of many others. So it waits for somebody's decision, and until then signing in does not work either.", Next: "Look at it, and confirm or dismiss it: heimdraht directory pending."}},
		{AccountDeleted, provisioner.WhoHelpdesk,
			provisioner.Text{Sentence: "Das Konto ist im Verzeichnis gelöscht, oder es liegt nicht mehr dort, wo die Menschen dieser Verwaltung sind.", Next: "Ist das ein Irrtum, das Konto im Verzeichnis wiederherstellen; ein neu angelegtes gilt als jemand anders und meldet den Laptop neu an."},
			provisioner.Text{Sentence: "The account has been deleted in the directory, or is no longer where this administration's people are.", Next: "If that is a mistake, restore the account in the directory; one made anew counts as somebody else and enrols the laptop again."}},
		{AccountDisabled, provisioner.WhoHelpdesk,
			provisioner.Text{Sentence: "Das Konto ist im Verzeichnis abgeschaltet.", Next: "Ist das ein Irrtum, das Konto im Verzeichnis wieder einschalten. Der Zugang kommt dann in Sekunden von selbst zurück."},
			provisioner.Text{Sentence: "The account is switched off in the directory.", Next: "If that is a mistake, switch it on again in the directory. Access then comes back by itself within seconds."}},
		{AccountExpired, provisioner.WhoHelpdesk,
			provisioner.Text{Sentence: "Das Konto ist im Verzeichnis abgelaufen.", Next: "Das Ablaufdatum im Verzeichnis verlängern. Der Zugang kommt dann in Sekunden von selbst zurück."},
			provisioner.Text{Sentence: "The account has expired in the directory.", Next: "Extend its date of expiry in the directory. Access then comes back by itself within seconds."}},
		{AccountLocked, provisioner.WhoHelpdesk,
			provisioner.Text{Sentence: "Das Konto ist im Verzeichnis von der Verwaltung gesperrt.", Next: "Klären, warum, und die Sperre im Verzeichnis aufheben. Der Zugang kommt dann in Sekunden von selbst zurück."},
			provisioner.Text{Sentence: "The account has been locked in the directory by an administrator.", Next: "Find out why, and unlock it in the directory. Access then comes back by itself within seconds."}},
		{NotInGroup, provisioner.WhoHelpdesk,
			provisioner.Text{Sentence: "Das Konto ist nicht in der Gruppe {group}, deren Mitglieder ins Homeoffice dürfen.", Next: "Mit Zustimmung der Vorgesetzten in die Gruppe aufnehmen. Das wirkt in Sekunden."},
			provisioner.Text{Sentence: "The account is not in the group {group}, whose members may work from home.", Next: "With the manager's consent, put it into the group. That takes effect within seconds."}},
		{PasswordExpired, provisioner.WhoEmployee,
			provisioner.Text{Sentence: "Das Passwort ist abgelaufen oder muss geändert werden. Bestehende Verbindungen bleiben, anmelden geht erst danach wieder.", Next: "Das Passwort ändern: über die Verbindung, wenn sie steht, sonst an einem Arbeitsplatz im Haus oder mit Hilfe des Helpdesks."},
			provisioner.Text{Sentence: "The password has expired or must be changed. Connections that stand stay; signing in works again after that.", Next: "Change the password: over the connection if there is one, else at a workplace in the office or with the helpdesk."}},
		{PasswordLimits, provisioner.WhoEmployee,
			provisioner.Text{Sentence: "Das Passwort ist abgelaufen oder muss geändert werden. Bis dahin erreicht der Laptop nur, was man zum Ändern braucht.", Next: "Das Passwort jetzt über die Verbindung ändern. Alles andere geht dann in Sekunden von selbst wieder."},
			provisioner.Text{Sentence: "The password has expired or must be changed. Until then the laptop reaches only what it takes to change it.", Next: "Change the password now, over the connection. Everything else then works again by itself within seconds."}},
		{PasswordCloses, provisioner.WhoEmployee,
			provisioner.Text{Sentence: "Das Passwort ist abgelaufen oder muss geändert werden, und so lange ruht in dieser Verwaltung der Zugang.", Next: "Das Passwort an einem Arbeitsplatz im Haus oder mit Hilfe des Helpdesks ändern. Der Zugang kommt dann von selbst zurück."},
			provisioner.Text{Sentence: "The password has expired or must be changed, and until then access rests in this administration.", Next: "Change the password at a workplace in the office or with the helpdesk. Access then comes back by itself."}},
	}
}

func catalogueOfSigningIn() []Entry {
	again := provisioner.Text{Sentence: "", Next: "Noch einmal anmelden, mit Benutzername und Passwort wie im Haus."}
	onceMore := provisioner.Text{Sentence: "", Next: "Sign in again, with user name and password as in the office."}
	saying := func(t provisioner.Text, sentence string) provisioner.Text { t.Sentence = sentence; return t }
	return []Entry{
		{UnknownTenant, provisioner.WhoEmployee,
			provisioner.Text{Sentence: "Zu dieser Anmeldeadresse oder Mail-Domäne gehört keine Verwaltung.", Next: "Mit der Mailadresse der Verwaltung anmelden, oder die Verwaltung nennen: --tenant NAME."},
			provisioner.Text{Sentence: "No tenant belongs to this address or mail domain.", Next: "Sign in with the administration's mail address, or name the tenant: --tenant NAME."}},
		{UnknownLogin, provisioner.WhoEmployee, saying(again, "Das Verzeichnis kennt diesen Benutzernamen nicht."), saying(onceMore, "The directory does not know this user name.")},
		{AmbiguousLogin, provisioner.WhoTenantAdmin,
			provisioner.Text{Sentence: "Der Benutzername gehört zu mehreren Einträgen im Verzeichnis.", Next: "Im Verzeichnis dafür sorgen, dass nur ein Konto so heißt, oder base in der Datei der Verwaltung enger fassen."},
			provisioner.Text{Sentence: "The user name belongs to more than one entry of the directory.", Next: "See that only one account has that name, or narrow base in the tenant's file."}},
		{WrongPassword, provisioner.WhoEmployee,
			provisioner.Text{Sentence: "Falsches Passwort.", Next: "Noch einmal anmelden; Umschalt- und Feststelltaste prüfen. Ist das Passwort vergessen, setzt der Helpdesk es im Verzeichnis zurück."},
			provisioner.Text{Sentence: "Wrong password.", Next: "Sign in again; look at shift and caps lock. If the password is forgotten, the helpdesk resets it in the directory."}},
		{EmptyPassword, provisioner.WhoEmployee, saying(again, "Leeres Passwort."), saying(onceMore, "Empty password.")},
		{PasswordLong, provisioner.WhoEmployee, saying(again, "Das Passwort ist zu lang."), saying(onceMore, "The password is too long.")},
		{LockedByTries, provisioner.WhoHelpdesk,
			provisioner.Text{Sentence: "Das Konto ist nach Fehlversuchen gesperrt.", Next: "Warten, bis das Verzeichnis die Sperre von selbst aufhebt, oder sie dort aufheben. Eine bestehende Verbindung bleibt."},
			provisioner.Text{Sentence: "The account is locked after wrong tries.", Next: "Wait until the directory lifts the lock by itself, or lift it there. A connection that stands stays."}},
		{NotPermitted, provisioner.WhoTenantAdmin,
			provisioner.Text{Sentence: "Das Verzeichnis erlaubt die Anmeldung zu dieser Zeit oder von dort nicht.", Next: "Zu einer erlaubten Zeit anmelden, oder die Anmeldezeiten des Kontos im Verzeichnis ändern."},
			provisioner.Text{Sentence: "The directory does not allow signing in at this time or from there.", Next: "Sign in at a time that is allowed, or change the account's hours in the directory."}},
		{LoginThrottled, provisioner.WhoNobody,
			provisioner.Text{Sentence: "Zu viele Fehlversuche mit diesem Konto; es geht höchstens 30 Minuten nach dem ersten wieder.", Next: "Abwarten, dann mit dem richtigen Passwort anmelden. Waren die Versuche nicht ihre, rät jemand das Passwort."},
			provisioner.Text{Sentence: "Too many wrong tries with this account; it works again at most 30 minutes after the first.", Next: "Wait, then sign in with the right password. If the tries were not hers, somebody is guessing."}},
		{SourceThrottled, provisioner.WhoNobody,
			provisioner.Text{Sentence: "Zu viele Fehlversuche von dieser Netzadresse; es geht höchstens 10 Minuten nach dem ersten wieder.", Next: "Abwarten, dann noch einmal anmelden, oder von einem anderen Netz aus."},
			provisioner.Text{Sentence: "Too many wrong tries from this network address; it works again at most 10 minutes after the first.", Next: "Wait, then sign in again, or from another network."}},
		{CodeWrong, provisioner.WhoEmployee,
			provisioner.Text{Sentence: "Falscher Code vom Telefon, oder kein gültiger Ersatzcode.", Next: "Auf den nächsten Code warten und ihn eingeben. Ist das Telefon weg: heimdraht person reset-factor."},
			provisioner.Text{Sentence: "Wrong code from the phone, or no valid recovery code.", Next: "Wait for the next code and type it. If the phone is gone: heimdraht person reset-factor."}},
		{CodeUsed, provisioner.WhoEmployee,
			provisioner.Text{Sentence: "Der Code vom Telefon wurde schon benutzt.", Next: "Auf den nächsten Code warten und ihn eingeben."},
			provisioner.Text{Sentence: "The code from the phone was used before.", Next: "Wait for the next code and type it."}},
		{CodeClock, provisioner.WhoEmployee,
			provisioner.Text{Sentence: "Die Uhr des Telefons geht falsch: Der Code gehört zu einer anderen Zeit.", Next: "Die Uhr des Telefons von selbst stellen lassen, dann den nächsten Code eingeben."},
			provisioner.Text{Sentence: "The phone's clock is wrong: the code belongs to another time.", Next: "Let the phone set its clock by itself, then type the next code."}},
		{NoInvitation, provisioner.WhoEmployee,
			provisioner.Text{Sentence: "Diese Einladung gibt es nicht.", Next: "Die Einladung noch einmal und ganz eingeben, oder sich neu einladen lassen: heimdraht invite."},
			provisioner.Text{Sentence: "There is no such invitation.", Next: "Enter the invitation again, all of it, or have another one made: heimdraht invite."}},
		{InvitationSerial, provisioner.WhoHelpdesk,
			provisioner.Text{Sentence: "Die Einladung ist für einen Laptop mit einer anderen Seriennummer.", Next: "Für diesen Laptop neu einladen: heimdraht invite."},
			provisioner.Text{Sentence: "The invitation is for a laptop with another serial number.", Next: "Invite for this laptop: heimdraht invite."}},
		{InvitationNoSerial, provisioner.WhoHelpdesk,
			provisioner.Text{Sentence: "Die Einladung ist für eine Seriennummer, und dieser Laptop nennt keine.", Next: "Ohne Seriennummer einladen: heimdraht invite --any-laptop. Oder mit dem Passwort anmelden."},
			provisioner.Text{Sentence: "The invitation is for a serial number, and this laptop states none.", Next: "Invite without a serial number: heimdraht invite --any-laptop. Or enrol with the password."}},
		{InvitationUsed, provisioner.WhoHelpdesk,
			provisioner.Text{Sentence: "Die Einladung wurde schon benutzt.", Next: "Nachsehen, von welchem Laptop, und neu einladen: heimdraht invite --list --all."},
			provisioner.Text{Sentence: "The invitation has been used already.", Next: "See by which laptop, and invite again: heimdraht invite --list --all."}},
		{InvitationWithdrawn, provisioner.WhoHelpdesk,
			provisioner.Text{Sentence: "Die Einladung wurde zurückgezogen.", Next: "Wenn der Laptop angemeldet werden soll, neu einladen: heimdraht invite."},
			provisioner.Text{Sentence: "The invitation has been withdrawn.", Next: "If the laptop is to be enrolled, invite again: heimdraht invite."}},
		{InvitationReplaced, provisioner.WhoEmployee,
			provisioner.Text{Sentence: "Die Einladung wurde durch eine neuere ersetzt.", Next: "Die neuere Einladung nehmen."},
			provisioner.Text{Sentence: "The invitation was replaced by a newer one.", Next: "Take the newer invitation."}},
		{InvitationExpired, provisioner.WhoHelpdesk,
			provisioner.Text{Sentence: "Die Einladung ist abgelaufen.", Next: "Neu einladen: heimdraht invite."},
			provisioner.Text{Sentence: "The invitation has expired.", Next: "Invite again: heimdraht invite."}},
		{DeviceLimit, provisioner.WhoHelpdesk,
			provisioner.Text{Sentence: "Es sind schon so viele Laptops angemeldet, wie vorgesehen sind ({limit}).", Next: "Einem, der nicht mehr gebraucht wird, den Zugang entziehen: heimdraht device revoke."},
			provisioner.Text{Sentence: "As many laptops are enrolled already as are allowed ({limit}).", Next: "Revoke one that is not needed any more: heimdraht device revoke."}},
	}
}

func catalogueOfLaptop() []Entry {
	return []Entry{
		{NoDevice, provisioner.WhoEmployee,
			provisioner.Text{Sentence: "Es ist noch kein Laptop angemeldet.", Next: "Am Laptop anmelden: heimdraht-agent enrol."},
			provisioner.Text{Sentence: "No laptop has been enrolled yet.", Next: "Enrol at the laptop: heimdraht-agent enrol."}},
		{DeviceRevoked, provisioner.WhoEmployee,
			provisioner.Text{Sentence: "Der Zugang dieses Laptops wurde am {day} entzogen: {reason}.", Next: "Wird er weiter gebraucht und ist er in den richtigen Händen, am Laptop neu anmelden: heimdraht-agent enrol."},
			provisioner.Text{Sentence: "This laptop's access was ended on {day}: {reason}.", Next: "If it is still needed and in the right hands, enrol again at the laptop: heimdraht-agent enrol."}},
		{ApprovalAwaited, provisioner.WhoHelpdesk,
			provisioner.Text{Sentence: "Der neue Laptop wartet auf die Freigabe.", Next: "Nachsehen, ob er es ist, und ihn freigeben oder ablehnen: heimdraht device approve, heimdraht device deny."},
			provisioner.Text{Sentence: "The new laptop waits for approval.", Next: "See that it is the right one, and approve or deny it: heimdraht device approve, heimdraht device deny."}},
		{DeviceSuspended, provisioner.WhoHelpdesk,
			provisioner.Text{Sentence: "Der Zugang dieses Laptops ruht seit dem {day}: {reason}.", Next: "Wenn der Grund entfallen ist, zurückgeben: heimdraht device restore."},
			provisioner.Text{Sentence: "This laptop's access has been suspended since {day}: {reason}.", Next: "When the reason is gone, give it back: heimdraht device restore."}},
		{DeviceSuspendedFor, provisioner.WhoHelpdesk,
			provisioner.Text{Sentence: "Der Zugang dieses Laptops ruht bis zum {until}: {reason}.", Next: "Er kommt dann von selbst zurück; früher mit heimdraht device restore."},
			provisioner.Text{Sentence: "This laptop's access is suspended until {until}: {reason}.", Next: "It comes back by itself then; earlier with heimdraht device restore."}},
		{TenantSuspended, provisioner.WhoHelpdesk,
			provisioner.Text{Sentence: "Der Zugang der ganzen Verwaltung ruht seit dem {day}{until}: {reason}.", Next: "Wenn der Grund entfallen ist, allen zurückgeben: heimdraht access restore --tenant. Was einzeln ruht, ruht dann weiter."},
			provisioner.Text{Sentence: "The access of the whole administration has been suspended since {day}{until}: {reason}.", Next: "When the reason is gone, give it back to all: heimdraht access restore --tenant. What is suspended singly rests on then."}},
		{SuspendedByDirectory, provisioner.WhoNobody,
			provisioner.Text{Sentence: "Der Zugang dieses Laptops ruht, weil das Verzeichnis es so wollte ({reason}); inzwischen ist dort alles in Ordnung.", Next: "Er kommt von selbst zurück, spätestens wenn das Verzeichnis das nächste Mal ganz gelesen ist. Dauert es länger als eine Stunde, weiß der Betrieb mehr."},
			provisioner.Text{Sentence: "This laptop's access rests because the directory wanted it so ({reason}); by now all is well there.", Next: "It comes back by itself, at the latest when the directory is next read as a whole. If it takes more than an hour, ask the operator."}},
		{CertificateExpired, provisioner.WhoEmployee,
			provisioner.Text{Sentence: "Der Ausweis (Zertifikat) dieses Laptops ist am {day} abgelaufen.", Next: "Am Laptop mit dem Passwort neu anmelden: heimdraht-agent enrol. Gerät und Adresse bleiben."},
			provisioner.Text{Sentence: "This laptop's certificate expired on {day}.", Next: "Sign in again at the laptop with the password: heimdraht-agent enrol. Device and address stay."}},
		{RulesUnread, provisioner.WhoEmployee,
			provisioner.Text{Sentence: "Die Hausregeln der Verwaltung sind in ihrer jetzigen Fassung noch nicht bestätigt.", Next: "Am Laptop lesen und bestätigen: heimdraht-agent rules. Wer einen neuen Laptop anmeldet, wird dabei gefragt."},
			provisioner.Text{Sentence: "The administration's house rules have not been acknowledged in their present version.", Next: "Read and acknowledge them at the laptop: heimdraht-agent rules. Whoever enrols a new laptop is asked then."}},
		{SignInNeeded, provisioner.WhoEmployee,
			provisioner.Text{Sentence: "Die Verwaltung verlangt von Zeit zu Zeit eine neue Anmeldung, und die ist fällig.", Next: "Am Laptop wieder anmelden: heimdraht-agent sign-in."},
			provisioner.Text{Sentence: "The administration asks for a new sign-in from time to time, and it is due.", Next: "Sign in again at the laptop: heimdraht-agent sign-in."}},
		{LaptopSilent, provisioner.WhoEmployee,
			provisioner.Text{Sentence: "Der Laptop hat sich seit {age} nicht gemeldet: Er ist aus, schläft oder hat kein Netz.", Next: "Laptop aufwecken und sein Netz prüfen. Er meldet sich dann von selbst."},
			provisioner.Text{Sentence: "The laptop has been silent for {age}: it is off, asleep or without a network.", Next: "Wake the laptop and look at its network. It then reports by itself."}},
		{ServerAway, provisioner.WhoNobody,
			provisioner.Text{Sentence: "Der Server, der die Verbindungen verwaltet, hört den Laptop zurzeit nicht. Die Verbindung steht weiter.", Next: "Nichts zu tun."},
			provisioner.Text{Sentence: "The server that manages the connections does not hear the laptop at present. The connection stands.", Next: "Nothing to do."}},
		{GatewaySilent, provisioner.WhoEmployee,
			provisioner.Text{Sentence: "Der Laptop ist angemeldet, aber zwischen ihm und dem Zugangsserver kommt nichts durch.", Next: "Das Netz, in dem er gerade ist, lässt die Verbindung (UDP) vielleicht nicht durch: Hotel, Gast-WLAN. Ein anderes versuchen, etwa das des Handys. Hilft das nicht, den Helpdesk anrufen."},
			provisioner.Text{Sentence: "The laptop is signed in, but nothing gets through between it and the gateway.", Next: "The network that it is in may not let the connection (UDP) through: hotel, guest Wi-Fi. Try another one, such as the phone's. If that does not help, call the helpdesk."}},
		{OneWay, provisioner.WhoEmployee,
			provisioner.Text{Sentence: "Was der Laptop schickt, kommt beim Zugangsserver an; dessen Antworten kommen nicht zurück.", Next: "Die Firewall des Netzes, in dem er ist, oder die am Laptop hält sie auf. Ein anderes Netz versuchen, etwa das des Handys. Hilft das nicht, muss der Betrieb die Firewall vor dem Zugangsserver prüfen."},
			provisioner.Text{Sentence: "What the laptop sends arrives at the gateway; the gateway's answers do not come back.", Next: "The firewall of the network that it is in, or the laptop's own, stops them. Try another network, such as the phone's. If that does not help, the operator must look at the firewall before the gateway."}},
		{InsideSilent, provisioner.WhoOperator,
			provisioner.Text{Sentence: "Die Verbindung steht, aber aus dem Haus kommt fast nichts zurück.", Next: "Der Betrieb prüft den Rückweg vom Haus zum Zugangsserver und die Firewall dahinter."},
			provisioner.Text{Sentence: "The connection stands, but hardly anything comes back from the office.", Next: "The operator looks at the return route from the office to the gateway, and at the firewall behind it."}},
		{ClockWrong, provisioner.WhoEmployee,
			provisioner.Text{Sentence: "Die Uhr des Laptops geht falsch ({off}).", Next: "Die Uhr stellen, am besten von selbst über das Netz (NTP), dann neu verbinden."},
			provisioner.Text{Sentence: "The laptop's clock is wrong ({off}).", Next: "Set the clock, best by itself over the network (NTP), then connect again."}},
		{AgentOld, provisioner.WhoTenantAdmin,
			provisioner.Text{Sentence: "Das Programm auf dem Laptop ({version}) ist zu alt für den Server ({server}).", Next: "Das Programm auf dem Laptop aktualisieren; wer die Laptops verwaltet, verteilt es."},
			provisioner.Text{Sentence: "The agent on the laptop ({version}) is too old for the server ({server}).", Next: "Update the agent on the laptop; whoever manages the laptops distributes it."}},
	}
}

func catalogueOfPlace() []Entry {
	return []Entry{
		{NoLicence, provisioner.WhoTenantAdmin,
			provisioner.Text{Sentence: "Für diese Verwaltung ist keine Lizenz hinterlegt.", Next: "Lizenzen eintragen: heimdraht apply."},
			provisioner.Text{Sentence: "This administration has no licence on record.", Next: "Declare licences: heimdraht apply."}},
		{LicenceOver, provisioner.WhoTenantAdmin,
			provisioner.Text{Sentence: "Der Vertrag der Lizenzen dieser Verwaltung läuft nicht: Er ist zu Ende oder hat noch nicht begonnen ({pool}).", Next: "Den Vertrag verlängern und eintragen: heimdraht apply."},
			provisioner.Text{Sentence: "The contract of this administration's licences does not run: it is over, or has not begun ({pool}).", Next: "Renew the contract and declare it: heimdraht apply."}},
		{NoSeat, provisioner.WhoNobody,
			provisioner.Text{Sentence: "Alle Plätze sind belegt ({seats}).", Next: "Der Laptop versucht es von selbst weiter, bis einer frei wird. Kommt das oft vor, fehlen Lizenzen."},
			provisioner.Text{Sentence: "All seats are taken ({seats}).", Next: "The laptop goes on trying by itself until one is free. If that happens often, licences are missing."}},
		{SeatAwaited, provisioner.WhoNobody,
			provisioner.Text{Sentence: "Alle Plätze sind belegt. Der Laptop wartet auf einen, an Stelle {position}.", Next: "Er verbindet sich von selbst, sobald er an der Reihe ist. Kommt das oft vor, fehlen Lizenzen."},
			provisioner.Text{Sentence: "All seats are taken. The laptop waits for one, at place {position}.", Next: "It connects by itself as soon as it is its turn. If that happens often, licences are missing."}},
		{NoGateway, provisioner.WhoOperator,
			provisioner.Text{Sentence: "Für diese Verwaltung ist kein Zugangsserver vorgesehen.", Next: "Die Verwaltung bei einem Zugangsserver eintragen (gateways, tenants): heimdraht apply."},
			provisioner.Text{Sentence: "No gateway is meant to serve this administration.", Next: "Add the tenant to a gateway (gateways, tenants): heimdraht apply."}},
		{GatewayAway, provisioner.WhoOperator,
			provisioner.Text{Sentence: "Der Zugangsserver {gateway} hat sich seit {age} nicht gemeldet.", Next: "Der Betrieb sieht mit heimdraht gateway list und auf dem Zugangsserver mit heimdraht-gateway status nach."},
			provisioner.Text{Sentence: "The gateway {gateway} has not been heard of for {age}.", Next: "The operator looks with heimdraht gateway list, and on the gateway with heimdraht-gateway status."}},
		{GatewayFull, provisioner.WhoNobody,
			provisioner.Text{Sentence: "Die Zugangsserver dieser Verwaltung sind voll belegt ({sessions}).", Next: "Der Laptop versucht es von selbst weiter. Kommt das oft vor, braucht es einen weiteren Zugangsserver."},
			provisioner.Text{Sentence: "This administration's gateways are full ({sessions}).", Next: "The laptop goes on trying by itself. If that happens often, it takes another gateway."}},
		{GatewaysResting, provisioner.WhoNobody,
			provisioner.Text{Sentence: "Alle Zugangsserver dieser Verwaltung werden gerade gewartet oder geleert ({gateways}).", Next: "Der Laptop verbindet sich danach von selbst. Bis wann, sieht der Betrieb mit heimdraht gateway show."},
			provisioner.Text{Sentence: "All of this administration's gateways are under maintenance or being drained ({gateways}).", Next: "The laptop connects by itself afterwards. Until when, the operator sees with heimdraht gateway show."}},
		{GatewayBehind, provisioner.WhoOperator,
			provisioner.Text{Sentence: "Der Zugangsserver {gateway} hat noch nicht bestätigt, dass er diesen Laptop einlässt: Er hinkt hinterher.", Next: "Einen Augenblick warten. Bleibt es so, sieht der Betrieb mit heimdraht gateway list und im Log des Zugangsservers nach."},
			provisioner.Text{Sentence: "The gateway {gateway} has not yet confirmed that it lets this laptop in: it lags behind.", Next: "Wait a moment. If it stays so, the operator looks with heimdraht gateway list and in the gateway's log."}},
	}
}

// Cause is why, what to do, and who can.
type Cause struct {
	Code    provisioner.Code
	Who     provisioner.Who
	German  provisioner.Text
	English provisioner.Text
}

// Text is the words in "en", else in German.
func (c Cause) Text(language string) provisioner.Text {
	if language == "en" {
		return c.English
	}
	return c.German
}

// words are a text in both languages.
type words struct{ german, english string }

func same(s string) words { return words{s, s} }

// fill fills a {name} of a cause.
type fill struct {
	name string
	words
}

// because makes a cause of the catalogue, or of the catalogue of refusals.
func because(code provisioner.Code, fills ...fill) Cause {
	e, ok := lookUp(code)
	if !ok {
		return told(provisioner.Refuse(code))
	}
	var german, english []string
	for _, f := range fills {
		german, english = append(german, "{"+f.name+"}", f.german), append(english, "{"+f.name+"}", f.english)
	}
	in := func(t provisioner.Text, pairs []string) provisioner.Text {
		r := strings.NewReplacer(pairs...)
		return provisioner.Text{Sentence: r.Replace(t.Sentence), Next: r.Replace(t.Next)}
	}
	return Cause{Code: code, Who: e.Who, German: in(e.German, german), English: in(e.English, english)}
}

func lookUp(code provisioner.Code) (Entry, bool) {
	for _, e := range Catalogue() {
		if e.Code == code {
			return e, true
		}
	}
	return Entry{}, false
}

// told is a refusal that was given, in the words in which it was. What filled
// them has not been kept.
func told(r *provisioner.Refusal) Cause {
	in := func(language, lead, unknown string) provisioner.Text {
		sentence, next := r.Text(language)
		if next == "" { // of a newer control plane
			next = unknown
		}
		return provisioner.Text{Sentence: lead + withoutGaps(sentence), Next: withoutGaps(next)}
	}
	return Cause{
		Code: r.Code, Who: r.Who(),
		German:  in("de", "Abgelehnt wurde zuletzt mit den Worten: ", "Im Log von heimdrahtd steht mehr."),
		English: in("en", "The last refusal said: ", "The log of heimdrahtd says more."),
	}
}

// withoutGaps puts dots where a {name} has not been filled.
func withoutGaps(s string) string {
	for {
		from := strings.IndexByte(s, '{')
		to := strings.IndexByte(s, '}')
		if from < 0 || to < from {
			return s
		}
		s = s[:from] + "…" + s[to+1:]
	}
}

// SignIn is a sign-in's cause as it was kept (signin, directory) in the words of
// the catalogue; false for one that has none.
func SignIn(kept string) (Cause, bool) {
	switch kept {
	case "locked":
		return because(LockedByTries), true
	case "disabled":
		return because(AccountDisabled), true
	case "not-permitted":
		return because(NotPermitted), true
	case "unavailable":
		return because(DirectoryUnasked), true
	case "misconfigured":
		return because(DirectoryWrong), true
	case "password-too-long":
		return because(PasswordLong), true
	}
	for _, e := range catalogueOfSigningIn() {
		if string(e.Code) == kept {
			return Cause(e), true
		}
	}
	return Cause{}, false
}
