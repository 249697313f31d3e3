package store

import (
	"time"
)

// WarningMessage is one that the receiver of warnings is to get.
type WarningMessage struct {
	Number   int64  // given when it is added
	ID       string // as the receiver is told it
	Warning  string // the id of what it is about
	Body     string
	MadeAt   time.Time
	Attempts int64
}

// AddWarningMessages adds messages, due now, in this order; their numbers are not used.
func (w *Writer) AddWarningMessages(list []WarningMessage) error {
	last, err := one(w.q, value[int64], `select coalesce(max(number), 0) from warning_message`)
	if err != nil {
		return err
	}
	rows := make([][]any, len(list))
	for i, m := range list {
		rows[i] = []any{last + int64(i) + 1, m.ID, m.Warning, m.Body, ms(m.MadeAt), 0, 0, 0, 0}
	}
	return insertMany(w.q, `insert into warning_message (number, id, warning, body, made_at, attempts, next_at, failed_at, given_up_at)`, rows, "")
}

// DueWarningMessage reads the first one that is due; ErrNone: none is. One waits for all
// former ones about the same warning.
func (r *Reader) DueWarningMessage(now time.Time) (WarningMessage, error) {
	return one(r.q, func(s scanner) (m WarningMessage, err error) {
		var made int64
		err = s.Scan(&m.Number, &m.ID, &m.Warning, &m.Body, &made, &m.Attempts)
		m.MadeAt = at(made)
		return m, err
	}, `select number, id, warning, body, made_at, attempts from warning_message m where given_up_at = 0 and next_at <= $1
		and not exists (select 1 from warning_message e where e.warning = m.warning and e.number < m.number and e.given_up_at = 0) order by number limit 1`, ms(now))
}

// WarningMessageTaken deletes a message that the receiver has got.
func (w *Writer) WarningMessageTaken(number int64) error {
	return run(w.q, `delete from warning_message where number = $1`, number)
}

// WarningMessageFailed notes that a message did not arrive, and when it is tried next.
func (w *Writer) WarningMessageFailed(number int64, next time.Time) error {
	return run(w.q, `update warning_message set attempts = attempts + 1, next_at = $1, failed_at = case when failed_at = 0 then $2 else failed_at end where number = $3`,
		ms(next), ms(w.Now), number)
}

// GiveUpWarningMessage has a message not be tried again.
func (w *Writer) GiveUpWarningMessage(number int64) error {
	return run(w.q, `update warning_message set given_up_at = $1 where number = $2`, ms(w.Now), number)
}

// ForgetWarningMessages deletes those that were given up before a time, at most limit, and
// tells how many.
func (w *Writer) ForgetWarningMessages(before time.Time, limit int) (int64, error) {
	return changed(w.q, `delete from warning_message where number in (select number from warning_message where given_up_at > 0 and given_up_at < $1 order by number limit $2)`,
		ms(before), limit)
}

// Receiving is how it stands with the receiver of warnings.
type Receiving struct {
	Waiting      int64     // messages
	FailingSince time.Time // of those that wait; zero: none has failed
	GivenUp      int64     // messages
}

// Receiving tells how it stands with the receiver of warnings.
func (r *Reader) Receiving() (Receiving, error) {
	return one(r.q, func(s scanner) (v Receiving, err error) {
		var failing int64
		err = s.Scan(&v.Waiting, &failing, &v.GivenUp)
		v.FailingSince = at(failing)
		return v, err
	}, `select coalesce(sum(case when given_up_at = 0 then 1 else 0 end), 0), coalesce(min(case when given_up_at = 0 and failed_at > 0 then failed_at end), 0),
		coalesce(sum(case when given_up_at > 0 then 1 else 0 end), 0) from warning_message`)
}
