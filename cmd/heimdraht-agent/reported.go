package main

import (
	"context"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/heimdraht/heimdraht/agent/endpoint"
	"github.com/heimdraht/heimdraht/agent/posture"
	"github.com/heimdraht/heimdraht/cmd/internal/speech"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// showReported shows the last report as it went over the wire.
func (c *statusCommand) showReported(ctx context.Context, a *app, d *caller) error {
	got, err := d.reported(ctx, a.language)
	if err != nil {
		return err
	}
	if c.Output == "json" {
		encoder := json.NewEncoder(a.out)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(map[string]*endpoint.Reported{"reported": got.Reported}); err != nil {
			return fmt.Errorf("writing what was reported: %w", err)
		}
		return nil
	}
	if got.Reported == nil {
		a.say(words{"Dieser Laptop hat noch nichts gemeldet, seit sein Dienst läuft.", "This laptop has reported nothing yet, since its service was started."}.in(a.language))
		return nil
	}
	return a.presentReport(got.Reported)
}

func (a *app) presentReport(r *endpoint.Reported) error {
	var message heimdrahtv1.RenewSession
	if err := protojson.Unmarshal(r.Message, &message); err != nil {
		return daemonSilent(fmt.Errorf("reading what was reported: %w", err))
	}
	at := r.At.Local().Format(words{"02.01.2006 um 15:04:05 Uhr", "2006-01-02 at 15:04:05"}.in(a.language))
	a.say(words{"Zuletzt gemeldet am " + at + ":", "Last reported on " + at + ":"}.in(a.language))
	rows := reportRows(message.ProtoReflect(), a.language) // none: it has only connected yet
	width := 0
	for _, row := range rows {
		width = max(width, utf8.RuneCountInString(row[0]))
	}
	for _, row := range rows {
		a.say(fmt.Sprintf("  %-*s  %s", width, row[0], row[1]))
	}
	if r.Agreement == nil {
		a.say(words{"Über Produkte wird nichts gemeldet.", "Nothing is reported of products."}.in(a.language))
	} else {
		a.say(words{
			fmt.Sprintf("Produkte nach der Vereinbarung mit dem Personalrat: %s vom %s. Gezählt werden Verbindungen, nicht Menschen.", r.Agreement.Reference, r.Agreement.Date),
			fmt.Sprintf("Products under the agreement with the staff council: %s of %s. Sessions are counted, not people.", r.Agreement.Reference, r.Agreement.Date),
		}.in(a.language))
	}
	if r.Clipped != "" {
		a.say(r.Clipped)
	}
	if err := a.presentConditions(r.Conditions); err != nil {
		return err
	}
	a.say(words{"Mehr als das wurde nicht gemeldet.", "Nothing more than this was reported."}.in(a.language))
	return nil
}

// presentConditions shows what was told of what the administration asks of laptops before they connect.
func (a *app) presentConditions(told json.RawMessage) error {
	if told == nil {
		a.say(words{"Ihre Verwaltung verlangt vom Zustand dieses Laptops nichts; darüber wird nichts gemeldet.", "Your administration asks nothing of this laptop's condition; nothing is reported of it."}.in(a.language))
		return nil
	}
	var report heimdrahtv1.ConditionReport
	if err := protojson.Unmarshal(told, &report); err != nil {
		return daemonSilent(fmt.Errorf("reading what was reported: %w", err))
	}
	a.say(words{"Beim Verbinden gemeldet, weil Ihre Verwaltung es von Laptops verlangt:", "Reported when it connected, because your administration asks it of laptops:"}.in(a.language))
	for _, c := range report.GetAnswers() {
		answer := words{"nein", "no"}
		if c.GetMet() {
			answer = words{"ja", "yes"}
		}
		a.say("  " + conditionName(c.GetName()).in(a.language) + ": " + answer.in(a.language))
	}
	if len(report.GetAnswers()) == 0 {
		a.say(words{"  nichts: Es war nicht zu erkennen.", "  nothing: it could not be found out."}.in(a.language))
	}
	return nil
}

// conditionName is what a condition is called. One without words is shown as the protocol calls it.
func conditionName(name string) words {
	switch name {
	case posture.DiskEncryption:
		return words{"Festplatte verschlüsselt", "disk encrypted"}
	case posture.Firewall:
		return words{"Firewall an", "firewall on"}
	case posture.ScreenLock:
		return words{"Bildschirm sperrt sich rechtzeitig", "screen locks in time"}
	case posture.SupportedSystem:
		return words{"Betriebssystem bekommt Sicherheitsupdates", "operating system gets security updates"}
	default:
		return words{name, name}
	}
}

// reportRows lists what is set in a report, or a message within it: name and value.
// A field for which there are no words is shown as the protocol calls it, and not left out.
func reportRows(m protoreflect.Message, l speech.Language) (rows [][2]string) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if !m.Has(f) {
			continue
		}
		label := string(f.Name())
		if w, ok := reportWords()[f.FullName()]; ok {
			label = w.in(l)
		}
		switch value := m.Get(f); {
		case f.FullName() == "heimdraht.v1.Usage.products":
			rows = append(rows, productRows(value.List(), l)...)
		case f.FullName() == "heimdraht.v1.RenewSession.usage":
			rows = append(rows, reportRows(value.Message(), l)...)
		case f.FullName() == "heimdraht.v1.RenewSession.clock":
			clock := m.Interface().(*heimdrahtv1.RenewSession).GetClock().AsTime().Local()
			rows = append(rows, [2]string{label, clock.Format(words{"02.01.2006 15:04:05", "2006-01-02 15:04:05"}.in(l))})
		default:
			rows = append(rows, [2]string{label, value.String()})
		}
	}
	return rows
}

