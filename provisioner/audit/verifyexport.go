package audit

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// ExportFault says what is wrong first in an exported file; what follows was not
// looked at. It is an error.
type ExportFault struct {
	Line  int64  // from 1
	Chain string // that is broken; empty: the installation's, or none
	// Broken is the record; nil: something else than a record is wrong.
	Broken *Broken
	Why    string // where there is no record
}

// Error is a sentence for those who look into it.
func (f *ExportFault) Error() string {
	if f.Broken == nil {
		return fmt.Sprintf("line %d: %s", f.Line, f.Why)
	}
	return fmt.Sprintf("line %d: %s: record %d (%s): %s", f.Line, nameOf(f.Chain), f.Broken.Seq, f.Broken.Fault, f.Broken.Detail)
}

// Unwrap gives the Broken.
func (f *ExportFault) Unwrap() error {
	if f.Broken == nil {
		return nil
	}
	return f.Broken
}

func nameOf(chain string) string {
	if chain == "" {
		return "the installation's chain"
	}
	return "the chain of " + chain
}

// VerifyOptions say against what an exported file is held.
type VerifyOptions struct {
	// Keys are the public keys as they were taken from the control plane. None: those
	// in the file count, which then shows only that the file agrees with itself.
	Keys []ed25519.PublicKey
	// Checkpoints were kept elsewhere. Those of other chains do not matter.
	Checkpoints []Checkpoint
}

// Report is what a file holds in which nothing is wrong.
type Report struct {
	Installation string
	Key          KeyID // that signed the checkpoint
	KeyGiven     bool
	At           time.Time // of the checkpoint
	Complete     bool      // these are all chains that the installation had
	Chains       []ChainReport
	// Earlier records each agree with themselves. That none is missing, and that
	// they are genuine, only the installation's own chain shows.
	Earlier       int64
	EarlierErased int64
	// Held is how many heads of the checkpoints that were given were found in the
	// file. None: nothing but the file's own checkpoint speaks for its end.
	Held int
}

// ChainReport is what one chain holds.
type ChainReport struct {
	Chain string
	Summary
}

// maxLine is the longest line that is read, in bytes: a record is far smaller,
// and a checkpoint has 150 bytes a tenant.
const maxLine = 4 << 20

// VerifyExport reads an exported file to its end and holds everything in it
// against everything else, against the key and against the checkpoints. It gives
// an *ExportFault, an error that wraps ErrSignature for a given checkpoint of the same
// installation, or what reading gave.
func VerifyExport(in io.Reader, o VerifyOptions) (Report, error) {
	v := verification{options: o, wanted: make(map[ChainHead]time.Time), known: make(map[KeyID]ed25519.PublicKey), listed: make(map[KeyID]bool)}
	for _, key := range o.Keys {
		v.known[IDOf(key)] = key
	}
	v.report.KeyGiven = len(o.Keys) > 0
	scan := newScanner(in)
	for scan.Scan() {
		v.line++
		if err := v.take(scan.Bytes()); err != nil {
			return v.report, err
		}
	}
	if err := scan.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) || errors.Is(err, errNoLineFeed) {
			v.line++
			return v.report, v.fault("%v", errForm)
		}
		return v.report, fmt.Errorf("reading the export: %w", err)
	}
	if v.stage != stageEnd {
		v.line++
		return v.report, v.fault("the file ends before its end: it is only a part of an export")
	}
	return v.report, nil
}

// ReadCheckpoints reads checkpoints from JSON lines: a collector's, or an
// exported file whose other lines do not matter.
func ReadCheckpoints(in io.Reader) (list []Checkpoint, err error) {
	scan := bufio.NewScanner(in)
	scan.Buffer(nil, maxLine)
	for scan.Scan() {
		text := bytes.TrimSpace(scan.Bytes())
		if typeOf(text) != "checkpoint" {
			continue
		}
		l, err := decodeLine[checkpointLine](text)
		if err != nil {
			return nil, fmt.Errorf("reading a checkpoint: %w", err)
		}
		c, err := l.checkpoint()
		if err != nil {
			return nil, fmt.Errorf("reading a checkpoint: %w", err)
		}
		list = append(list, c)
	}
	if err := scan.Err(); err != nil {
		return nil, fmt.Errorf("reading checkpoints: %w", err)
	}
	return list, nil
}

var errNoLineFeed = errors.New("the last line is not ended")

