package config

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// mapping is a set of keys and values. Whoever reads it asks for each key it
// knows and then calls done, which refuses the rest: so what is known and what
// is read cannot differ.
type mapping struct {
	source
	what   string // what it describes: "a tenant"
	prefix string // of the keys in messages: "policy."
	line   int
	keys   []entry
	asked  []string
}

type entry struct {
	key   string
	line  int
	value value
}

// mapping reads keys and values; nil: it is something else, and that is among
// the problems. what names it in messages.
func (v value) mapping(what string) *mapping {
	if v.node.Kind != yaml.MappingNode {
		v.wanted("keys and values")
		return nil
	}
	m := &mapping{source: v.source, what: what, line: v.node.Line}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		k, n := v.node.Content[i], v.node.Content[i+1]
		if k.Kind != yaml.ScalarNode {
			m.fail(k.Line, "a key must be a single word")
			continue
		}
		if j := slices.IndexFunc(m.keys, func(e entry) bool { return e.key == k.Value }); j >= 0 {
			m.fail(k.Line, "%q is given twice; the first is in line %d", quoted(k.Value), m.keys[j].line)
			continue
		}
		m.keys = append(m.keys, entry{key: k.Value, line: k.Line, value: value{source: v.source, node: n, path: k.Value}})
	}
	return m
}

// under puts a prefix before the keys in messages.
func (m *mapping) under(prefix string) *mapping {
	if m == nil {
		return nil
	}
	m.prefix = prefix
	for i := range m.keys {
		m.keys[i].value.path = prefix + m.keys[i].value.path
	}
	return m
}

// ask gives the value of a key that may be missing.
func (m *mapping) ask(key string) (value, bool) {
	if !slices.Contains(m.asked, key) {
		m.asked = append(m.asked, key)
	}
	i := slices.IndexFunc(m.keys, func(e entry) bool { return e.key == key })
	if i < 0 {
		return value{}, false
	}
	return m.keys[i].value, true
}

// need gives the value of a key that must be there.
func (m *mapping) need(key string) (value, bool) {
	v, ok := m.ask(key)
	if !ok {
		m.fail(m.line, "%s needs %q", m.what, m.prefix+key)
	}
	return v, ok
}

// done refuses the keys that nobody asked for.
func (m *mapping) done() {
	for _, e := range m.keys {
		if slices.Contains(m.asked, e.key) {
			continue
		}
		if near := nearest(e.key, m.asked); near != "" {
			m.fail(e.line, "unknown key %q in %s; did you mean %q?", quoted(e.key), m.what, near)
			continue
		}
		m.fail(e.line, "unknown key %q in %s; known are %s", quoted(e.key), m.what, strings.Join(m.asked, ", "))
	}
}

// text, number, flag and the like below read an optional key into its place,
// and leave what is there where the key is missing or wrong.

func (m *mapping) text(key string, into *string, checks ...func(value, string) (string, bool)) {
	if v, ok := m.ask(key); ok {
		v.intoText(into, checks)
	}
}

func (m *mapping) needText(key string, into *string, checks ...func(value, string) (string, bool)) {
	if v, ok := m.need(key); ok {
		v.intoText(into, checks)
	}
}

func (v value) intoText(into *string, checks []func(value, string) (string, bool)) {
	s, ok := v.text()
	for _, check := range checks {
		if ok {
			s, ok = check(v, s)
		}
	}
	if ok {
		*into = s
	}
}

func (m *mapping) whole(key string, into *int64, least, most int64) {
	if v, ok := m.ask(key); ok {
		if n, ok := v.whole(least, most); ok {
			*into = n
		}
	}
}

func (m *mapping) flag(key string, into *bool) {
	if v, ok := m.ask(key); ok {
		*into = v.boolean()
	}
}

func (m *mapping) list(key, of string, into *[]string, check func(value, string) (string, bool)) {
	if v, ok := m.ask(key); ok {
		*into = v.texts(of, func(item value) (string, bool) {
			s, ok := item.text()
			if !ok {
				return "", false
			}
			return check(item, s)
		})
	}
}