// reportWords are what the fields of a report are called.
func reportWords() map[protoreflect.FullName]words {
	return map[protoreflect.FullName]words{
		"heimdraht.v1.RenewSession.session_id":     {"Kennung der Verbindung", "id of the session"},
		"heimdraht.v1.RenewSession.usage":          {"Nutzung", "usage"},
		"heimdraht.v1.RenewSession.clock":          {"Uhr des Laptops", "the laptop's clock"},
		"heimdraht.v1.Usage.received_bytes":        {"empfangene Bytes", "bytes received"},
		"heimdraht.v1.Usage.sent_bytes":            {"gesendete Bytes", "bytes sent"},
		"heimdraht.v1.Usage.last_handshake_age_ms": {"Alter des letzten Lebenszeichens in ms", "age of the last sign of life in ms"},
		"heimdraht.v1.Usage.products":              {"Produkte", "products"},
		"heimdraht.v1.ProductInUse.name":           {"Produkt", "product"},
		"heimdraht.v1.ProductInUse.in_use":         {"in Benutzung", "in use"},
		"heimdraht.v1.ProductInUse.version":        {"Version", "version"},
	}
}

// productRows has a row for each product: whether it is in use, and in which version.
func productRows(list protoreflect.List, l speech.Language) (rows [][2]string) {
	for i := range list.Len() {
		p := list.Get(i).Message()
		said := proto.CloneOf(p.Interface().(*heimdrahtv1.ProductInUse))
		value := words{"nicht in Benutzung", "not in use"}.in(l)
		if said.GetInUse() {
			value = words{"in Benutzung", "in use"}.in(l)
		}
		if said.GetVersion() != "" {
			value += words{", Version ", ", version "}.in(l) + said.GetVersion()
		}
		rows = append(rows, [2]string{words{"Produkt ", "product "}.in(l) + said.GetName(), value})
		said.Name, said.InUse, said.Version = "", false, ""
		rows = append(rows, reportRows(said.ProtoReflect(), l)...) // whatever else there is
	}
	return rows
}
