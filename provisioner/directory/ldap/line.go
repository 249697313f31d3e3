package ldap

import (
	"context"
	"errors"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/heimdraht/heimdraht/provisioner/directory"
)

// line is a connection of a feed's own for requests that are answered one after the other. It may rest for as long as
// it likes; each request ends within the time in which a server has to answer.
type line struct {
	c      *conn
	answer time.Duration
}

func (d *Directory) dialLine(ctx context.Context, on site) (*line, error) {
	ctx, cancel := context.WithTimeout(ctx, on.answer)
	defer cancel()
	c, err := d.dialService(ctx, on.server)
	if err != nil {
		return nil, err
	}
	l := &line{c: c, answer: on.answer}
	if err := l.rest(); err != nil {
		c.close()
		return nil, err
	}
	return l, nil
}

func (l *line) close() { l.c.close() }

// rest takes the deadline of the last request off.
func (l *line) rest() error {
	if !l.c.reusable() {
		return errors.New("the connection was closed")
	}
	return nil
}

// search runs one search below base with controls.
func (l *line) search(ctx context.Context, base, filter string, attributes []string, controls ...goldap.Control) (*goldap.SearchResult, error) {
	ctx, cancel := context.WithTimeout(ctx, l.answer)
	defer cancel()
	var result *goldap.SearchResult
	err := l.c.run(ctx, func(conn *goldap.Conn) error {
		var err error
		result, err = conn.Search(goldap.NewSearchRequest(base, goldap.ScopeWholeSubtree, goldap.NeverDerefAliases, 0, 0, false, filter, attributes, controls))
		return err
	})
	if err != nil {
		return nil, err
	}
	return result, l.rest()
}

// entry reads one entry.
func (l *line) entry(ctx context.Context, dn string, attributes ...string) (directory.Attributes, error) {
	ctx, cancel := context.WithTimeout(ctx, l.answer)
	defer cancel()
	a, err := l.c.entry(ctx, dn, attributes)
	if err != nil {
		return nil, err
	}
	return a, l.rest()
}

// pages reads all entries that match, a page at a time. extra may be nil.
func (l *line) pages(ctx context.Context, base, filter string, attributes []string, extra goldap.Control, read func(*goldap.Entry) error) error {
	var cookie []byte
	for {
		paging := goldap.NewControlPaging(pageSize)
		paging.SetCookie(cookie)
		controls := []goldap.Control{paging}
		if extra != nil {
			controls = append(controls, extra)
		}
		result, err := l.search(ctx, base, filter, attributes, controls...)
		if err != nil {
			return err
		}
		for _, e := range result.Entries {
			if err := read(e); err != nil {
				return err
			}
		}
		answer, ok := goldap.FindControl(result.Controls, goldap.ControlTypePaging).(*goldap.ControlPaging)
		if !ok || len(answer.Cookie) == 0 {
			return nil
		}
		cookie = answer.Cookie
	}
}
