package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
)

// pipeline runs statements on one connection to PostgreSQL. What need not be
// answered at once is sent together with the next statement that does: a round
// trip costs more than most statements.
type pipeline struct {
	ctx     context.Context
	conn    *pgx.Conn
	asked   func(statement string)
	pending []statement
	mark    int   // index in pending of the savepoint; -1: it was sent, or there is none
	lost    error // of a statement from before the savepoint
}

type statement struct {
	query string
	args  []any
}

func (p *pipeline) run(query string, args ...any) error {
	p.asked(query)
	p.pending = append(p.pending, statement{query, clean(args)})
	return nil
}

func (p *pipeline) query(query string, args ...any) (rows, error) {
	p.asked(query)
	if len(p.pending) == 0 {
		r, err := p.conn.Query(p.ctx, query, clean(args)...)
		return &postgresRows{r, nil}, err
	}
	results, err := p.send(statement{query, clean(args)})
	if err != nil {
		return nil, err
	}
	r, err := results.Query()
	if err != nil {
		return nil, errors.Join(err, results.Close())
	}
	return &postgresRows{r, results}, nil
}

func (p *pipeline) exec(query string, args ...any) (int64, error) {
	p.asked(query)
	if len(p.pending) == 0 {
		tag, err := p.conn.Exec(p.ctx, query, clean(args)...)
		return tag.RowsAffected(), err
	}
	results, err := p.send(statement{query, clean(args)})
	if err != nil {
		return 0, err
	}
	tag, err := results.Exec()
	if closing := results.Close(); err == nil {
		err = closing
	}
	return tag.RowsAffected(), err
}

// send sends what is pending and one statement more, or several, whose results
// are the next ones to be read.
func (p *pipeline) send(next statement, more ...question) (pgx.BatchResults, error) {
	var b pgx.Batch
	for _, s := range p.pending {
		b.Queue(s.query, s.args...)
	}
	b.Queue(next.query, next.args...)
	for _, q := range more {
		b.Queue(q.query, q.args...)
	}
	sent, mark := p.pending, p.mark
	p.pending, p.mark = nil, -1
	results := p.conn.SendBatch(p.ctx, &b)
	for i, s := range sent {
		if _, err := results.Exec(); err != nil {
			err = fmt.Errorf("running %q: %w", firstWords(s.query), err)
			if i < mark {
				p.lost = err
			}
			_ = results.Close() // tells the same
			return nil, err
		}
	}
	return results, nil
}

// ask sends several queries together and reads their rows in turn.
func (p *pipeline) ask(list ...question) error {
	for _, q := range list {
		p.asked(q.query)
	}
	results, err := p.send(statement{list[0].query, list[0].args}, list[1:]...)
	if err != nil {
		return err
	}
	for _, q := range list {
		r, err := results.Query()
		if err == nil {
			rows := &postgresRows{r, nil}
			err = errors.Join(q.read(rows), rows.Close())
		}
		if err != nil {
			return errors.Join(fmt.Errorf("running %q: %w", firstWords(q.query), err), results.Close())
		}
	}
	return results.Close()
}

// firstWords name a statement in an error.
func firstWords(query string) string {
	words := strings.Fields(query)
	return strings.Join(words[:min(4, len(words))], " ")
}

// clean replaces what PostgreSQL does not take in a text: NUL, and what is not
// UTF-8. The same goes for what is stored and what is asked for, so that they
// still find each other.
func clean(args []any) []any {
	for i, a := range args {
		if s, ok := a.(string); ok && (strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s)) {
			args[i] = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
		}
	}
	return args
}

// postgresRows are rows of a query that was sent alone, or as the last of a
// batch.
type postgresRows struct {
	pgx.Rows
	results pgx.BatchResults // nil: alone
}

func (r *postgresRows) Close() error {
	r.Rows.Close()
	err := r.Rows.Err()
	if r.results != nil {
		err = errors.Join(err, r.results.Close())
	}
	return err
}

// errPenBroken says that the connection that writes is of no use any more.
var errPenBroken = errors.New("the connection to the database is broken")

// postgresPen is the connection that writes.
type postgresPen struct {
	pipeline
	cancel context.CancelFunc
}

// transactionTime is how long one transaction may take; it waits for its turn
// behind those of other replicas.
const transactionTime = 15 * time.Second

func (p *postgresPen) begin(ctx context.Context) error {
	if p.conn.IsClosed() {
		return errPenBroken
	}
	p.pending, p.mark, p.lost = nil, -1, nil
	p.ctx, p.cancel = context.WithTimeout(ctx, transactionTime)
	return p.run("begin")
}

func (p *postgresPen) commit() error {
	p.mark = len(p.pending) // whatever fails now was asked for before
	_, err := p.exec("commit")
	if err == nil {
		p.cancel()
	}
	return err
}

func (p *postgresPen) rollback() error {
	defer p.cancel()
	p.pending, p.mark = nil, -1
	if p.conn.IsClosed() {
		return nil // the server has done it
	}
	_, err := p.exec("rollback")
	return err
}

func (p *postgresPen) save() error {
	p.mark = len(p.pending)
	return p.run("savepoint request")
}

// release costs nothing if nothing was sent since the savepoint.
func (p *postgresPen) release() error {
	if p.mark < 0 {
		return p.run("release request")
	}
	p.pending = append(p.pending[:p.mark], p.pending[p.mark+1:]...)
	p.mark = -1
	return nil
}

func (p *postgresPen) undo() error {
	if p.mark >= 0 {
		p.pending, p.mark = p.pending[:p.mark], -1
		return nil
	}
	p.pending = nil
	if err := p.run("rollback to request"); err != nil {
		return err
	}
	_, err := p.exec("release request")
	return err
}

func (p *postgresPen) failed() error { return p.lost }
func (*postgresPen) wrote() bool     { return true } // it has locked the allocation row, which is written down
func (p *postgresPen) usable() bool  { return !p.conn.IsClosed() }

func (p *postgresPen) close() error { return p.conn.Close(context.WithoutCancel(p.ctx)) }
