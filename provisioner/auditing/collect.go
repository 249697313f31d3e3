package auditing

import (
	"context"
	"encoding/base64"
	"math/rand/v2"
	"os"
	"strconv"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/syslog"
)

const (
	// collectEvery is how soon a record goes to the collector.
	collectEvery = time.Second
	// collectAgain is the longest pause after failures.
	collectAgain = time.Minute
	// collectedAtOnce is how many records, and how many checkpoints, go in one delivery.
	collectedAtOnce = 200
	// enterprise names our structured data. 32473 is the number for those who have none
	// of their own (RFC 5612).
	enterprise = "@32473"
)

// CollectorState is how the way to the collector is, as this replica knows.
type CollectorState struct {
	Tried   bool // this replica has the duty, and there was something to send
	Failing bool
	Since   time.Time // it has been so
	Error   error     // the last one; nil: there was none since it works
}

// CollectorState tells it.
func (s *Service) CollectorState() CollectorState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.collector
}

// RunCollecting sends records and checkpoints to the collector until ctx ends: one replica
// at a time does. Without a collector it returns at once.
func (s *Service) RunCollecting(ctx context.Context) error {
	if s.Collector == nil {
		return nil
	}
	return s.Store.Hold(ctx, "audit collector", s.runCollecting)
}

func (s *Service) runCollecting(ctx context.Context, duty *store.Duty) error {
	defer s.note(func(c *CollectorState) { *c = CollectorState{} }) // another replica knows now
	pause := collectEvery
	for {
		timer := time.NewTimer(pause/2 + rand.N(pause/2))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		more, err := s.collect(ctx, duty.Update)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			s.noteFailure(err)
			pause = min(2*pause, collectAgain)
		case more:
			pause = time.Millisecond
		default:
			pause = collectEvery
		}
	}
}

// collect sends what the collector has not got, a delivery at most, and notes that it has; more tells that
// there may be more.
func (s *Service) collect(ctx context.Context, write update) (more bool, err error) {
	var has store.Collected
	var installation string
	var own, tenants []store.AuditRecord
	var checkpoints []store.StoredCheckpoint
	err = s.Store.View(ctx, func(tx *store.Reader) (err error) {
		position, err := tx.Position()
		if err != nil {
			return err
		}
		installation = position.Instance
		if has, err = tx.Collected(); err != nil {
			return err
		}
		own, tenants, checkpoints, err = tx.Uncollected(has, collectedAtOnce)
		return err
	})
	if err != nil || len(own)+len(tenants)+len(checkpoints) == 0 {
		return false, err
	}
	m := messenger{installation: installation, host: hostname()}
	for _, r := range own {
		m.record(r)
		has.Seq = r.Seq
	}
	for _, r := range tenants {
		m.record(r)
		has.Number = r.Number
	}
	for _, c := range checkpoints {
		if err := m.checkpoint(c.Checkpoint); err != nil {
			return false, err
		}
		has.Checkpoint = c.Number
	}
	if err := s.Collector.Deliver(ctx, m.out); err != nil {
		return false, err
	}
	s.noteSuccess()
	full := len(own) == collectedAtOnce || len(tenants) == collectedAtOnce || len(checkpoints) == collectedAtOnce
	return full, write(ctx, func(tx *store.Writer) error { return tx.SetCollected(has) })
}

func (s *Service) note(what func(*CollectorState)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	what(&s.collector)
}

func (s *Service) noteFailure(err error) {
	first := false
	s.note(func(c *CollectorState) {
		first = !c.Failing
		if first {
			c.Since = time.Now()
		}
		c.Tried, c.Failing, c.Error = true, true, err
	})
	if first {
		s.Logger.Warn("the collector does not get the audit log; what it misses is kept until it does", "address", s.Collector.Address, "error", err)
	}
}

func (s *Service) noteSuccess() {
	var was CollectorState
	s.note(func(c *CollectorState) {
		was = *c
		if was.Failing || !was.Tried {
			c.Since = time.Now()
		}
		c.Tried, c.Failing, c.Error = true, false, nil
	})
	if was.Failing {
		s.Logger.Info("the collector gets the audit log again", "address", s.Collector.Address, "after", time.Since(was.Since))
	}
}

// messenger puts messages together.
type messenger struct {
	installation, host string
	out                []byte
}

// record is told with everything that a verifier needs.
func (m *messenger) record(r store.AuditRecord) {
	params := []syslog.Param{
		{Name: "installation", Value: m.installation}, {Name: "chain", Value: r.Chain}, {Name: "seq", Value: strconv.FormatInt(r.Seq, 10)},
		{Name: "tenant", Value: r.Tenant}, {Name: "salt", Value: base64.StdEncoding.EncodeToString(r.Salt)},
		{Name: "commitment", Value: r.Commitment.String()}, {Name: "hash", Value: r.Hash.String()},
	}
	m.out = syslog.Message{
		At: r.At, Host: m.host, App: "heimdrahtd", ID: "audit", Name: "audit" + enterprise, Params: params, Text: r.Payload,
	}.Append(m.out)
}

// checkpoint is told as it stands in files, for `heimdraht audit verify`.
func (m *messenger) checkpoint(c audit.Checkpoint) error {
	text, err := audit.EncodeCheckpoint(c)
	if err != nil {
		return err
	}
	head := c.Heads[0]
	params := []syslog.Param{
		{Name: "installation", Value: m.installation}, {Name: "chain", Value: head.Chain}, {Name: "seq", Value: strconv.FormatInt(head.Seq, 10)},
		{Name: "hash", Value: head.Hash.String()},
	}
	m.out = syslog.Message{
		At: c.At, Host: m.host, App: "heimdrahtd", ID: "checkpoint", Name: "audit" + enterprise, Params: params, Text: text,
	}.Append(m.out)
	return nil
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}
