package mirror_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/directory/mirror"
)

const base = ",dc=stadt,dc=example"

func person(id, dn string, names ...string) directory.Entry {
	return directory.Entry{StableID: id, DN: dn + base, Person: &directory.Person{StableID: id, Login: id, DN: dn + base}, Names: names}
}

func group(id, dn string, members ...string) directory.Entry {
	e := directory.Entry{StableID: id, DN: dn + base}
	for _, m := range members {
		e.Members = append(e.Members, m+base)
	}
	return e
}

// read has a mirror read exactly these entries.
func read(m *mirror.Mirror, entries ...directory.Entry) {
	p := m.Pass()
	for _, e := range entries {
		p.Read(e)
	}
	p.Whole()
}

// groups are the DNs, without the base, of the groups that somebody is in.
func groups(m *mirror.Mirror, id string) []string {
	var list []string
	for dn := range m.Memberships(id) {
		list = append(list, dn[:len(dn)-len(base)])
	}
	slices.Sort(list)
	return list
}

func wantGroups(t *testing.T, m *mirror.Mirror, id string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, groups(m, id)); diff != "" {
		t.Errorf("%s is in (-want +got):\n%s", id, diff)
	}
}

func wantTaken(t *testing.T, m *mirror.Mirror, want map[string]mirror.Cause) {
	t.Helper()
	got := m.Take()
	if len(want) == 0 && len(got) == 0 {
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("to be looked at (-want +got):\n%s", diff)
	}
}

// town has Eva three levels below the staff group, and Karl directly in it.
func town() *mirror.Mirror {
	m := mirror.New()
	read(m,
		group("g1", "cn=Staff", "cn=Division", "uid=karl"),
		group("g2", "cn=Division", "CN=Department"),
		group("g3", "cn=department", "uid=eva"),
		person("eva", "uid=eva"), person("karl", "uid=karl"), person("tom", "uid=tom"))
	m.Take()
	return m
}

func TestMembers(t *testing.T) {
	m := town()
	wantGroups(t, m, "eva", "cn=department", "cn=division", "cn=staff")
	wantGroups(t, m, "karl", "cn=staff")
	wantGroups(t, m, "tom")
	if people, groups := m.Size(); people != 3 || groups != 3 {
		t.Errorf("%d people and %d groups", people, groups)
	}
	if !m.HasGroup("CN=STAFF, DC=Stadt,dc=example") || m.HasGroup("uid=eva"+base) || m.HasGroup("cn=Nobody"+base) {
		t.Error("groups are not told from what is none")
	}
}

