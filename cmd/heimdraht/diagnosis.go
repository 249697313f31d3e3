package main

import (
	"context"
	"strings"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

type deviceDiagnosisCommand struct{ deviceArg }

// Run shows what somebody has sent from her laptop: the latest as she saw it, and when the others were sent.
func (c *deviceDiagnosisCommand) Run(ctx context.Context, a *app) error {
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		r, err := k.reports.ListDiagnoses(ctx, &heimdrahtv1.ListDiagnosesRequest{DeviceId: c.ID})
		if err != nil {
			return err
		}
		all := r.GetDiagnoses()
		if len(all) == 0 {
			a.hint(words{"Von diesem Laptop aus wurde in den letzten 14 Tagen keine Störung gemeldet.", "No fault was reported from this laptop in the last 14 days."})
		}
		if a.form != formTable || len(all) == 0 {
			return list(a.printer, "diagnoses", diagnosisColumns(), all)
		}
		if err := list(a.printer, "diagnoses", diagnosisColumns(), all); err != nil {
			return err
		}
		a.say(words{})
		a.say(words{"Die jüngste:", "The latest:"})
		for line := range strings.Lines(all[0].GetText()) {
			a.say(words{"%s", "%s"}, strings.Map(printable, strings.TrimSuffix(line, "\n")))
		}
		a.hint(words{"Dieser Blick ist protokolliert.", "This look was recorded."})
		return nil
	})
}

func diagnosisColumns() []column[*heimdrahtv1.Diagnosis] {
	type diagnosis = *heimdrahtv1.Diagnosis
	return []column[diagnosis]{
		{"sent_at", words{"gesendet", "sent"}, func(d diagnosis) any { return timeOf(d.GetSentAt()) }},
		{"kept_until", words{"wird gelöscht", "deleted on"}, func(d diagnosis) any { return timeOf(d.GetKeptUntil()) }},
		{"words", words{"was sie dazu sagt", "what she says"}, func(d diagnosis) any { return strings.ReplaceAll(d.GetWords(), "\n", " ") }},
		{"diagnosis_id", words{}, func(d diagnosis) any { return d.GetDiagnosisId() }},
		{"device_id", words{}, func(d diagnosis) any { return d.GetDeviceId() }},
		{"text", words{}, func(d diagnosis) any { return d.GetText() }},
	}
}

type deviceVersionsCommand struct {
	Tenant string `placeholder:"NAME" help:"${person_tenant}"`
}

// Run counts laptops by the version of their agent, the oldest first.
func (c *deviceVersionsCommand) Run(ctx context.Context, a *app) error {
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		r, err := k.reports.ListAgentVersions(ctx, &heimdrahtv1.ListAgentVersionsRequest{Tenant: c.Tenant})
		if err != nil {
			return err
		}
		type version = *heimdrahtv1.AgentVersion
		return list(a.printer, "versions", []column[version]{
			{"tenant", words{"Verwaltung", "tenant"}, func(v version) any { return v.GetTenant() }},
			{"version", words{"Fassung", "version"}, func(v version) any { return v.GetVersion() }},
			{"laptops", words{"Laptops", "laptops"}, func(v version) any { return v.GetLaptops() }},
			{"outdated", words{"zu alt", "too old"}, func(v version) any { return v.GetOutdated() }},
		}, r.GetVersions())
	})
}
