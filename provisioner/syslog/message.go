package syslog

import (
	"strconv"
	"strings"
	"time"
)

// priority: facility 13 (log audit), severity 5 (notice).
const priority = 13*8 + 5

// Message is one of RFC 5424.
type Message struct {
	At   time.Time
	Host string // empty: not known
	App  string
	ID   string // what kind of message it is
	// Name of the structured data, and its parameters in order.
	Name   string
	Params []Param
	Text   []byte // UTF-8; empty: there is none
}

// Param is a named value of the structured data.
type Param struct{ Name, Value string }

// Append adds the message to b as it goes over the wire, its length before it.
func (m Message) Append(b []byte) []byte {
	var s strings.Builder
	s.WriteString("<" + strconv.Itoa(priority) + ">1 ")
	s.WriteString(m.At.UTC().Format("2006-01-02T15:04:05.000Z"))
	s.WriteString(" " + word(m.Host, 255) + " " + word(m.App, 48) + " - " + word(m.ID, 32) + " [" + m.Name)
	for _, p := range m.Params {
		s.WriteString(" " + p.Name + `="` + strings.NewReplacer(`"`, `\"`, `\`, `\\`, `]`, `\]`).Replace(p.Value) + `"`)
	}
	s.WriteString("]")
	if len(m.Text) > 0 {
		s.WriteString(" ")
		s.Write(m.Text)
	}
	b = strconv.AppendInt(b, int64(s.Len()), 10)
	b = append(b, ' ')
	return append(b, s.String()...)
}

// word is a field of the header: printable ASCII without spaces, "-" for none.
func word(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r < '!' || r > '~' {
			return -1
		}
		return r
	}, s)
	if s == "" {
		return "-"
	}
	return s[:min(len(s), limit)]
}
