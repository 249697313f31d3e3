package gateway

import (
	"context"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/state"
)

const (
	statusEvery = 2 * time.Second
	// statusFresh is how often the file is written though nothing changed:
	// who reads it sees by its age whether the gateway runs.
	statusFresh = 20 * time.Second
	// StatusStale is the age from which on a status says nothing any more.
	StatusStale = time.Minute
)

// Status is what people want to know of a gateway. It contains no secret and
// names nobody.
type Status struct {
	// Name is empty until the control plane has said it.
	Name      string `json:"name"`
	Version   string `json:"version"`
	Connected bool   `json:"connected"`
	Server    string `json:"server"`
	// LastContact zero: never.
	LastContact time.Time `json:"last_contact"`
	// GraceEnds is when the peers are removed if contact does not come back.
	// Zero while connected.
	GraceEnds time.Time `json:"grace_ends"`
	Suspended bool      `json:"suspended"`
	Epoch     string    `json:"epoch"`
	// Revision is what the control plane wants, Applied what is installed and
	// on disk.
	Revision int64 `json:"revision"`
	Applied  int64 `json:"applied"`
	// Peers are those installed, Wanted those that should be.
	Peers      int    `json:"peers"`
	Wanted     int    `json:"wanted"`
	Interface  string `json:"interface"`
	Mode       string `json:"mode"`
	ListenPort uint16 `json:"listen_port"`
	PublicKey  string `json:"public_key"`
	// Problems are what is the matter, the most pressing first.
	Problems  []StatusProblem `json:"problems"`
	WrittenAt time.Time       `json:"written_at"`
}

// StatusProblem is a control.Problem as it is stored.
type StatusProblem struct {
	Code           string `json:"code"`
	GermanSentence string `json:"german_sentence"`
	GermanNext     string `json:"german_next"`
	Sentence       string `json:"sentence"`
	Next           string `json:"next"`
}

// ReadStatus reads what a running gateway has last written. The error wraps
// fs.ErrNotExist if none ever ran on the directory.
func ReadStatus(dir string) (Status, error) {
	var s Status
	err := state.Read(dir, statusName, &s)
	return s, err
}

func (g *Gateway) status(now time.Time) Status {
	s := Status{
		Version: g.o.Version, Connected: g.connected, Server: g.server, LastContact: g.cutOff.last.UTC(),
		Suspended: g.suspended, Epoch: g.wanted.at.epoch, Revision: g.wanted.at.revision,
		Peers: len(g.installed), Wanted: len(g.wanted.byKey),
		Interface: g.facts.Interface, Mode: g.facts.Mode, ListenPort: g.facts.ListenPort,
		PublicKey: g.key.PublicKey().String(), WrittenAt: now.UTC(),
	}
	if g.acked.epoch == g.wanted.at.epoch {
		s.Applied = g.acked.revision
	}
	if g.configuration != nil {
		s.Name = g.configuration.name
	}
	if g.connected {
		s.LastContact = now.UTC()
	} else if !g.cutOff.last.IsZero() && !g.suspended {
		s.GraceEnds = now.Add(g.grace() - g.cutOff.elapsed(now)).UTC()
	}
	if g.journalProblem != nil {
		s.Problems = append(s.Problems, storedProblem(g.journalProblem))
	}
	if g.deviceProblem != nil {
		s.Problems = append(s.Problems, storedProblem(g.deviceProblem))
	}
	if g.inheritProblem != nil {
		s.Problems = append(s.Problems, storedProblem(g.inheritProblem))
	}
	if g.problem != nil && !g.connected {
		s.Problems = append(s.Problems, storedProblem(g.problem))
	}
	if ahead := g.clockOff(now); g.connected && ahead.Abs() > clockTolerance {
		s.Problems = append(s.Problems, storedProblem(control.ClockOff(ahead)))
	}
	return s
}

// clockTolerance is how wrong a clock may be without a word: certificates are
// backdated by an hour, and nothing else depends on it.
const clockTolerance = 2 * time.Minute

// clockOff is how far this machine's clock is ahead now. It was compared when
// the control plane last told the time; since then it may have been set, which
// the monotonic clock does not follow.
func (g *Gateway) clockOff(now time.Time) time.Duration {
	set := now.Round(0).Sub(g.clockAt.Round(0)) - now.Sub(g.clockAt)
	return set - g.clock
}

// writeStatus keeps the status file, until the context ends.
func (g *Gateway) writeStatus(ctx context.Context) error {
	tick := time.NewTicker(statusEvery)
	defer tick.Stop()
	var written Status
	failed := false
	for {
		s := g.Status()
		if changed(written, s) || s.WrittenAt.Sub(written.WrittenAt) >= statusFresh {
			err := g.o.State.Save(statusName, s)
			if err != nil && !failed {
				g.log.Error("the status cannot be written", "error", err)
			}
			failed = err != nil
			written = s
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// changed leaves out what changes all the time.
func changed(a, b Status) bool {
	return a.Connected != b.Connected || a.Server != b.Server || a.Suspended != b.Suspended ||
		a.Name != b.Name || a.Interface != b.Interface || a.ListenPort != b.ListenPort || len(a.Problems) != len(b.Problems)
}
