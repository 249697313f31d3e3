package main

import (
	"github.com/alecthomas/kong"

	"github.com/heimdraht/heimdraht/cmd/internal/speech"
)

// helpTexts fill the ${names} in the grammar's tags.
func helpTexts(l speech.Language) kong.Vars {
	texts := map[string]words{
		"heimdraht": {"Zugänge zum Homeoffice: suchen, prüfen, entziehen, zählen, einrichten.", "Home-office access: find, check, revoke, count, set up."},
		"output":    {"Form der Ausgabe: Tabelle, oder JSON und CSV für Programme.", "Form of the answer: a table, or JSON and CSV for programs."},
		"lang":      {"Sprache; sonst folgt sie aus LANG.", "Language; else it follows from LANG."},
		"reason":    {"Warum; wird protokolliert.", "Why; it is recorded."},
		"wait":      {"Wie lange auf die Zugangsserver warten, höchstens 60s.", "How long to wait for the gateways, at most 60s."},

		"login":               {"Anmelden.", "Sign in."},
		"login_address":       {"Adresse vom Betrieb: Server und Fingerabdruck. Ohne: wie beim letzten Mal.", "Address from the operator: server and fingerprint. Without: as last time."},
		"login_tenant":        {"Verwaltung; sonst folgt sie aus der Mailadresse.", "Tenant; else it follows from the mail address."},
		"login_login":         {"Benutzername oder Mailadresse.", "User name or mail address."},
		"login_password_file": {"Passwort aus einer Datei; - für die Standardeingabe.", "Password from a file; - for standard input."},
		"login_code_file":     {"Code vom Telefon, oder Ersatzcode, aus einer Datei; - für die Standardeingabe.", "Code from the phone, or recovery code, from a file; - for standard input."},
		"login_token":         {"Mit einem einmaligen Schlüssel anmelden; er wird erfragt.", "Sign in with a one-time token, which is asked for."},
		"login_token_file":    {"Einmaliger Schlüssel aus einer Datei; - für die Standardeingabe.", "One-time token from a file; - for standard input."},
		"logout":              {"Abmelden.", "Sign out."},
		"whoami":              {"Zeigen, wer angemeldet ist.", "Show who is signed in."},

		"factor":            {"Die zweite Bestätigung beim Anmelden: ein Code vom eigenen Telefon.", "The second factor of signing in: a code from one's own phone."},
		"factor_set_up":     {"Das Telefon einrichten, mit einem einmaligen Schlüssel, und anmelden.", "Set up the phone, with a one-time token, and sign in."},
		"factor_token_file": {"Einmaliger Schlüssel aus einer Datei; sonst wird er erfragt.", "One-time token from a file; else it is asked for."},
		"factor_code_file":  {"Der erste Code aus einer Datei, die erst gelesen wird, wenn das Geheimnis gezeigt ist; - für die Standardeingabe.", "The first code from a file, which is read once the secret is shown; - for standard input."},

		"approve":      {"Den eigenen Laptop anmelden, der einen Code zeigt (heimdraht-agent enrol --by-code).", "Enrol one's own laptop, which shows a code (heimdraht-agent enrol --by-code)."},
		"approve_code": {"Der Code, den der Laptop zeigt.", "The code that the laptop shows."},
		"approve_deny": {"Ablehnen: Es ist nicht der eigene.", "Deny: it is not one's own."},
		"yes":          {"Nicht fragen.", "Do not ask."},

		"find":       {"Menschen finden, nach einem Stück von Name, Login, Mail, Laptop, Seriennummer oder ID, nach Adresse oder Schlüssel.", "Find people by a scrap of name, login, mail, laptop, serial number or id, by address or key."},
		"find_query": {"Das Stück.", "The scrap."},
		"find_limit": {"Höchstens so viele, bis 200.", "At most this many, up to 200."},

		"why":       {"Sagen, warum die Verbindung eines Menschen oder Laptops nicht geht, was zu tun ist, und wer es kann.", "Say why the connection of a person or laptop does not work, what to do, and who can."},
		"why_query": {"Person-ID, Geräte-ID (mindestens 6 Zeichen), oder wonach heimdraht find sucht, wenn es einen meint.", "Person id, device id (at least 6 characters), or whatever heimdraht find takes if it means one."},

		"person":               {"Ein Mensch.", "A person."},
		"person_show":          {"Einen Menschen zeigen, mit Laptops und den Gründen letzter Ablehnungen.", "Show a person, with laptops and the causes of recent refusals."},
		"person_revoke":        {"Allen Laptops eines Menschen den Zugang entziehen, endgültig.", "Revoke every laptop of a person, for good."},
		"person_factor_token":  {"Einmaligen Schlüssel machen, mit dem jemand sein Telefon für das Anmelden einrichtet.", "Make the one-time token with which somebody sets up a phone for signing in."},
		"person_reset_factor":  {"Das Telefon ist weg: die zweite Bestätigung zurücksetzen. Hat der Mensch eine Aufgabe hier, bestätigt es jemand zweites.", "The phone is gone: reset the second factor. Of somebody with a role a second person confirms it."},
		"person_checked":       {"Wie festgestellt wurde, dass wirklich dieser Mensch fragt; wird protokolliert.", "How it was made sure that it is really this person who asks; it is recorded."},
		"person_id":            {"Person-ID (heimdraht find zeigt sie).", "Person id (heimdraht find shows it)."},
		"person_external":      {"Jemand steht für einen externen Menschen oder Auszubildenden ein, bis zu einem Tag; oder das verlängern.", "Have somebody answer for an external person or trainee, until a day; or renew that."},
		"person_externals":     {"Externe und Auszubildende zeigen, die nächsten Enden zuerst, und für wen niemand mehr einsteht.", "List external people and trainees, those that end soonest first, and those for whom nobody answers any more."},
		"external_login":       {"Wer: Login, Mailadresse oder Person-ID.", "Who: login, mail address or person id."},
		"external_sponsor":     {"Wer für sie einsteht: Login, Mailadresse oder Person-ID. Ohne: wie bisher.", "Who answers for her: login, mail address or person id. Without: as before."},
		"external_until":       {"Der letzte Tag, höchstens 90 Tage voraus.", "The last day, at most 90 days away."},
		"external_no_longer":   {"Sie gehört ab jetzt zum Haus.", "She belongs to the house from now on."},
		"person_tenant":        {"Verwaltung; nötig nur, wenn mehrere möglich sind.", "Tenant; needed only if there can be more than one."},
		"person_history":       {"Die Verbindungen eines Menschen in den letzten sieben Tagen, zu einem Zweck; wird protokolliert.", "A person's sessions in the last seven days, for a purpose; it is recorded."},
		"person_purpose":       {"Wozu: eine Störung, ein Sicherheitsvorfall, oder der Mensch fragt selbst.", "What for: a fault, a security incident, or the person asks."},
		"person_export":        {"Alles ausgeben, was über einen Menschen gespeichert ist (Auskunft, Art. 15 DSGVO), als JSON. Ohne ID: über einen selbst.", "Hand out everything that is kept of a person (Art. 15 GDPR), as JSON. Without an id: of oneself."},
		"person_export_id":     {"Person-ID; ohne: man selbst.", "Person id; without: oneself."},
		"person_export_reason": {"Warum; wird protokolliert. Nicht nötig für die eigenen Daten.", "Why; it is recorded. Not needed for one's own data."},
		"person_forget":        {"Einen Menschen vergessen, der keinen Zugang mehr hat (Löschung, Art. 17 DSGVO).", "Forget a person who has no access any more (Art. 17 GDPR)."},

		"device":         {"Ein Laptop.", "A laptop."},
		"device_show":    {"Einen Laptop zeigen.", "Show a laptop."},
		"device_revoke":  {"Einem Laptop den Zugang entziehen, endgültig und mit Bestätigung der Zugangsserver.", "Revoke a laptop for good, with the gateways' confirmation."},
		"device_suspend": {"Den Zugang eines Laptops ruhen lassen.", "Suspend a laptop's access."},
		"device_restore": {"Einen ruhenden Zugang zurückgeben.", "Give suspended access back."},
		"device_waiting": {"Zeigen, welche neuen Laptops auf die Freigabe warten.", "Show which new laptops wait for approval."},
		"device_approve": {"Einen neuen Laptop freigeben.", "Approve a new laptop."},
		"device_deny":    {"Einen neuen Laptop ablehnen.", "Deny a new laptop."},
		"device_id":      {"Geräte-ID, oder mindestens ihre ersten 6 Zeichen.", "Device id, or at least the first 6 characters of it."},

		"device_hand_over":    {"Einen Laptop weitergeben: ihm den Zugang entziehen, endgültig, und die Kollegin oder den Kollegen einladen, ihn anzumelden.", "Give a laptop to a colleague: revoke the device for good, and invite him to enrol it."},
		"device_hand_over_to": {"Benutzername oder Mailadresse dessen, der ihn bekommt.", "User name or mail address of who gets it."},

		"invite":            {"Zum Anmelden eines Laptops ohne Passwort einladen, einen oder viele auf einmal.", "Invite people to enrol laptops without a password, one or many at once."},
		"invite_login":      {"Benutzername oder Mailadresse.", "User name or mail address."},
		"invite_serial":     {"Seriennummer des Laptops, an den die Einladung gebunden ist.", "Serial number of the laptop to which the invitation is bound."},
		"invite_name":       {"Wie der Laptop heißen soll; sonst wie er sich selbst nennt.", "What the laptop is to be called; else as it calls itself."},
		"invite_csv":        {"Liste mit Überschrift: Benutzername (oder Mail), Seriennummer, auf Wunsch Gerätename.", "List with a heading: login (or mail), serial number and, if you like, device name."},
		"invite_list":       {"Offene Einladungen zeigen.", "List the open invitations."},
		"invite_all":        {"Zu --list: auch die, die nicht mehr gelten.", "With --list: also those that are over."},
		"invite_withdraw":   {"Eine offene Einladung zurückziehen.", "Withdraw an open invitation."},
		"invite_tenant":     {"Verwaltung; nötig nur, wenn mehrere möglich sind.", "Tenant; needed only if there can be more than one."},
		"invite_any_laptop": {"Auch ohne Seriennummer einladen: Wer die Einladung hat, kann irgendeinen Laptop anmelden.", "Invite without a serial number too: whoever has the invitation can enrol whatever laptop."},
		"invite_days":       {"Wie viele Tage sie gilt, 1 bis 90.", "How many days it is valid, 1 to 90."},
		"invite_out":        {"Neue Datei für die Einladungen, nur für Sie lesbar.", "New file for the invitations, which only you can read."},
		"invite_show":       {"Die Einladungen auf dem Bildschirm zeigen statt in einer Datei.", "Show the invitations on the screen instead of a file."},
		"device_static":     {"Ein Telefon oder einen Router anschließen, mit der WireGuard-App statt des Programms, bis zu einem Tag.", "Connect a phone or a branch router, with WireGuard's app in place of the agent, until a day."},
		"device_lost":       {"Einem verlorenen oder gestohlenen Laptop den Zugang entziehen und es für den Datenschutz melden.", "Revoke a lost or stolen laptop, and report it for the data protection officer."},
		"device_stolen":     {"Er ist gestohlen.", "It is stolen."},
		"device_since":      {"Seit wann er weg ist: 3h, 2d, 2027-01-31 oder 2027-01-31T18:00.", "Since when it is gone: 3h, 2d, 2027-01-31 or 2027-01-31T18:00."},

		"static_replace":     {"Neue Schlüssel und eine neue Datei für ein Gerät; die alte Datei gilt dann nicht mehr.", "New keys and a new file for a device; the former file leads nowhere then."},
		"static_list":        {"Die festen Zugänge zeigen, die nächsten Enden zuerst.", "List the static devices, those that end soonest first."},
		"static_until":       {"Der letzte Tag, höchstens ein Jahr voraus.", "The last day, at most a year away."},
		"static_name":        {"Wie das Gerät heißen soll.", "What the device is called."},
		"static_gateway":     {"Über diesen Zugangsserver; sonst den mit dem meisten Platz.", "Through this gateway; else the one with most room."},
		"static_config_file": {"Die Konfiguration für wg-quick und die Apps in eine neue Datei schreiben, die nur Sie lesen.", "Write the configuration for wg-quick and the apps to a new file that only you can read."},
		"static_qr_file":     {"Den QR-Code als PNG in eine neue Datei schreiben. Ohne beides: auf das Terminal.", "Write the QR code as PNG to a new file. Without both: to the terminal."},

		"sessions":         {"Offene Verbindungen zeigen.", "Show the open sessions."},
		"sessions_tenant":  {"Nur diese Verwaltung.", "Only this tenant."},
		"sessions_gateway": {"Nur dieser Zugangsserver.", "Only this gateway."},
		"sessions_limit":   {"Höchstens so viele; sonst alle.", "At most this many; else all."},
		"concurrency":      {"Zählen, was gerade belegt ist.", "Count what is in use now."},

		"access":           {"Den Zugang vieler auf einmal. Für mehr als 20 Menschen in einer Stunde braucht es zwei.", "The access of many at once. For more than 20 people within an hour it takes two."},
		"access_revoke":    {"Vielen den Zugang entziehen, endgültig.", "Revoke the access of many, for good."},
		"access_suspend":   {"Den Zugang vieler ruhen lassen, auf Wunsch bis zu einem Tag; Plätze werden frei, Laptops bleiben angemeldet.", "Suspend the access of many, until a day if you like; seats are free, laptops stay enrolled."},
		"access_restore":   {"Vielen den Zugang zurückgeben, den suspend mit derselben Auswahl ruhen ließ.", "Give back the access of many that suspend took with the same selection."},
		"access_follow":    {"Zeigen, wie weit etwas Begonnenes ist, und auf die Zugangsserver warten.", "Show how far something is that was begun, and wait for the gateways."},
		"access_follow_id": {"Kennung; steht dabei, wenn etwas noch nicht bestätigt ist.", "Its id; it is named where something is not confirmed yet."},
		"access_tenant":    {"Von dieser Verwaltung.", "Of this tenant."},
		"access_person":    {"Von diesem Menschen (Person-ID).", "Of this person (person id)."},
		"access_gateway":   {"Die gerade über diesen Zugangsserver verbunden sind.", "Those connected over this gateway now."},
		"access_version":   {"Mit dieser Version des Programms.", "With this version of the agent."},
		"access_unused":    {"Die seit so vielen Tagen nicht benutzt wurden, mindestens 30 (heimdraht unused zeigt sie).", "Those not used for so many days, at least 30 (heimdraht unused shows them)."},
		"emergency":        {"Notfall: ohne zweiten Menschen. Wird als solcher protokolliert.", "Emergency: without a second person. It is recorded as such."},
		"access_dry_run":   {"Nur zählen.", "Only count."},
		"access_until":     {"Bis zu diesem Tag; dann kommt der Zugang von selbst zurück.", "Until this day; then access comes back by itself."},

		"unused":      {"Zugänge zeigen, die lange niemand benutzt hat, zur Durchsicht.", "Show access that nobody has used for long, for review."},
		"unused_days": {"Seit so vielen Tagen nicht benutzt, mindestens 30.", "Not used for so many days, at least 30."},
		"lost":        {"Gemeldete verlorene und gestohlene Laptops zeigen, mit Fristen.", "Show reported lost and stolen laptops, with deadlines."},

		"proposals":          {"Was auf einen zweiten Menschen wartet.", "What waits for a second person."},
		"proposals_list":     {"Zeigen, was wartet.", "Show what waits."},
		"proposals_confirm":  {"Bestätigen, was jemand anders vorgeschlagen hat: Es wird getan.", "Confirm what somebody else has proposed: it is done."},
		"proposals_withdraw": {"Einen Vorschlag verwerfen.", "Forget a proposal."},
		"proposals_id":       {"Kennung des Vorschlags.", "The proposal's id."},

		"apply":         {"Verzeichnisse, Verwaltungen, Lizenzen und Zugangsserver aus geprüften Dateien übernehmen.", "Apply directories, tenants, licences and gateways from reviewed files."},
		"apply_file":    {"Datei; mehrfach möglich.", "File; may be repeated."},
		"apply_more":    {"Weitere Dateien.", "Further files."},
		"apply_dry_run": {"Nur zeigen, was sich ändern würde.", "Only show what would change."},

		"gateway":            {"Ein Zugangsserver.", "A gateway."},
		"crisis":             {"Der Krisenbetrieb, den eine Verwaltung vorbereitet hat.", "The crisis mode that a tenant has prepared."},
		"crisis_start":       {"Krisenbetrieb beginnen: Es gilt, was die Datei der Verwaltung dafür vorsieht.", "Begin the crisis mode: what the tenant's file has prepared holds."},
		"crisis_end":         {"Krisenbetrieb beenden.", "End the crisis mode."},
		"crisis_show":        {"Zeigen, was vorbereitet ist und ob es gilt.", "Show what is prepared, and whether it holds."},
		"crisis_tenant":      {"Die Verwaltung.", "The tenant."},
		"crisis_show_tenant": {"Nur diese Verwaltung.", "This tenant only."},

		"gateway_token": {"Einmaligen Schlüssel machen, mit dem ein Zugangsserver beitritt.", "Make the one-time token with which a gateway joins."},
		"gateway_list":  {"Zugangsserver zeigen.", "List the gateways."},
		"gateway_name":  {"Name des Zugangsservers.", "The gateway's name."},

		"directory":         {"Ein Verzeichnis: woher bekannt ist, wer arbeitet und wer gegangen ist.", "A directory: it tells who works here and who has left."},
		"directory_status":  {"Zeigen, wie es um die Verzeichnisse steht.", "Show how the directories are followed."},
		"directory_pending": {"Zeigen, wer den Zugang verlieren würde und auf eine Entscheidung wartet.", "Show who would lose access and waits for a decision."},
		"directory_confirm": {"Bestätigen: Alle auf der Liste verlieren den Zugang.", "Confirm: everybody on the list loses access."},
		"directory_dismiss": {"Verwerfen: Alle auf der Liste behalten den Zugang, das Verzeichnis irrt.", "Dismiss: everybody on the list keeps access, the directory is mistaken."},
		"directory_hash":    {"Kennzeichen der Liste (heimdraht directory pending zeigt es).", "The list's hash (heimdraht directory pending shows it)."},
		"directory_tenant":  {"Die Verwaltung, um die es geht.", "The tenant in question."},

		"directory_test":           {"Die Verzeichnisse einer Datei prüfen, von diesem Rechner aus, Schritt für Schritt.", "Test the directories of a file, from this machine, step by step."},
		"directory_test_directory": {"Nur dieses Verzeichnis.", "Only this directory."},
		"directory_test_login":     {"Auch zeigen, was von diesem Menschen gelesen wird, und ob er einen Laptop anmelden darf.", "Also show what is read of this person, and whether she may enrol a laptop."},

		"directory_migrate":               {"Menschen unter neuen Kennzeichen weiterführen, wenn ein Verzeichnis neu aufgebaut wurde oder eine Verwaltung in ein anderes wechselt; zu zweit.", "Carry people over to changed stable ids, after a directory was rebuilt or when a tenant moves to another one; it takes two."},
		"directory_migrate_map":           {"CSV-Datei: altes und neues Kennzeichen, eine Zeile je Mensch.", "CSV file: old and new stable id, a line a person."},
		"directory_migrate_directory":     {"Das Verzeichnis, um das es geht.", "The directory in question."},
		"directory_migrate_to":            {"Das andere Verzeichnis, in das eine Verwaltung wechselt. Es muss angewendet sein.", "The other directory to which a tenant moves. It must have been applied."},
		"directory_migrate_tenant":        {"Die Verwaltung, die wechselt.", "The tenant that moves."},
		"directory_migrate_file":          {"Datei mit der Verwaltung, wie sie danach sein soll: directory, base und Gruppen. Ohne: nur directory ändert sich.", "File with the tenant as it is to be: directory, base and groups. Without: only directory changes."},
		"directory_migrate_unmapped_gone": {"Wer einen Laptop hat und nicht in der Datei steht, gilt als gelöscht.", "Whoever has a laptop and is not in the map counts as deleted."},
		"directory_migrate_dry_run":       {"Nur zeigen, was sich ändern würde.", "Only show what would change."},
		"directory_migrate_show":          {"Einen Vorschlag zeigen.", "Show a proposal."},
		"directory_migrate_confirm":       {"Den Vorschlag von jemand anderem bestätigen.", "Confirm somebody else's proposal."},
		"directory_migrate_reason":        {"Warum; wird protokolliert. Nötig zum Vorschlagen und Bestätigen.", "Why; it is recorded. Needed to propose and to confirm."},

		"audit":                   {"Das Protokoll: wer wann was warum getan oder angesehen hat.", "The audit log: who did or looked at what, when and why."},
		"audit_list":              {"Einträge zeigen, die neuesten zuerst; auch das wird protokolliert.", "List records, the newest first; that is recorded as well."},
		"audit_list_since":        {"Ab wann: 7d, 12h, 2027-01-31 oder ein Zeitpunkt nach ISO 8601.", "From when on: 7d, 12h, 2027-01-31 or an ISO 8601 time."},
		"audit_list_until":        {"Bis wann (ausschließlich), ebenso.", "Until when (exclusive), likewise."},
		"audit_list_actor":        {"Nur was diese getan haben: ID oder ein Stück des Namens.", "Only what they did: id or a part of the name."},
		"audit_list_person":       {"Nur was diese Person betrifft (ID).", "Only what concerns this person (id)."},
		"audit_list_device":       {"Nur was diesen Laptop betrifft (ID oder ihr Anfang).", "Only what concerns this laptop (id or its beginning)."},
		"audit_list_action":       {"Nur diese Handlung, etwa 'revoke device'.", "Only this action, such as 'revoke device'."},
		"audit_list_limit":        {"Höchstens so viele; 0: alle.", "At most this many; 0: all."},
		"audit_export":            {"Das ganze Protokoll als Datei ausgeben, die sich ohne Server prüfen lässt.", "Write the whole log to a file that can be verified without a server."},
		"audit_export_file":       {"Die neue Datei (JSON lines).", "The new file (JSON lines)."},
		"audit_export_tenant":     {"Nur diese Verwaltung; sonst alles, was Sie sehen dürfen.", "Only this tenant; else everything that you may see."},
		"audit_key":               {"Den öffentlichen Schlüssel zeigen, mit dem geprüft wird (PEM).", "Show the public key that verifies (PEM)."},
		"audit_verify":            {"Eine ausgegebene Datei prüfen; braucht keinen Server.", "Verify an exported file; needs no server."},
		"audit_verify_file":       {"Die Datei von heimdraht audit export.", "The file of heimdraht audit export."},
		"audit_verify_key":        {"Öffentlicher Schlüssel, wie ihn heimdraht audit key zeigt.", "Public key, as heimdraht audit key shows it."},
		"audit_verify_checkpoint": {"Prüfpunkte, die anderswo aufbewahrt wurden: vom Sammler, oder eine ältere Datei von audit export.", "Checkpoints that were kept elsewhere: the collector's, or an older file of audit export."},

		"version": {"Version zeigen.", "Show the version."},
	}
	vars := kong.Vars{}
	for key, text := range texts {
		vars[key] = text.in(l)
	}
	return vars
}
