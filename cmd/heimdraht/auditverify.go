package main

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/provisioner/audit"
)

type auditVerifyCommand struct {
	File       string   `arg:"" name:"file" help:"${audit_verify_file}"`
	Key        string   `placeholder:"FILE" help:"${audit_verify_key}"`
	Checkpoint []string `sep:"none" placeholder:"FILE" help:"${audit_verify_checkpoint}"`
}

const publicKeyType = "PUBLIC KEY"

// Run verifies an exported file. It asks no control plane.
func (c *auditVerifyCommand) Run(_ context.Context, a *app) error {
	var o audit.VerifyOptions
	var err error
	if c.Key != "" {
		if o.Keys, err = readKeys(c.Key); err != nil {
			return err
		}
	}
	for _, file := range c.Checkpoint {
		list, err := readCheckpoints(file)
		if err != nil {
			return err
		}
		o.Checkpoints = append(o.Checkpoints, list...)
	}
	f, err := os.Open(c.File)
	if err != nil {
		return unreadable(c.File, err)
	}
	defer f.Close()
	report, err := audit.VerifyExport(f, o)
	var fault *audit.ExportFault
	switch {
	case errors.As(err, &fault):
		return notWhole(c.File, fault)
	case errors.Is(err, audit.ErrSignature):
		return problem(codeAuditBroken,
			words{"Ein angegebener Prüfpunkt trägt nicht die Unterschrift dieses Schlüssels.", "A checkpoint that was given does not carry this key's signature."},
			words{"Entweder wurde er verändert, oder der Schlüssel gehört nicht dazu.", "Either it was changed, or the key is another one."})
	case err != nil:
		return unreadable(c.File, err)
	case len(c.Checkpoint) > 0 && report.Held == 0:
		return problem(codeAuditBroken,
			words{"Keiner der angegebenen Prüfpunkte betrifft diese Datei.", "None of the checkpoints that were given is about this file."},
			words{"Nehmen Sie einen derselben Installation und Verwaltung.", "Take one of the same installation and tenant."})
	}
	return a.sayVerified(report)
}

// notWhole says where a file is not what was written.
func notWhole(file string, fault *audit.ExportFault) *control.Problem {
	next := words{"Heben Sie die Datei auf, und klären Sie, wer sie oder die Datenbank verändern konnte. Geben Sie das Protokoll noch einmal aus: Ist auch das nicht heil, liegt es an der Datenbank.",
		"Keep the file, and find out who could change it or the database. Export the log again: if that is not whole either, it is the database."}
	if fault.Line == 1 {
		next = words{"Ist es die richtige Datei, eine von heimdraht audit export? " + next.de, "Is it the right file, one of heimdraht audit export? " + next.en}
	}
	german := fmt.Sprintf("%s ist nicht heil, Zeile %d: %s.", file, fault.Line, fault.Why)
	if b := fault.Broken; b != nil {
		german = fmt.Sprintf("%s ist nicht heil, Zeile %d: %s Eintrag %d %s (%s).", file, fault.Line, chainGerman(fault.Chain), b.Seq, faultGerman(b.Fault), b.Detail)
	}
	return problem(codeAuditBroken, words{german, fmt.Sprintf("%s is not whole: %s.", file, fault.Error())}, next)
}

func chainGerman(chain string) string {
	if chain == "" {
		return "In der Kette der Installation"
	}
	return "In der Kette von " + chain
}

func faultGerman(f audit.Fault) string {
	switch f {
	case audit.FaultChanged:
		return "wurde verändert"
	case audit.FaultMissing:
		return "fehlt"
	case audit.FaultDisorder:
		return "steht nicht an seinem Platz"
	case audit.FaultAdded:
		return "wurde hinzugefügt"
	case audit.FaultCutOff:
		return "und alle danach fehlen"
	case audit.FaultHead:
		return "ist ein anderer, als unterschrieben wurde"
	default:
		return "ist nicht in Ordnung"
	}
}

