package privacy

// Words are a text in both languages.
type Words struct{ German, English string }

// In is the text in "en", else in German.
func (w Words) In(language string) string {
	if language == "en" {
		return w.English
	}
	return w.German
}

// Keeping says in words what a table keeps of people.
type Keeping struct {
	What, Why, Until, Seen Words
	End                    Words // what becomes of it when somebody is forgotten
}

// Keepings says of each table of store.PersonalTables what it keeps of people, why, for how
// long, who sees it, and what forgetting leaves. docs/data-protection.md and
// docs/datenschutz.md are made from it.
func Keepings() map[string]Keeping {
	nobody := Words{"niemand; nur das Programm selbst", "nobody; the program alone"}
	desk := Words{"Helpdesk, Verwaltung des Zugangs, Betrieb; der Blick auf eine einzelne Person wird protokolliert", "helpdesk, tenant administrator, operator; a look at a single person is recorded"}
	admins := Words{"Verwaltung des Zugangs, Betrieb; der Blick auf eine einzelne Person wird protokolliert", "tenant administrator, operator; a look at a single person is recorded"}
	goes := Words{"wird gelöscht", "goes"}
	last := Words{"wird gelöscht, sobald keine andere Verwaltung die Person mehr kennt", "goes, once no other tenant knows the person"}
	departure := Words{"bis die Person vergessen wird (heimdraht person forget)", "until the person is forgotten (heimdraht person forget)"}
	week := Words{"sieben Tage nach dem Ende, dann gelöscht", "seven days after its end, then deleted"}
	return map[string]Keeping{
		"person": {
			What:  Words{"Name, Login, Mailadresse und Kennzeichen im Verzeichnis; dasselbe in Suchform", "name, login, mail address and stable id in the directory; the same folded for searching"},
			Why:   Words{"zu wissen, wessen Zugang es ist", "to know whose access it is"},
			Until: departure, Seen: desk, End: last,
		},
		"standing": {
			What:  Words{"was das Verzeichnis zuletzt sagte: Gruppen, die etwas entscheiden, ob das Konto oder das Passwort zu Ende ist, wann das Passwort zuletzt gesetzt wurde, wann gelesen", "what the directory last said: groups that decide something, whether account or password has ended, when the password was last set, when it was read"},
			Why:   Words{"zu entscheiden, wer Zugang hat", "to decide who has access"},
			Until: departure, Seen: desk, End: goes,
		},
		"held_loss": {
			What:  Words{"dass die Person nach dem Verzeichnis ihren Zugang verlöre, und warum", "that by the directory's word the person would lose access, and why"},
			Why:   Words{"damit ein Versehen im Verzeichnis niemanden aussperrt", "so that a slip in the directory cuts nobody off"},
			Until: Words{"bis jemand entschieden hat, höchstens eine Woche danach", "until somebody has decided, and a week at most after that"}, Seen: desk, End: goes,
		},
		"device": {
			What:  Words{"Laptops, Telefone und Router: Name, Seriennummer, System, Version unseres Programms, öffentlicher Schlüssel, wann angemeldet, bis wann das Zertifikat gilt oder der Zugang ohne unser Programm, wann zuletzt das Passwort geprüft wurde (nur das letzte Mal), ob und warum der Zugang entzogen ist; von dem, was die Verwaltung von Laptops verlangt (wie eine verschlüsselte Festplatte), ob der Laptop es zuletzt erfüllte: ja, nein oder nicht bekannt, und seit welchem Tag nicht", "laptops, phones and routers: name, serial number, platform, agent version, public key, when enrolled, until when the certificate holds or access without an agent, when the password was last proved (the last time only), whether and why revoked; of what the tenant asks of laptops (such as an encrypted disk) whether the laptop met it last: yes, no or not known, and since which day not"},
			Why:   Words{"der Zugang selbst, und der Beweis, dass er weg ist", "the access itself, and the proof that it is gone"},
			Until: departure, Seen: desk, End: goes,
		},
		"suspension": {
			What:  Words{"dass der Zugang eines Laptops ruht, seit wann, bis wann und warum", "that a laptop's access rests, since when, until when and why"},
			Why:   Words{"Zugang, der ruht, kann zurückgegeben werden", "suspended access can be given back"},
			Until: Words{"bis er zurückgegeben wird", "until it is given back"}, Seen: desk, End: goes,
		},
		"person_suspension": {
			What:  Words{"dass der Zugang der Person ruht (etwa in Elternzeit), seit wann, bis wann und warum", "that the person's access rests (parental leave, say), since when, until when and why"},
			Why:   Words{"damit auch ein neuer Laptop so lange keinen Zugang hat", "so that a new laptop has no access meanwhile either"},
			Until: Words{"bis er zurückgegeben wird oder die Zeit um ist", "until it is given back or its time is over"}, Seen: desk, End: goes,
		},
		"session": {
			What:  Words{"Verbindungen: Laptop, Zugangsserver, Adresse im Haus, von wann bis wann, seit wann der Laptop die nächste hat, bis wann längstens, warum beendet, letzte Lebenszeichen, Datenmengen, wann zuletzt gearbeitet wurde (nur solange sie offen ist), was die Uhr des Laptops zeigte", "sessions: laptop, gateway, inside address, from when to when, since when the laptop has the next one, until when at most, why it ended, last signs of life, bytes, when somebody last worked (only while it is open), what the laptop's clock showed"},
			Why:   Words{"die Verbindung selbst; danach Störungssuche und Aufklärung von Vorfällen", "the connection itself; afterwards finding faults and clearing up incidents"},
			Until: week,
			Seen:  Words{"wer gerade verbunden ist: Helpdesk; vergangene: nur einzeln, mit Zweck und Grund, höchstens 20 am Tag, jeder Blick wird protokolliert; deren Mengen und Lebenszeichen: niemand", "who is connected now: helpdesk; past ones: one person at a time, with purpose and reason, 20 a day at most, each look is recorded; their bytes and signs of life: nobody"},
			End:   goes,
		},
		"former_address": {
			What:  Words{"welche Adresse ein Laptop zuletzt hatte, und an welchem Tag (nicht wann)", "which address a laptop had last, and on which day (not at what time)"},
			Why:   Words{"damit er dieselbe wiederbekommt, und damit ungenutzte Zugänge auffallen", "so that it gets the same one again, and that unused access is found"},
			Until: departure,
			Seen:  Words{"der letzte Tag, wenn er lange her ist (heimdraht unused): Helpdesk, Verwaltung des Zugangs, Betrieb", "the last day, when it is long ago (heimdraht unused): helpdesk, tenant administrator, operator"}, End: goes,
		},
		"static_peer": {
			What:  Words{"was ein Telefon oder Router ohne unser Programm belegt: Zugangsserver, aus welchem Vertrag die Lizenz ist, Adresse", "what a phone or router without an agent holds: gateway, licence pool, address"},
			Why:   Words{"seine Datei lässt sich nicht ändern, also muss beides so bleiben", "its file cannot be changed, so they have to stay as they are"},
			Until: Words{"bis dem Gerät der Zugang entzogen wird oder es eine neue Datei bekommt, höchstens ein Jahr", "until the device is revoked or gets a new file, a year at most"}, Seen: desk, End: goes,
		},
		"external_person": {
			What:  Words{"dass jemand extern oder in Ausbildung ist: wer für sie einsteht, bis wann und warum", "that somebody is external or a trainee: who answers for her, until when and why"},
			Why:   Words{"damit solcher Zugang endet, wenn niemand ihn verlängert", "so that such access ends unless somebody renews it"},
			Until: departure, Seen: Words{"Helpdesk, Verwaltung des Zugangs, Betrieb; wer für sie einsteht", "helpdesk, tenant administrator, operator; who answers for her"},
			End: Words{"wird gelöscht; für wen die Person einsteht, für den steht dann niemand mehr ein", "goes; nobody answers any more for those for whom the person answers"},
		},
		"named_seat": {
			What:  Words{"Lizenzen, die einem Menschen zugeteilt sind: aus welchem Vorrat, seit wann, durch wen, an welchem Tag zuletzt gebraucht (ein Tag, keine Uhrzeit; bei Produkten nie: deren Benutzung wird ohne den Menschen gezählt)", "licences that are assigned to a person: of which pool, since when, by whom, on which day last used (a day, no time; never for products, whose use is counted without the person)"},
			Why:   Words{"manche Verträge gelten je Mensch; wer eine lange nicht braucht, macht sie frei", "some contracts are by person; whoever has not used one for long makes room"},
			Until: Words{"bis sie zurückgenommen wird: durch jemanden, ungebraucht nach der Zeit im Vorrat (nicht bei Produkten), oder mit dem Ende des Zugangs; bindet der Vertrag sie länger, bis dahin", "until it is taken back: by somebody, unused after the pool's time (not for products), or when access ends; if the contract binds it longer, until then"},
			Seen:  Words{"Verwaltung des Zugangs, Betrieb, Helpdesk; Planung nur Zahlen", "tenant administrator, operator, helpdesk; planners only counts"},
			End:   Words{"wird frei; bindet der Vertrag sie länger, zählt sie so lange weiter und ist niemandes", "becomes free; if the contract binds it longer, it is counted that long and is nobody's"},
		},
		"invitation": {
			What:  Words{"wer welchen Laptop anmelden soll, wer dazu eingeladen hat, und was daraus wurde; der Schlüssel nur als Prüfsumme", "who is to enrol which laptop, who invited her, and what came of it; the token as a hash only"},
			Why:   Words{"damit ein Laptop ohne Passwort angemeldet werden kann, von einer Person und einmal", "so that a laptop can be enrolled without a password, by one person and once"},
			Until: Words{"90 Tage, nachdem sie abgelaufen ist", "90 days after it has expired"}, Seen: Words{"Helpdesk, Verwaltung des Zugangs, Betrieb", "helpdesk, tenant administrator, operator"},
			End: Words{"wird gelöscht; wer eingeladen hat, bleibt so lange mit Namen stehen", "goes; who invited stands there by name that long"},
		},
		"acknowledgement": {
			What:  Words{"dass jemand die Hausregeln einer Fassung zur Kenntnis genommen hat, wann, und an welchem Laptop", "that somebody has acknowledged a version of the house rules, when, and on which laptop"},
			Why:   Words{"Zugang setzt es voraus", "access takes it"},
			Until: Words{"die jüngste, bis die Person vergessen wird; frühere ein Jahr", "the latest until the person is forgotten; earlier ones for a year"}, Seen: nobody, End: goes,
		},
		"waiting_laptop": {
			What:  Words{"Laptops, die mit einem Code auf ihre Bestätigung warten: Name, Seriennummer, System, öffentlicher Schlüssel, Netzadresse; danach, wem sie gehören", "laptops that wait for approval with a code: name, serial number, platform, public key, network address; afterwards whose they are"},
			Why:   Words{"damit man den richtigen Laptop bestätigt", "so that the right laptop is approved"},
			Until: Words{"einen Tag", "a day"}, Seen: Words{"wer den Code hat", "who has the code"}, End: goes,
		},
		"seat_queue": {
			What:  Words{"Laptops, die auf einen freien Platz warten: wessen, seit wann, ob gerade verbunden", "laptops that wait for a seat: whose, since when, whether connected just now"},
			Why:   Words{"damit der Reihe nach drankommt, wer wartet", "so that those who wait get their turn"},
			Until: Words{"bis sie an der Reihe sind; ohne Verbindung drei Minuten", "until it is their turn; without a connection three minutes"}, Seen: desk, End: goes,
		},
		"used_key": {
			What:  Words{"öffentliche Schlüssel, die je benutzt wurden, mit der Nummer des Laptops", "public keys that were ever used, with the laptop's id"},
			Why:   Words{"ein toter Schlüssel darf nicht wiederkommen", "a dead key must not return"},
			Until: Words{"für immer", "for ever"}, Seen: nobody,
			End: Words{"der Schlüssel bleibt, ohne zu sagen, wessen er war", "the key stays, and does not say whose it was"},
		},
		"change": {
			What:  Words{"Nummern von Laptops und Verbindungen, an denen sich etwas geändert hat, ohne Zeit; auch die Nummer von Vergessenen", "ids of laptops and sessions at which something changed, without a time; also the id of who was forgotten"},
			Why:   Words{"damit Zugangsserver und das Journal neben den Sicherungen erfahren, was sich geändert hat", "so that gateways, and the journal beside the backups, learn what has changed"},
			Until: Words{"bis 100.000 neuere Änderungen da sind", "until there are 100,000 newer changes"}, Seen: nobody,
			End: Words{"bleibt so lange; die Nummern führen zu niemandem mehr", "stays that long; the ids lead to nobody any more"},
		},
		"recent_refusal": {
			What:  Words{"abgelehnte Anmeldungen und Verbindungen: wann, getippter Login, Grund, Netzadresse", "refused sign-ins and openings: when, the login as typed, the cause, the network address"},
			Why:   Words{"damit der Helpdesk sieht, warum etwas nicht geht, und Angriffe auffallen", "so that the helpdesk sees why something does not work, and attacks are noticed"},
			Until: Words{"90 Tage; von einer Person höchstens 50", "90 days; of one person 50 at most"},
			Seen:  Words{"die letzten zehn: Helpdesk, Verwaltung des Zugangs, Betrieb; jeder Blick wird protokolliert", "the last ten: helpdesk, tenant administrator, operator; each look is recorded"}, End: goes,
		},
		"throttle": {
			What:  Words{"wie viele falsche Passwörter oder Codes, unter Login, Kennzeichen oder Netzadresse; wie viele Verläufe jemand angesehen hat", "how many wrong passwords or codes, by login, stable id or network address; how many histories somebody looked at"},
			Why:   Words{"gegen das Raten, und gegen massenhaftes Nachsehen", "against guessing, and against looking in bulk"},
			Until: Words{"einen Tag", "a day"}, Seen: nobody, End: goes,
		},
		"factor": {
			What:  Words{"das Geheimnis der zweiten Bestätigung, verschlüsselt; seit wann; die halbe Minute des letzten Codes", "the secret of the second factor, encrypted; since when; the half minute of the last code"},
			Why:   Words{"wer Aufgaben hat, braucht mehr als ein Passwort", "whoever has a role needs more than a password"},
			Until: Words{"bis sie zurückgesetzt oder die Person vergessen wird", "until it is reset, or the person is forgotten"}, Seen: nobody, End: last,
		},
		"recovery_code": {
			What:  Words{"Prüfsummen der Ersatzcodes", "hashes of the recovery codes"},
			Why:   Words{"um ohne Telefon hineinzukommen", "to get in without the phone"},
			Until: Words{"bis sie benutzt oder zurückgesetzt sind", "until they are used or reset"}, Seen: nobody, End: last,
		},
		"staff_token": {
			What:  Words{"wer an der Kommandozeile angemeldet ist: Name, Rechte, bis wann; der Schlüssel nur als Prüfsumme", "who is signed in at the command line: name, rights, until when; the token as a hash only"},
			Why:   Words{"damit niemand für jeden Befehl sein Passwort eingibt", "so that nobody types a password for each command"},
			Until: Words{"bis die Anmeldung abläuft, wenige Stunden", "until the sign-in expires, a few hours"}, Seen: nobody, End: goes,
		},
		"one_time_token": {
			What:  Words{"dass jemand einen einmaligen Schlüssel bekommen hat, um das Telefon einzurichten; nur als Prüfsumme", "that somebody got a one-time token to set up the phone; as a hash only"},
			Why:   Words{"damit er nur einmal gilt", "so that it works once"},
			Until: Words{"bis zum nächsten, oder bis die Person vergessen wird", "until the next one, or until the person is forgotten"}, Seen: nobody, End: last,
		},
		"proposal": {
			What:  Words{"was jemand vorgeschlagen hat und ein zweiter bestätigen muss: um wen es geht, warum, von wem", "what somebody has proposed and a second person must confirm: about whom, why, by whom"},
			Why:   Words{"vier Augen", "four eyes"},
			Until: Words{"einen Tag", "a day"}, Seen: Words{"wer bestätigen darf", "who may confirm it"}, End: goes,
		},
		"taken_alone": {
			What:  Words{"wessen Zugang jemand vom Helpdesk allein genommen oder zurückgegeben hat, und wann", "whose access somebody of the helpdesk has taken, or given back, alone, and when"},
			Why:   Words{"bei mehr als 20 Menschen in einer Stunde braucht es jemand zweites", "of more than 20 people within an hour it takes a second person"},
			Until: Words{"eine Stunde, höchstens zwei", "an hour, two at most"}, Seen: nobody, End: goes,
		},
		"taking": {
			What:  Words{"der Auftrag, den Zugang vieler zu nehmen oder zurückzugeben: wessen, warum, von wem", "the order to take, or give back, the access of many: whose, why, by whom"},
			Why:   Words{"damit er nach einem Absturz weitergeht", "so that it goes on after a crash"},
			Until: Words{"sieben Tage, nachdem er getan ist", "seven days after it is done"}, Seen: Words{"wer ihn gegeben hat, und wer es auch dürfte", "who gave it, and who might have"},
			End: Words{"bleibt die sieben Tage", "stays for the seven days"},
		},
		"identity_change": {
			What:  Words{"der Vorschlag, Menschen nach einem Neubau des Verzeichnisses unter anderem Kennzeichen zu führen: von wem, warum", "the proposal to know people by other stable ids after a directory was rebuilt: by whom, why"},
			Why:   Words{"vier Augen", "four eyes"},
			Until: Words{"bis er getan ist, sonst sieben Tage", "until it is done, else seven days"}, Seen: admins, End: Words{"wer ihn gemacht hat, bleibt so lange stehen", "who made it stands there that long"},
		},
		"identity_change_person": {
			What:  Words{"altes und neues Kennzeichen einer Person", "a person's former and new stable id"},
			Why:   Words{"damit dieselbe Person dieselbe bleibt", "so that the same person stays the same"},
			Until: Words{"bis es getan ist, sonst sieben Tage", "until it is done, else seven days"}, Seen: admins, End: last,
		},
		"tenant_move": {
			What:  Words{"der Vorschlag, eine Verwaltung in ein anderes Verzeichnis umzuziehen: von wem, warum", "the proposal to move a tenant to another directory: by whom, why"},
			Why:   Words{"vier Augen", "four eyes"},
			Until: Words{"bis er getan ist, sonst sieben Tage", "until it is done, else seven days"}, Seen: admins, End: Words{"wer ihn gemacht hat, bleibt so lange stehen", "who made it stands there that long"},
		},
		"tenant_move_person": {
			What:  Words{"altes und neues Kennzeichen, Name und Login einer Person im neuen Verzeichnis", "a person's former and new stable id, name and login in the new directory"},
			Why:   Words{"damit dieselbe Person dieselbe bleibt", "so that the same person stays the same"},
			Until: Words{"bis es getan ist, sonst sieben Tage", "until it is done, else seven days"}, Seen: admins, End: goes,
		},
		"diagnosis": {
			What:  Words{"was jemand von ihrem Laptop aus als Störung gemeldet hat: wie die Verbindung in diesem Augenblick stand, Glied für Glied, und ihre eigenen Worte; vor dem Senden gezeigt", "what somebody reported from her laptop as a fault: how the connection stood at that moment, link by link, and her own words; shown before it is sent"},
			Why:   Words{"damit der Helpdesk den Fehler findet", "so that the helpdesk finds the fault"},
			Until: Words{"14 Tage, dann gelöscht", "14 days, then deleted"}, Seen: desk, End: goes,
		},
		"lost_device": {
			What:  Words{"Meldung eines verlorenen oder gestohlenen Laptops: wessen, seit wann weg, wann und von wem gemeldet, warum, ob seither verbunden, wann der Zugang zu Ende war", "the report of a lost or stolen laptop: whose, since when it is gone, when and by whom it was reported, why, whether it was connected since, when access ended"},
			Why:   Words{"die 72 Stunden und die Dokumentation nach Art. 33 DSGVO", "the 72 hours, and the documentation of Art. 33 GDPR"},
			Until: Words{"drei Jahre nach der Meldung, dann gelöscht", "three years after the report, then deleted"}, Seen: admins,
			End: Words{"bleibt (Art. 17 Abs. 3 b DSGVO), ohne Person und Laptop", "stays (Art. 17(3)(b) GDPR), without person and laptop"},
		},
		"audit_record": {
			What: Words{"Protokoll: wer wann woher was an wem warum geändert oder angesehen hat; nie, wer wann verbunden war", "audit log: who changed or looked at what, of whom, when, from where and why; never who was connected when"},
			Why:  Words{"Nachweis der Rechte (IT-Grundschutz NET.3.3.A1, ORP.4.A3) und der Rechenschaft (Art. 5 Abs. 2 DSGVO)", "proof of rights (IT-Grundschutz NET.3.3.A1, ORP.4.A3) and accountability (Art. 5(2) GDPR)"},
			Until: Words{"Anmeldungen, Blicke und Ablehnungen 90 Tage, Änderungen drei Jahre (einstellbar); dann verschwindet der Inhalt, die Kette bleibt prüfbar",
				"sign-ins, looks and refusals 90 days, changes three years (configurable); then the contents go, and the chain still verifies"},
			Seen: admins,
			End: Words{"was nur die Person betrifft, verschwindet nach 90 Tagen statt nach drei Jahren: so lange muss sich ein Angriff aufklären lassen (Art. 17 Abs. 3 e). Was sie als Helpdesk oder Verwaltung an anderen getan hat, bleibt seine Zeit: Es belegt deren Rechte (Abs. 3 b). Dass sie vergessen wurde, bleibt unter ihrer Nummer",
				"what is about the person alone goes after 90 days instead of three years: that long an attack must be possible to clear up (Art. 17(3)(e)). What she did to others as helpdesk or administrator stays its time: it proves their rights (para. 3(b)). That she was forgotten stays under her id"},
		},
		"audit": {
			What:  Words{"Protokoll der Anlage als ganzer, und Einträge von Verwaltungen aus der Zeit, als sie keine eigene Kette hatten", "audit log of the installation as a whole, and tenants' records from before they had chains of their own"},
			Why:   Words{"wie audit_record", "as audit_record"},
			Until: Words{"wie audit_record", "as audit_record"}, Seen: Words{"Betrieb; was eine Verwaltung betrifft, auch deren Verwaltung des Zugangs", "operator; what concerns a tenant, its administrators too"},
			End: Words{"wie audit_record", "as audit_record"},
		},
	}
}