// newScanner gives lines that each end with a line feed.
func newScanner(in io.Reader) *bufio.Scanner {
	scan := bufio.NewScanner(in)
	scan.Buffer(nil, maxLine)
	scan.Split(func(data []byte, atEOF bool) (int, []byte, error) {
		if i := bytes.IndexByte(data, '\n'); i >= 0 {
			return i + 1, data[:i], nil
		}
		if atEOF && len(data) > 0 {
			return 0, nil, errNoLineFeed
		}
		return 0, nil, nil
	})
	return scan
}

func typeOf(text []byte) string {
	var head struct {
		Type string `json:"type"`
	}
	if json.Unmarshal(text, &head) != nil {
		return ""
	}
	return head.Type
}

type stage int

const (
	stageStart stage = iota
	stageKeys
	stageRecords // after the checkpoint
	stageEarlier
	stageEnd
)

// verification is how far a file has been read.
type verification struct {
	options VerifyOptions
	report  Report
	line    int64
	stage   stage

	listed map[KeyID]bool // keys in the file
	known  map[KeyID]ed25519.PublicKey

	check   Checkpoint
	chain   int // index of the present one in the checkpoint
	walking walk
	wanted  map[ChainHead]time.Time // heads of given checkpoints that were not met yet, and when they were signed
	earlier int64                   // number of the last one
}

func (v *verification) fault(format string, args ...any) error {
	return &ExportFault{Line: v.line, Why: fmt.Sprintf(format, args...)}
}

func (v *verification) broken(chain string, b *Broken) error {
	return &ExportFault{Line: v.line, Chain: chain, Broken: b}
}

func (v *verification) take(text []byte) error {
	switch kind := typeOf(text); {
	case kind == "export" && v.stage == stageStart:
		return v.takeHeader(text)
	case kind == "key" && v.stage == stageKeys:
		return v.takeKey(text)
	case kind == "checkpoint" && v.stage == stageKeys:
		return v.takeCheckpoint(text)
	case kind == "record" && v.stage == stageRecords:
		return v.takeRecord(text)
	case kind == "earlier" && (v.stage == stageRecords || v.stage == stageEarlier):
		return v.takeEarlier(text)
	case kind == "end" && (v.stage == stageRecords || v.stage == stageEarlier):
		return v.takeEnd(text)
	default:
		return v.fault("a line of this kind does not belong here")
	}
}

func (v *verification) takeHeader(text []byte) error {
	l, err := decodeLine[exportLine](text)
	if err != nil {
		return v.fault("%v", err)
	}
	if l.Format != exportFormat {
		return v.fault("the form %d is unknown to this program: use a newer one", l.Format)
	}
	v.stage, v.report.Installation = stageKeys, l.Installation
	return nil
}

func (v *verification) takeKey(text []byte) error {
	l, err := decodeLine[keyLine](text)
	if err != nil {
		return v.fault("%v", err)
	}
	if len(l.Key) != ed25519.PublicKeySize || IDOf(l.Key) != l.ID {
		return v.fault("this is no key")
	}
	v.listed[l.ID] = true
	if !v.report.KeyGiven {
		v.known[l.ID] = l.Key
	}
	return nil
}

func (v *verification) takeCheckpoint(text []byte) error {
	l, err := decodeLine[checkpointLine](text)
	if err != nil {
		return v.fault("%v", err)
	}
	if v.check, err = l.checkpoint(); err != nil {
		return v.fault("%v", err)
	}
	_, ok := v.known[v.check.Key]
	switch {
	case !ok && v.report.KeyGiven:
		return v.fault("the checkpoint was signed with another key than was given")
	case !v.listed[v.check.Key]:
		return v.fault("the key that signed the checkpoint is not in the file")
	case v.signed(v.check) != nil:
		return v.fault("the checkpoint is not what was signed")
	case v.check.Installation != v.report.Installation:
		return v.fault("the checkpoint is of another installation")
	}
	v.report.Key, v.report.At, v.report.Complete = v.check.Key, v.check.At, v.check.Complete
	v.stage, v.chain = stageRecords, -1
	return v.expect()
}

// signed checks a checkpoint with the keys that count.
func (v *verification) signed(c Checkpoint) error { return c.Check(v.known[c.Key]) }

// expect notes what the given checkpoints say of the chains in the file.
func (v *verification) expect() error {
	for _, c := range v.options.Checkpoints {
		if c.Installation != v.check.Installation {
			continue
		}
		if err := v.signed(c); err != nil {
			return err
		}
		for _, h := range c.Heads {
			if _, ok := v.check.Of(h.Chain); ok || v.check.Complete {
				v.wanted[h] = c.At
			}
		}
	}
	return nil
}