// sayVerified tells what holds, and what that does not prove.
func (a *app) sayVerified(r audit.Report) error {
	rows := make([]audit.ChainReport, len(r.Chains))
	copy(rows, r.Chains)
	if err := list(a.printer, "chains", chainColumns(), rows,
		pair{"installation", r.Installation}, pair{"checkpoint_at", r.At.UTC().Format(time.RFC3339)}, pair{"complete", r.Complete},
		pair{"key_id", string(r.Key)}, pair{"key_given", r.KeyGiven}, pair{"checkpoints_met", int64(r.Held)},
		pair{"earlier_records", r.Earlier}, pair{"earlier_erased", r.EarlierErased},
	); err != nil || a.form != formTable {
		return err
	}
	a.say(words{})
	a.say(words{"Kein Eintrag ist verändert, verschoben, hinzugefügt oder fehlt, bis zum Prüfpunkt vom %s.", "No record is changed, moved, added or missing, up to the checkpoint of %s."}, a.time(r.At))
	if r.Earlier > 0 {
		a.say(words{"Dazu kommen %d ältere Einträge aus der Kette der Installation. Jeder stimmt in sich; dass keiner fehlt und alle echt sind, zeigt nur deren Ausgabe durch den Betrieb.",
			"There are %d earlier records of the installation's chain besides. Each agrees with itself; that none is missing and all are genuine, only the operator's export of that chain shows."}, r.Earlier)
	}
	if !r.Complete {
		a.say(words{"Die Datei ist die einer Verwaltung.", "The file is one tenant's."})
	}
	if !r.KeyGiven {
		a.say(words{"Der Schlüssel stammt aus der Datei selbst. Wer sie ganz neu schreibt, legt einen eigenen hinein: Geben Sie mit --key den an, den heimdraht audit key gezeigt hat (Kennung %s).",
			"The key is the file's own. Who writes it all anew puts in one of his: give with --key the one that heimdraht audit key has shown (id %s)."}, string(r.Key))
	}
	if r.Held == 0 {
		a.say(words{"Ohne einen Prüfpunkt, der anderswo aufbewahrt wurde (--checkpoint), zeigt das nicht: ein Ende, das zusammen mit seinem Prüfpunkt abgeschnitten wurde, und eine Kette, die jemand mit dem Schlüssel ganz neu geschrieben hat.",
			"Without a checkpoint that was kept elsewhere (--checkpoint) this does not show: an end that was cut off together with its checkpoint, and a chain that somebody with the key has written all anew."})
	} else {
		a.say(words{"Dazu passen %d Köpfe aus den Prüfpunkten, die anderswo aufbewahrt wurden.", "%d heads of the checkpoints that were kept elsewhere agree with it."}, r.Held)
	}
	return nil
}

func chainColumns() []column[audit.ChainReport] {
	return []column[audit.ChainReport]{
		{"chain", words{"Kette", "chain"}, func(c audit.ChainReport) any {
			if c.Chain == "" {
				return shown{"", words{"(Installation)", "(installation)"}}
			}
			return c.Chain
		}},
		{"records", words{"Einträge", "records"}, func(c audit.ChainReport) any { return c.Records }},
		{"last", words{"letzter", "last"}, func(c audit.ChainReport) any { return c.Last }},
		{"erased", words{"davon gelöscht", "of them erased"}, func(c audit.ChainReport) any { return c.Erased }},
		{"last_erased", words{"jüngster gelöschter", "youngest erased"}, func(c audit.ChainReport) any { return c.LastErased }},
	}
}

func readKeys(file string) (keys []ed25519.PublicKey, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, unreadable(file, err)
	}
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		key, ok := parsed.(ed25519.PublicKey)
		if err != nil || !ok || block.Type != publicKeyType {
			return nil, fileUnusable(file, "das ist kein Schlüssel von heimdraht audit key", "it is no key of heimdraht audit key")
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fileUnusable(file, "sie enthält keinen Schlüssel", "it holds no key")
	}
	return keys, nil
}

func readCheckpoints(file string) ([]audit.Checkpoint, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, unreadable(file, err)
	}
	defer f.Close()
	list, err := audit.ReadCheckpoints(f)
	if err != nil {
		return nil, fileUnusable(file, "sie enthält einen Prüfpunkt, der nicht lesbar ist", "it holds a checkpoint that cannot be read")
	}
	if len(list) == 0 {
		return nil, fileUnusable(file, "sie enthält keinen Prüfpunkt", "it holds no checkpoint")
	}
	return list, nil
}