func TestWhoIsLookedAt(t *testing.T) {
	own, swept := mirror.Own, mirror.Swept
	for _, tt := range []struct {
		name   string
		change func(*mirror.Mirror)
		want   map[string]mirror.Cause
		groups []string // of eva
	}{
		{"nothing new", func(m *mirror.Mirror) { m.Changed(person("eva", "uid=eva")) }, nil, []string{"cn=department", "cn=division", "cn=staff"}},
		{"her entry", func(m *mirror.Mirror) {
			e := person("eva", "uid=eva")
			e.Person.Status.Ended = directory.EndDisabled
			m.Changed(e)
		}, map[string]mirror.Cause{"eva": own}, []string{"cn=department", "cn=division", "cn=staff"}},
		{"her entry, which a full read saw before it was told", func(m *mirror.Mirror) {
			e := person("eva", "uid=eva")
			e.Person.Status.Ended = directory.EndDisabled
			p := m.Pass()
			p.Read(e)
			m.Changed(e)
		}, map[string]mirror.Cause{"eva": own}, []string{"cn=department", "cn=division", "cn=staff"}},
		{"her entry, which only a full read saw", func(m *mirror.Mirror) {
			e := person("eva", "uid=eva")
			e.Person.Status.Ended = directory.EndDisabled
			p := m.Pass()
			p.Read(e)
			p.Abandon()
		}, map[string]mirror.Cause{"eva": swept}, []string{"cn=department", "cn=division", "cn=staff"}},
		{"deleted", func(m *mirror.Mirror) { m.Gone("eva") }, map[string]mirror.Cause{"eva": own}, nil},
		{"a group three levels up loses a group", func(m *mirror.Mirror) { m.Changed(group("g1", "cn=Staff", "uid=karl")) },
			map[string]mirror.Cause{"eva": swept}, []string{"cn=department", "cn=division"}},
		{"a group in between is deleted", func(m *mirror.Mirror) { m.Gone("g2") }, map[string]mirror.Cause{"eva": swept}, []string{"cn=department"}},
		{"somebody joins", func(m *mirror.Mirror) { m.Changed(group("g3", "cn=department", "uid=eva", "uid=tom")) },
			map[string]mirror.Cause{"tom": swept}, []string{"cn=department", "cn=division", "cn=staff"}},
		{"renamed and moved", func(m *mirror.Mirror) { m.Changed(person("eva", "uid=meier,ou=Bauamt")) },
			map[string]mirror.Cause{"eva": own}, []string{"cn=department", "cn=division", "cn=staff"}},
		{"her group is renamed", func(m *mirror.Mirror) { m.Changed(group("g3", "cn=Amt 7", "uid=eva")) }, nil, []string{"cn=amt 7", "cn=division", "cn=staff"}},
		{"a full read that finds her no more", func(m *mirror.Mirror) {
			read(m, group("g1", "cn=Staff", "cn=Division", "uid=karl"), group("g2", "cn=Division", "cn=Department"), group("g3", "cn=department", "uid=eva"),
				person("karl", "uid=karl"), person("tom", "uid=tom"))
		}, map[string]mirror.Cause{"eva": swept}, nil},
		{"a full read that breaks off", func(m *mirror.Mirror) {
			p := m.Pass()
			p.Read(person("tom", "uid=tom"))
			p.Abandon()
		}, nil, []string{"cn=department", "cn=division", "cn=staff"}},
		{"a full read told in parts", func(m *mirror.Mirror) {
			p := m.Pass()
			p.Unchanged("eva", "karl", "tom", "g1", "g2", "g3")
			p.Whole()
		}, nil, []string{"cn=department", "cn=division", "cn=staff"}},
		{"told beside a full read that had her before", func(m *mirror.Mirror) {
			p := m.Pass()
			m.Gone("eva")
			p.Read(person("eva", "uid=eva"))
			p.Unchanged("karl", "tom", "g1", "g2", "g3")
			p.Whole()
		}, map[string]mirror.Cause{"eva": own}, nil},
		{"everything moves, read in the worst order", func(m *mirror.Mirror) {
			read(m, group("g1", "cn=Staff", "cn=Division,ou=new", "uid=karl"), group("g2", "cn=Division,ou=new", "cn=Department,ou=new"),
				group("g3", "cn=department,ou=new", "uid=eva,ou=new"), person("eva", "uid=eva,ou=new"), person("karl", "uid=karl"), person("tom", "uid=tom"))
		}, map[string]mirror.Cause{"eva": swept}, []string{"cn=department,ou=new", "cn=division,ou=new", "cn=staff"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := town()
			tt.change(m)
			wantTaken(t, m, tt.want)
			wantGroups(t, m, "eva", tt.groups...)
		})
	}
}

// TestListsBehindARenaming: a server may rewrite the lists of members late, or tell an unrelated change before it has.
func TestListsBehindARenaming(t *testing.T) {
	m := town()
	m.Changed(person("eva", "uid=meier"))
	m.Take()
	if !m.Renamed() || m.Renamed() {
		t.Error("the renaming is not told, or told twice")
	}
	m.Changed(group("g3", "cn=department", "uid=eva", "uid=tom")) // not rewritten yet
	wantGroups(t, m, "eva", "cn=department", "cn=division", "cn=staff")
	m.Changed(group("g3", "cn=department", "uid=meier", "uid=tom"))
	wantGroups(t, m, "eva", "cn=department", "cn=division", "cn=staff")
	wantTaken(t, m, map[string]mirror.Cause{"tom": mirror.Swept})

	t.Run("never rewritten", func(t *testing.T) {
		m := town()
		m.Changed(person("eva", "uid=meier"))
		as := []directory.Entry{
			group("g1", "cn=Staff", "cn=Division", "uid=karl"), group("g2", "cn=Division", "cn=Department"), group("g3", "cn=department", "uid=eva"),
			person("eva", "uid=meier"), person("karl", "uid=karl"), person("tom", "uid=tom"),
		}
		read(m, as...)
		wantGroups(t, m, "eva", "cn=department", "cn=division", "cn=staff")
		read(m, as...)
		wantGroups(t, m, "eva")
	})
	t.Run("somebody else has the former name", func(t *testing.T) {
		m := town()
		m.Changed(person("eva", "uid=meier"))
		m.Changed(person("other", "uid=eva"))
		m.Changed(group("g3", "cn=department", "uid=eva"))
		wantGroups(t, m, "other", "cn=department", "cn=division", "cn=staff")
		wantGroups(t, m, "eva")
	})
}

