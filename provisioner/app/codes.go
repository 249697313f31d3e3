package app

// SetupEntry is one code of what an operator can put right on the machine or in the
// configuration, as the documents have it. The program adds names and causes.
type SetupEntry struct {
	Code     string
	Sentence string
	Next     string
}

// SetupCatalogue lists every code that heimdrahtd says of itself, in a
// SetupError or a Finding. Codes never change.
func SetupCatalogue() []SetupEntry {
	return []SetupEntry{
		{"wrong-usage", "There is no such command or option.", "See heimdrahtd --help."},
		{"failed", "Something failed for which there is no code.", "Read the cause, and try again. If it stays, report the line: it is a fault of the program."},
		{"check-failed", "A check could not be made.", "Read the cause, and run heimdrahtd check again. If it stays, report the line: it is a fault of the program."},

		{"file-missing", "There is no configuration.", "Make it with: heimdrahtd init, or name it with --config."},
		{"file-invalid", "The configuration cannot be understood.", "Correct the file in the lines that are named."},
		{"file-there", "The file to be written is there already.", "Name another one, or move that one away."},
		{"file-unwritable", "A file cannot be written.", "Run as root, or name another place."},
		{"values-invalid", "The values given to heimdrahtd init cannot be used.", "Correct them and begin again; nothing was made."},
		{"name-missing", "Nobody is there to be asked for the server's name.", "Say it: heimdrahtd init --name NAME."},
		{"address-unusable", "The address to listen on cannot be used.", "Check it in the configuration."},
		{"port-in-use", "Another program uses the port.", "Stop it, perhaps a second heimdrahtd, or change the port in the configuration."},
		{"no-rights", "Ports below 1024 need a capability.", "Choose a higher one, or give CAP_NET_BIND_SERVICE."},

		{"state-missing", "The directory of the database is not there.", "Make it with: heimdrahtd init, or correct state_dir and database."},
		{"state-unusable", "The directory of the database cannot be written.", "Give it to the user that runs heimdrahtd; see that the disk is not full."},
		{"disk-read-only", "The disk of the database is mounted read-only.", "If the kernel did that because of an error (dmesg says so), unmount and check it (fsck); mount it writable and start heimdrahtd again."},
		{"database-missing", "There is no database.", "Make it with: heimdrahtd init."},
		{"database-there", "There is a database already, in use.", "Move it away if it is not needed any more, or name another --state-dir."},
		{"database-in-use", "Another heimdrahtd runs on the database.", "Stop it first: systemctl stop heimdrahtd; on PostgreSQL on every replica."},
		{"database-version", "The database is of another version.", "Use the heimdrahtd that runs on it, or restart that with this version."},
		{"database-unusable", "The database cannot be opened.", "See that the file is whole and belongs to this user, and that the disk is not full."},
		{"database-unreachable", "The database's server cannot be reached, or does not let heimdrahtd in.", "See that it runs, that database in the configuration names it, and that the password is right and may be used from here (pg_hba.conf)."},
		{"database-certificate", "The database's server shows no certificate that can be trusted.", "See that it has TLS on, that its certificate is valid and names the host that database in the configuration names, and that sslrootcert=FILE there names the CA that issued it (else the system's are taken)."},
		{"database-password-unreadable", "The file with the database's password cannot be read.", "See that the file named in database_password_file is there and belongs to the user that runs heimdrahtd, with mode 0600."},
		{"database-rights", "The database's user may not do what a restore needs.", "Make it the owner of the database and of the tables in it."},
		{"postgres-tools-missing", "PostgreSQL's client programs (pg_dump, pg_restore) are not installed.", "Install them, no older than the server (Debian and Ubuntu: postgresql-client), or put their directory into PATH."},
		{"postgres-tools-outdated", "PostgreSQL's client programs are older than the server, or than the backup.", "Install newer ones; the newest that are found are used."},
		{"lock-unusable", "The database cannot be locked.", "Keep it on a disk of this machine, and give the lock file to the user that runs heimdrahtd."},
		{"clock-wrong", "This machine's clock is behind the database, or outside the dates of the keys in it.", "Set the clock, and see that it is kept right (timedatectl)."},

		{"product-pool-shared", "A product's licence pool also gives seats to sessions, of tenants that list no product of it.", "Have those tenants list the product, or take them out of the pool, and apply it: heimdraht apply -f FILE"},

		{"audit-collector-files", "The files for the audit log's collector cannot be used.", "Correct audit.collector in the configuration, and see that the user that runs heimdrahtd may read the files."},

		{"webhook-files", "The secret of the webhook, or who vouches for its receiver, cannot be used.", "Correct warnings.webhook in the configuration: the secret's file belongs to the user that runs heimdrahtd, with mode 0600, and holds a line whsec_… (docs/operation.md says how to make one)."},

		{"master-key-missing", "There is no master key.", "Copy it from another replica or from where its copy is kept. A new one opens nothing that is in the database."},
		{"master-key-exposed", "Others may read the master key.", "Run chmod 600 on it."},
		{"master-key-unusable", "The master key is unusable.", "Copy it again from another replica or from where its copy is kept."},
		{"master-key-unwritable", "The master key cannot be made.", "Run as root, or name another place with --master-key."},
		{"master-key-foreign", "The master key does not belong to the database.", "Copy the right one from another replica or from where its copy is kept."},
		{"keys-missing", "The database holds no keys.", "It was not made by heimdrahtd init, or that was interrupted: move it away and run heimdrahtd init again."},
		{"keys-damaged", "The keys in the database cannot be opened.", "Restore the database from a backup."},

		{"backup-unwritable", "The backup cannot be written.", "Name with --to a file or a directory that the user that runs heimdrahtd may write into."},
		{"backup-failed", "The backup could not be made.", "See that the disk is not full, and that the database is whole: heimdrahtd check."},
		{"backup-missing", "There is no such backup.", "Name with --from a file that heimdrahtd backup has written."},
		{"backup-foreign", "The file is no backup of a control plane.", "Name with --from a file that heimdrahtd backup has written."},
		{"backup-damaged", "The backup is damaged.", "Take another one."},
		{"backup-unreadable", "The backup cannot be read.", "Give it to the user that runs heimdrahtd, and see that its disk is well."},
		{"restore-failed", "The backup could not be copied, or the database's server did not take it in.", "See that the disk of the database is not full, and run the command again."},
		{"restore-unfinished", "A restore was interrupted when all was decided.", "Start heimdrahtd, or run heimdrahtd restore again: both finish it."},
		{"interrupted", "The backup was interrupted, and nothing is left of it.", "Run the command again."},
		{"journal-unreadable", "The revocation journal cannot be read.", "Name with --journal where it lies; give it to the user that runs heimdrahtd."},
		{"journal-incomplete", "Laptops that were revoked after the backup might come back.", "Name further journals with --journal, or take a newer backup; else --accept-lost-revocations, and revoke by hand."},
		{"journal-unwritten", "The revocation journal is damaged or cannot be read.", "Look at the log of heimdrahtd run, which writes it, and that its disk is there and not full."},
		{"rollover-not-begun", "No rollover is at that stage.", "Look how far it is: heimdrahtd rollover ca status."},
		{"rollover-unfinished", "A rollover of the CA is under way already.", "Look how far it is: heimdrahtd rollover ca status."},
		{"rollover-too-early", "Somebody would be lost.", "Wait as it says, or say --now."},

		{"restart-needed", "What was changed in the configuration is read at the start only.", "Restart heimdrahtd: tunnels that stand do not notice."},
		{"certificate-unusable", "The server's certificate cannot be used.", "See that both files in tls are there, readable, PEM, and belong together."},
		{"certificate-not-issued", "The server's certificate cannot be issued.", "Check names in the configuration."},
		{"server-certificate-names", "The server's certificate does not name all names of the server.", "Have it issued for every one, or take out those that nobody uses."},
		{"server-certificate-early", "The server's certificate is not valid yet.", "Set this machine's clock."},
		{"server-certificate-ending", "The server's certificate has ended, or ends soon.", "Renew the certificate named in tls."},

		{"directory-declaration", "A directory cannot be used as it is declared.", "Correct its declaration, and apply it."},
		{"directory-password-file", "The file with the service account's password is missing, unreadable, or readable for everybody.", "Put the password there, give the file to the user that runs heimdrahtd, and run chmod 600 on it."},
		{"directory-connection", "A server of the directory cannot be reached safely.", "Check that it runs, its name, port and certificate, and that ca_file is of its authority."},
		{"directory-service-account", "The directory does not let the service account in.", "Check its DN and its password, and whether it is locked."},
		{"directory-kind", "The directory does not say what it is.", "Let the service account read the root entry and the schema."},
		{"directory-people", "People cannot be read, or not what is needed of them.", "Check the base, and let the service account read people and their attributes."},
		{"gateway-not-joined", "A gateway is declared and has not joined.", "Make a token: heimdraht gateway token NAME."},
	}
}
