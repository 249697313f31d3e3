package config

import (
	"path/filepath"
	"slices"

	"github.com/heimdraht/heimdraht/provisioner"
)

// Declaration is what reviewed files declare, in the order of the files. What
// it refers to (a tenant's directory, a gateway's tenants) may stand in other
// files or on the server.
type Declaration struct {
	Directories []provisioner.Directory
	Tenants     []provisioner.Tenant
	Pools       []provisioner.LicencePool
	Gateways    []provisioner.Gateway
}

// LoadDeclaration reads one or more files as one declaration: no object may be
// in two of them. It also reads the ca_file of directories and the house rules of
// tenants, relative to the file that names them. Files that are wrong give Problems about all of them; a
// file that cannot be read gives an error that wraps the system's.
func LoadDeclaration(files ...string) (Declaration, error) {
	l := loader{seen: map[string]seen{}}
	for _, file := range files {
		content, err := readFile(file)
		if err != nil {
			return Declaration{}, err
		}
		l.add(file, content)
	}
	return l.result(files)
}

// loader gathers files into one declaration.
type loader struct {
	declaration Declaration
	problems    Problems
	seen        map[string]seen // what may be said only once, over all files
	aggregates  []aggregate
}

// seen is where something was said first.
type seen struct {
	file string
	line int
	by   string
}

func (l *loader) result(files []string) (Declaration, error) {
	if len(l.problems) > 0 {
		sortProblems(l.problems, files)
		return Declaration{}, l.problems
	}
	return l.declaration, nil
}

func (l *loader) add(file string, content []byte) {
	s := source{name: file, problems: &l.problems}
	m := s.parse(content)
	if m == nil {
		return
	}
	l.each(m, "directories", "a directory", func(m *mapping) {
		l.declaration.Directories = append(l.declaration.Directories, l.directory(m, filepath.Dir(file)))
	})
	l.each(m, "tenants", "a tenant", func(m *mapping) {
		l.declaration.Tenants = append(l.declaration.Tenants, l.tenant(m, filepath.Dir(file)))
	})
	l.each(m, "licence_pools", "a licence pool", func(m *mapping) {
		l.declaration.Pools = append(l.declaration.Pools, l.pool(m))
	})
	l.each(m, "gateways", "a gateway", func(m *mapping) {
		l.declaration.Gateways = append(l.declaration.Gateways, l.gateway(m))
	})
	m.done()
}

// each reads a list of objects.
func (l *loader) each(m *mapping, key, what string, read func(*mapping)) {
	v, ok := m.ask(key)
	if !ok {
		return
	}
	for _, item := range v.list(key) {
		if object := item.mapping(what); object != nil {
			read(object)
			object.done()
		}
	}
}

// name reads an object's name, which no other of its kind may have.
func (l *loader) name(m *mapping) string {
	var s string
	m.needText("name", &s, name)
	if s != "" {
		v, _ := m.ask("name")
		if first, found := l.seen[m.what+" "+s]; found {
			v.failf("%q is declared twice; the first is in %s:%d", s, first.file, first.line)
		} else {
			l.seen[m.what+" "+s] = seen{file: m.source.name, line: v.node.Line}
		}
	}
	return s
}

// once refuses what somebody else said before, in this file or another. key is
// what may be said once, by is who says it.
func (l *loader) once(v value, key, by string) {
	first, found := l.seen[key]
	if !found {
		l.seen[key] = seen{file: v.source.name, line: v.node.Line, by: by}
		return
	}
	if first.by != by {
		v.failf("%q belongs to %s already, in %s:%d", quoted(v.node.Value), first.by, first.file, first.line)
	}
}

// flavours of directories, as package directory names them; without one it is
// found.
func flavours() []string {
	return []string{"activedirectory", "openldap", "389ds", "edirectory", "univention"}
}

func (l *loader) directory(m *mapping, dir string) provisioner.Directory {
	var d provisioner.Directory
	d.Name = l.name(m)
	if v, ok := m.need("servers"); ok {
		m.list("servers", "addresses such as ldaps://dc1.stadt.example", &d.Servers, ldapServer)
		if v.emptyList() {
			v.failf("the list is empty: name a server such as ldaps://dc1.stadt.example")
		}
	}
	if v, ok := m.ask("ca_file"); ok {
		if file, ok := v.text(); ok {
			d.CAPEM = v.authorities(file, dir)
		}
	}
	if v, ok := m.need("bind"); ok {
		if b := v.mapping("bind").under("bind."); b != nil {
			b.needText("dn", &d.BindDN, bindName)
			b.needText("password_file", &d.BindPasswordFile, absolute)
			b.done()
		}
	}
	m.needText("base", &d.Base, distinguishedName)
	m.text("flavour", &d.Flavour, oneOf(flavours()...))
	m.flag("plain", &d.Plain)
	if v, _ := m.ask("plain"); d.Plain && slices.ContainsFunc(d.Servers, isLDAPS) {
		v.failf("true is for ldap:// without TLS; %s has TLS", d.Servers[slices.IndexFunc(d.Servers, isLDAPS)])
	}
	return d
}
