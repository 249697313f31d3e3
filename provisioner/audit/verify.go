package audit

import (
	"fmt"
	"iter"
	"time"
)

// Fault is what is wrong with a chain.
type Fault string

// What Verify finds.
const (
	FaultChanged  Fault = "changed"  // the record is not what was written
	FaultMissing  Fault = "missing"  // records before this one are gone
	FaultDisorder Fault = "disorder" // the record does not stand in its place
	FaultAdded    Fault = "added"    // the record was never part of the chain
	FaultCutOff   Fault = "cut off"  // the last records are gone
	FaultHead     Fault = "head"     // the chain is whole, and another one
)

// Broken says where a chain breaks first; what follows was not looked at. It
// is an error.
type Broken struct {
	Fault  Fault
	Seq    int64 // of the record, or of the first one that is gone
	Detail string
}

// Error is a sentence for those who look into it.
func (b *Broken) Error() string {
	return fmt.Sprintf("the audit log is broken at record %d (%s): %s", b.Seq, b.Fault, b.Detail)
}

// Summary is what a verified stretch of the log holds.
type Summary struct {
	Records int64
	Erased  int64
	Last    time.Time // of the last record; zero: there is none
	// LastErased is the time of the youngest erased record; zero: none is
	// erased. A payload that was dropped before its time shows here.
	LastErased time.Time
}

// Verify checks the records that follow a place in the chain, in order, up to
// its head. The zero Head is the beginning; another one is where the log's
// older records were put away. It gives a *Broken, or the first error of the
// iteration.
func Verify(after Head, records iter.Seq2[Record, error], head Head) (Summary, error) {
	w := walk{last: after, head: head}
	for r, err := range records {
		if err != nil {
			return w.sum, fmt.Errorf("reading the audit log after record %d: %w", w.last.Seq, err)
		}
		if broken := w.step(r); broken != nil {
			return w.sum, broken
		}
	}
	if broken := w.end(); broken != nil {
		return w.sum, broken
	}
	return w.sum, nil
}

// walk goes along a chain up to its head.
type walk struct {
	last, head Head
	sum        Summary
}

// step takes the next record.
func (w *walk) step(r Record) *Broken {
	if broken := r.follows(w.last, w.head); broken != nil {
		return broken
	}
	w.last = r.Head()
	w.sum.Records++
	w.sum.Last = r.At
	if r.IsErased() {
		w.sum.Erased++
		if r.At.After(w.sum.LastErased) {
			w.sum.LastErased = r.At
		}
	}
	return nil
}

// end holds where the records end against the head.
func (w *walk) end() *Broken {
	switch {
	case w.last.Seq < w.head.Seq:
		return &Broken{FaultCutOff, w.last.Seq + 1, fmt.Sprintf("it ends here, and its head is record %d", w.head.Seq)}
	case w.last != w.head:
		return &Broken{FaultHead, w.last.Seq, "its hash is not the head's"}
	}
	return nil
}

// follows checks one record against the one before and the head.
func (r Record) follows(last, head Head) *Broken {
	switch {
	case r.Seq <= last.Seq:
		return &Broken{FaultDisorder, r.Seq, fmt.Sprintf("it stands behind record %d", last.Seq)}
	case r.Seq > head.Seq:
		return &Broken{FaultAdded, r.Seq, fmt.Sprintf("the head is record %d", head.Seq)}
	case r.Seq > last.Seq+1:
		return &Broken{FaultMissing, last.Seq + 1, fmt.Sprintf("record %d is followed by record %d", last.Seq, r.Seq)}
	case !r.IsErased() && commitment(r.Salt, r.Payload) != r.Commitment:
		return &Broken{FaultChanged, r.Seq, "its payload is not what was committed to"}
	case r.chained(last.Hash) != r.Hash:
		return &Broken{FaultChanged, r.Seq, "its hash does not follow from the record before and from what it says"}
	}
	if r.IsErased() {
		return nil
	}
	e, err := r.Event()
	if err != nil {
		return &Broken{FaultChanged, r.Seq, err.Error()}
	}
	if e.Tenant != r.Tenant || !e.At.Equal(r.At) {
		return &Broken{FaultChanged, r.Seq, "its payload names another tenant or time than the record"}
	}
	return nil
}
