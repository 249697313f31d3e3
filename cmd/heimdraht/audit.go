package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

type auditCommands struct {
	List   auditListCommand   `cmd:"" help:"${audit_list}"`
	Export auditExportCommand `cmd:"" help:"${audit_export}"`
	Verify auditVerifyCommand `cmd:"" help:"${audit_verify}"`
	Key    auditKeyCommand    `cmd:"" help:"${audit_key}"`
}

type auditListCommand struct {
	Tenant string `placeholder:"NAME" help:"${sessions_tenant}"`
	Since  string `placeholder:"7d" help:"${audit_list_since}"`
	Until  string `placeholder:"1d" help:"${audit_list_until}"`
	Actor  string `placeholder:"NAME" help:"${audit_list_actor}"`
	Person string `placeholder:"ID" help:"${audit_list_person}"`
	Device string `placeholder:"ID" help:"${audit_list_device}"`
	Action string `placeholder:"ACTION" help:"${audit_list_action}"`
	Limit  int    `default:"100" placeholder:"100" help:"${audit_list_limit}"`
}

// auditPage is how many records are asked for at once.
const auditPage = 1000

// Run lists records of the audit log.
func (c *auditListCommand) Run(ctx context.Context, a *app) error {
	usage := func(w words) error { return usageError{w.in(a.language), "heimdraht audit list"} }
	since, okSince := instant(c.Since, time.Now())
	until, okUntil := instant(c.Until, time.Now())
	switch {
	case c.Limit < 0:
		return usage(words{"--limit ist negativ", "--limit is negative"})
	case !okSince || !okUntil:
		return usage(words{"--since und --until sind eine Dauer (7d, 12h), ein Tag (2027-01-31) oder ein Zeitpunkt (2027-01-31T08:00:00Z)",
			"--since and --until are a duration (7d, 12h), a day (2027-01-31) or a time (2027-01-31T08:00:00Z)"})
	}
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		var all []*heimdrahtv1.ListedRecord
		var more bool
		for token := ""; ; {
			page := auditPage
			if c.Limit > 0 {
				page = min(page, c.Limit-len(all))
			}
			r, err := k.aud.ListRecords(ctx, &heimdrahtv1.ListRecordsRequest{
				Tenant: c.Tenant, Since: since, Until: until, Actor: c.Actor, Person: c.Person, Device: c.Device, Action: c.Action,
				Limit: uint32(page), PageToken: token,
			})
			if err != nil {
				return err
			}
			all = append(all, r.GetRecords()...)
			token = r.GetNextPageToken()
			if more = token != ""; !more || c.Limit > 0 && len(all) >= c.Limit {
				break
			}
		}
		if len(all) == 0 {
			a.hint(words{"Dazu steht nichts im Protokoll.", "The audit log has nothing about that."})
		}
		if err := list(a.printer, "records", recordColumns(), all, pair{"more", more}); err != nil {
			return err
		}
		if more {
			a.hint(words{"Es gibt mehr: --limit 0 zeigt alles.", "There are more: --limit 0 shows everything."})
		}
		return nil
	})
}

// instant is a time that somebody typed; unset for none.
func instant(typed string, now time.Time) (t *timestamppb.Timestamp, ok bool) {
	if typed == "" {
		return nil, true
	}
	if days, err := strconv.ParseUint(strings.TrimSuffix(typed, "d"), 10, 16); err == nil && strings.HasSuffix(typed, "d") {
		return timestamppb.New(now.AddDate(0, 0, -int(days))), true
	}
	if d, err := time.ParseDuration(typed); err == nil && d >= 0 {
		return timestamppb.New(now.Add(-d)), true
	}
	if day, err := time.ParseInLocation(time.DateOnly, typed, time.Local); err == nil {
		return timestamppb.New(day), true
	}
	at, err := time.Parse(time.RFC3339, typed)
	return timestamppb.New(at), err == nil
}

func recordColumns() []column[*heimdrahtv1.ListedRecord] {
	type record = *heimdrahtv1.ListedRecord
	return []column[record]{
		{"at", words{"wann", "when"}, func(r record) any { return timeOf(r.GetAt()) }},
		{"tenant", words{"Verwaltung", "tenant"}, func(r record) any { return r.GetTenant() }},
		{"actor", words{"wer", "who"}, func(r record) any {
			if r.GetErased() {
				return shown{"", words{"(gelöscht)", "(erased)"}}
			}
			if r.GetActorName() == "" {
				return r.GetActorId()
			}
			return r.GetActorName()
		}},
		{"actor_id", words{}, func(r record) any { return r.GetActorId() }},
		{"role", words{"Rolle", "role"}, func(r record) any { return r.GetRole() }},
		{"action", words{"was", "what"}, func(r record) any { return r.GetAction() }},
		{"object", words{"woran", "to what"}, func(r record) any { return objectOf(r) }},
		{"object_kind", words{}, func(r record) any { return r.GetObjectKind() }},
		{"object_id", words{}, func(r record) any { return r.GetObjectId() }},
		{"object_name", words{}, func(r record) any { return r.GetObjectName() }},
		{"reason", words{"warum", "why"}, func(r record) any { return r.GetReason() }},
		{"source", words{"woher", "from"}, func(r record) any { return r.GetSource() }},
		{"result", words{"Ergebnis", "result"}, func(r record) any { return r.GetResult() }},
		{"details", words{}, func(r record) any { return detailTexts(r.GetDetails()) }},
		{"chain", words{}, func(r record) any { return r.GetChain() }},
		{"seq", words{}, func(r record) any { return r.GetSeq() }},
		{"erased", words{}, func(r record) any { return r.GetErased() }},
	}
}

func objectOf(r *heimdrahtv1.ListedRecord) string {
	name := r.GetObjectName()
	if name == "" {
		name = r.GetObjectId()
	}
	return strings.TrimSpace(r.GetObjectKind() + " " + name)
}

func detailTexts(details map[string]string) (list []string) {
	for _, name := range slices.Sorted(maps.Keys(details)) {
		list = append(list, name+"="+details[name])
	}
	return list
}

type auditKeyCommand struct{}

// Run shows the public keys that verify, the newest first.
func (auditKeyCommand) Run(ctx context.Context, a *app) error {
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		r, err := k.aud.GetKey(ctx, &heimdrahtv1.GetKeyRequest{})
		if err != nil {
			return err
		}
		for _, raw := range r.GetPublicKeys() {
			key, err := publicKey(raw)
			if err != nil {
				return err
			}
			der, err := x509.MarshalPKIXPublicKey(key)
			if err != nil {
				return fmt.Errorf("encoding the key: %w", err)
			}
			if err := pem.Encode(a.out, &pem.Block{Type: publicKeyType, Bytes: der}); err != nil {
				return fmt.Errorf("writing the key: %w", err)
			}
		}
		return nil
	})
}