// next goes on to the next chain of the checkpoint, once the present one is whole.
func (v *verification) next() error {
	if err := v.endChain(); err != nil {
		return err
	}
	v.chain++
	if v.chain < len(v.check.Heads) {
		v.walking = walk{head: v.check.Heads[v.chain].Head}
	}
	return nil
}

func (v *verification) endChain() error {
	if v.chain < 0 || v.chain >= len(v.check.Heads) {
		return nil
	}
	chain := v.check.Heads[v.chain].Chain
	if broken := v.walking.end(); broken != nil {
		return v.broken(chain, broken)
	}
	for h, at := range v.wanted {
		if h.Chain == chain {
			return v.broken(chain, v.cutOff(v.walking.last.Seq+1, h, at))
		}
	}
	v.report.Chains = append(v.report.Chains, ChainReport{chain, v.walking.sum})
	return nil
}

// cutOff says that a given checkpoint knows more than there is. A file that was
// exported before it was signed may end there.
func (v *verification) cutOff(seq int64, h ChainHead, at time.Time) *Broken {
	detail := fmt.Sprintf("it ends before it, and the checkpoint given had come to record %d", h.Seq)
	if at.After(v.check.At) {
		detail += fmt.Sprintf(" on %s; if the file was exported before that, export again", at.Format(timeFormat))
	}
	return &Broken{FaultCutOff, seq, detail}
}

func (v *verification) takeRecord(text []byte) error {
	l, err := decodeLine[recordLine](text)
	if err != nil {
		return v.fault("%v", err)
	}
	r, _, err := l.record()
	if err != nil || l.Before != "" {
		return v.fault("%v", errForm)
	}
	for v.chain < 0 || v.chain < len(v.check.Heads) && v.check.Heads[v.chain].Chain != l.Chain {
		if err := v.next(); err != nil {
			return err
		}
	}
	if v.chain >= len(v.check.Heads) {
		return v.broken(l.Chain, &Broken{FaultAdded, r.Seq, "the checkpoint knows no such chain, or it does not stand in its place"})
	}
	if l.Chain != "" && r.Tenant != l.Chain {
		return v.broken(l.Chain, &Broken{FaultChanged, r.Seq, "it is another tenant's"})
	}
	if broken := v.walking.step(r); broken != nil {
		return v.broken(l.Chain, broken)
	}
	return v.meet(l.Chain, r)
}

// meet holds a record against what the given checkpoints say of its number.
func (v *verification) meet(chain string, r Record) error {
	if len(v.wanted) == 0 {
		return nil
	}
	met := ChainHead{chain, r.Head()}
	if _, ok := v.wanted[met]; ok {
		delete(v.wanted, met)
		v.report.Held++
	}
	for h := range v.wanted {
		if h.Chain == chain && h.Seq == r.Seq {
			return v.broken(chain, &Broken{FaultHead, r.Seq,
				"the checkpoint given knew another one: this record or one before it is not what was written, or the control plane was restored from a backup since"})
		}
	}
	return nil
}

func (v *verification) takeEarlier(text []byte) error {
	if err := v.rest(); err != nil {
		return err
	}
	l, err := decodeLine[recordLine](text)
	if err != nil {
		return v.fault("%v", err)
	}
	r, before, err := l.record()
	if err != nil || l.Chain != "" || l.Before == "" && l.Seq != 1 {
		return v.fault("%v", errForm)
	}
	if r.Seq <= v.earlier {
		return v.broken("", &Broken{FaultDisorder, r.Seq, fmt.Sprintf("it stands behind record %d", v.earlier)})
	}
	alone := walk{last: Head{Seq: r.Seq - 1, Hash: before}, head: r.Head()}
	if broken := alone.step(r); broken != nil {
		return v.broken("", broken)
	}
	v.stage, v.earlier = stageEarlier, r.Seq
	v.report.Earlier++
	v.report.EarlierErased += alone.sum.Erased
	return nil
}

// rest goes over what the checkpoint has and the file has not.
func (v *verification) rest() error {
	for v.chain < len(v.check.Heads) {
		if err := v.next(); err != nil {
			return err
		}
	}
	return nil
}

func (v *verification) takeEnd(text []byte) error {
	l, err := decodeLine[endLine](text)
	if err != nil {
		return v.fault("%v", err)
	}
	if err := v.rest(); err != nil {
		return err
	}
	for h, at := range v.wanted { // of chains that are gone as a whole
		return v.broken(h.Chain, v.cutOff(1, h, at))
	}
	if l.Lines != v.line-1 {
		return v.fault("%d lines stand before it, and it counts %d", v.line-1, l.Lines)
	}
	v.stage = stageEnd
	return nil
}