func TestNamesAndPrimaryGroups(t *testing.T) {
	m := mirror.New()
	eva := person("eva", "cn=Eva", "uid:eva")
	eva.In = []string{"sid:513"}
	users := group("g1", "cn=Domain Users")
	users.Names = []string{"sid:513"}
	posix := directory.Entry{StableID: "g2", DN: "cn=posix" + base, Members: []string{"uid:eva"}}
	read(m, eva, users, posix)
	wantGroups(t, m, "eva", "cn=domain users", "cn=posix")
}

func TestNobodyIsLookedAtBeforeTheFirstReadIsWhole(t *testing.T) {
	m := mirror.New()
	m.Changed(person("eva", "uid=eva"))
	p := m.Pass()
	p.Read(person("karl", "uid=karl"))
	if m.Whole() || m.Take() != nil {
		t.Error("somebody is to be looked at before the first full read is whole")
	}
	p.Whole()
	if !m.Whole() {
		t.Error("not whole")
	}
}

func TestGroupsWaitForAFullReadUnderWay(t *testing.T) {
	m := town()
	p := m.Pass()
	m.Changed(group("g3", "cn=department"))
	e := person("karl", "uid=karl")
	e.Person.Mail = "karl@stadt.example"
	m.Changed(e)
	wantTaken(t, m, map[string]mirror.Cause{"karl": mirror.Own})
	p.Abandon()
	wantTaken(t, m, map[string]mirror.Cause{"eva": mirror.Swept})
}

// TestChangesAddUp: however a directory came to be what it is, by single changes or by a full read, the mirror says the same,
// and whoever's groups differ from before has been marked.
func TestChangesAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const people, groupCount = 4, 4
		dnOf := func(id string, moved int) string { return fmt.Sprintf("cn=%s-%d", id, moved) }
		now := map[string]directory.Entry{}
		live := mirror.New()
		read(live)
		id := func(n int) string { return fmt.Sprintf("e%d", n) }
		all := func(m *mirror.Mirror) map[string][]string {
			said := map[string][]string{}
			for n := range people {
				if _, there := m.Person(id(n)); there {
					said[id(n)] = groups(m, id(n))
				}
			}
			return said
		}
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			before := all(live)
			n := rapid.IntRange(0, people+groupCount-1).Draw(t, "entry")
			e, there := now[id(n)]
			switch what := rapid.SampledFrom([]string{"put", "gone", "move"}).Draw(t, "what"); {
			case what == "gone":
				delete(now, id(n))
				live.Gone(id(n))
			case what == "move" && there:
				former := e.DN
				e.DN = dnOf(id(n), rapid.IntRange(0, 3).Draw(t, "to")) + base
				if e.Person != nil {
					p := *e.Person
					p.DN = e.DN
					e.Person = &p
				}
				now[id(n)] = e
				for key, g := range now { // what the server does, and does not tell
					g.Members = slices.Clone(g.Members)
					for i, m := range g.Members {
						if m == former && former != e.DN {
							g.Members[i] = e.DN
						}
					}
					now[key] = g
				}
				live.Changed(now[id(n)])
			case n < people:
				if !there {
					e = person(id(n), dnOf(id(n), 0))
				}
				now[id(n)] = e
				live.Changed(e)
			default:
				if !there {
					e = group(id(n), dnOf(id(n), 0))
				}
				e.Members = nil
				for _, m := range rapid.SliceOfNDistinct(rapid.IntRange(0, people+groupCount-1), 0, 4, rapid.ID[int]).Draw(t, "members") {
					if member, there := now[id(m)]; there {
						e.Members = append(e.Members, member.DN)
					}
				}
				now[id(n)] = e
				live.Changed(e)
			}
			taken := live.Take()
			after := all(live)
			for who := range maps.Keys(after) {
				former, known := before[who]
				if _, marked := taken[who]; !marked && (!known || !slices.Equal(former, after[who])) {
					// Renamed groups lead to the same people under another name; nobody asks for those.
					if known && len(former) == len(after[who]) {
						continue
					}
					t.Fatalf("%s was in %v, is in %v, and is not looked at", who, former, after[who])
				}
			}
		}
		fresh := mirror.New()
		read(fresh, slices.Collect(maps.Values(now))...)
		if diff := cmp.Diff(all(fresh), all(live)); diff != "" {
			t.Fatalf("read at once, and by changes (-read +changes):\n%s", diff)
		}
	})
}
