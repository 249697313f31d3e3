//go:build unix

package survey_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/directory/slapdtest"
	"github.com/heimdraht/heimdraht/provisioner/directory/survey"
)

// world is a server, and a tenant's file about it.
type world struct {
	options survey.Options
	steps   []survey.Step
	read    int
}

func newWorld(t *testing.T, o slapdtest.Options) *world {
	t.Helper()
	s := slapdtest.Start(t, o)
	c := s.Configuration()
	w := &world{}
	w.options = survey.Options{
		Directory: provisioner.Directory{
			Name: "stadt", Servers: c.Servers, CAPEM: string(c.CAPEM), BindDN: c.BindDN, BindPasswordFile: c.BindPasswordFile, Base: c.Base,
		},
		Tenants: []provisioner.Tenant{{
			Name: "rathaus", Directory: "stadt", Base: "ou=Rathaus," + slapdtest.PeopleBase, StaffGroup: slapdtest.StaffGroup,
			Roles:    provisioner.RoleGroups{Helpdesk: slapdtest.Helpdesk},
			Networks: []provisioner.NetworkGrant{{Group: provisioner.GroupAll}, {Group: slapdtest.DeepGroup}},
			Policy:   provisioner.DefaultPolicy(),
		}},
		Say:      func(s survey.Step) { w.steps = append(w.steps, s) },
		Progress: func(n int) { w.read = n },
	}
	return w
}

func (w *world) run(t *testing.T) {
	t.Helper()
	w.steps = nil
	if err := survey.Run(t.Context(), w.options); err != nil {
		t.Fatal(err)
	}
	for _, s := range w.steps {
		if s.What.German == "" || s.What.English == "" || s.Detail.English == "" || s.Detail.German == "" || (s.Next.German == "") != (s.Next.English == "") {
			t.Errorf("half a step: %+v", s)
		}
		if s.OK != (s.Code == "") || !s.OK && s.Next.English == "" {
			t.Errorf("not in order, and nothing to do, or the other way round: %+v", s)
		}
	}
}

// wrong lists the steps that are not in order, by code.
func (w *world) wrong() (codes []string) {
	for _, s := range w.steps {
		if !s.OK {
			codes = append(codes, s.Code)
		}
	}
	return codes
}

// about is the step whose name begins so.
func (w *world) about(t *testing.T, what string) survey.Step {
	t.Helper()
	i := slices.IndexFunc(w.steps, func(s survey.Step) bool { return strings.HasPrefix(s.What.English, what) })
	if i < 0 {
		t.Fatalf("no step about %q in %+v", what, w.steps)
	}
	return w.steps[i]
}

func (w *world) tenant() *provisioner.Tenant { return &w.options.Tenants[0] }

func TestAllIsWell(t *testing.T) {
	w := newWorld(t, slapdtest.Options{People: 100, Sync: true, SizeLimit: slapdtest.Unlimited})
	yard := w.options.Tenants[0]
	yard.Name, yard.Base = "bauhof", "ou=Bauhof,"+slapdtest.PeopleBase
	w.options.Tenants = append(w.options.Tenants, yard)
	rathaus := w.tenant()
	rathaus.Priority = provisioner.PriorityGroups{Crisis: slapdtest.Helpdesk, Control: slapdtest.DeepGroup}
	rathaus.Policy.ExternalGroup, rathaus.Policy.Access = slapdtest.DeepGroup, []provisioner.AccessTime{{Group: provisioner.GroupAll}, {Group: slapdtest.Helpdesk}}
	w.run(t)
	if bad := w.wrong(); len(bad) > 0 {
		t.Fatalf("not in order: %v", bad)
	}
	for what, want := range map[string]string{
		"connection":               "TLS 1.3, certificate valid until",
		"service account":          slapdtest.ServiceDN,
		"kind of directory":        "openldap",
		"reading everything":       "to the end: 113 people",
		"noticing changes":         "at once (syncrepl)",
		"own people, below ou=Rat": "112 people",
		"staff_group":              "people, also through other groups; besides 1 who",
		"networks":                 "people, also through other groups",
		"priority.crisis":          "people, also through other groups",
		"priority.control":         "people, also through other groups",
		"policy.external_group":    "people, also through other groups",
		"policy.access":            "people, also through other groups",
	} {
		if s := w.about(t, what); !strings.Contains(s.Detail.English, want) {
			t.Errorf("%s: %q, want %q", what, s.Detail.English, want)
		}
	}
	if w.read < 113 {
		t.Errorf("told of %d entries", w.read)
	}
	rathaus.Priority.Crisis = "cn=gibtsnicht," + slapdtest.GroupsBase
	w.run(t)
	if s := w.about(t, "priority.crisis"); s.Code != "directory-group" || !strings.Contains(s.Next.English, "Correct priority.crisis") {
		t.Errorf("a group that is not there: %+v", s)
	}
}

func TestWhatIsNotInOrder(t *testing.T) {
	w := newWorld(t, slapdtest.Options{People: 40, SizeLimit: slapdtest.Unlimited})
	other, err := slapdtest.NewCertificates(time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	wrongPassword := filepath.Join(t.TempDir(), "pw")
	if err := os.WriteFile(wrongPassword, []byte("wrong-of-me"), 0o600); err != nil {
		t.Fatal(err)
	}
	well := w.options
	well.Tenants = slices.Clone(w.options.Tenants)
	for _, tt := range []struct {
		name   string
		change func()
		codes  []string
		steps  int // looked at; what rests on a failed one is left out
	}{
		{"another authority", func() { w.options.Directory.CAPEM = string(other.CA) }, []string{"directory-connection"}, 2},
		{"a wrong password", func() { w.options.Directory.BindPasswordFile = wrongPassword }, []string{"directory-service-account"}, 3},
		{"no password file", func() { w.options.Directory.BindPasswordFile = "/nonexistent/pw" }, []string{"directory-password-file", "directory-service-account"}, 3},
		{"a wrong base", func() { w.tenant().Base = "ou=Rathhaus," + slapdtest.PeopleBase }, []string{"directory-people"}, 5},
		{"a base without people", func() { w.tenant().Base = "ou=Leer," + slapdtest.Base }, []string{"directory-people"}, 5},
		{"a hidden group", func() { w.tenant().StaffGroup = slapdtest.HiddenGroup }, []string{"directory-group"}, 11},
		{"a group that is none", func() { w.tenant().Networks[1].Group = slapdtest.Members()[0].DN() }, []string{"directory-group"}, 11},
		{"no such group", func() { w.tenant().Roles.Planner = "cn=Nirgends," + slapdtest.GroupsBase }, []string{"directory-group"}, 12},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.options = well
			w.options.Tenants = slices.Clone(well.Tenants)
			w.options.Tenants[0].Networks = slices.Clone(well.Tenants[0].Networks)
			tt.change()
			w.run(t)
			if got := w.wrong(); !slices.Equal(got, tt.codes) {
				t.Errorf("not in order: %v, want %v", got, tt.codes)
			}
			if len(w.steps) != tt.steps {
				t.Errorf("%d steps: %+v", len(w.steps), w.steps)
			}
			for _, s := range w.steps {
				if strings.Contains(s.Detail.English+s.Next.English, "wrong-of-me") {
					t.Error("the password is shown")
				}
			}
		})
	}
}

func TestALimitIsNamed(t *testing.T) {
	w := newWorld(t, slapdtest.Options{People: 400, SizeLimit: 100})
	w.run(t)
	s := w.about(t, "reading everything")
	if s.OK || s.Code != "directory-read" || !strings.Contains(s.Detail.English, "100 entries and no more") || !strings.Contains(s.Next.English, "size=unlimited") {
		t.Errorf("the step is %+v", s)
	}
}

func TestABetterWayIsNamed(t *testing.T) {
	w := newWorld(t, slapdtest.Options{SizeLimit: slapdtest.Unlimited})
	w.run(t)
	s := w.about(t, "noticing changes")
	if !s.OK || !strings.Contains(s.Detail.English, "every minute") || !strings.Contains(s.Next.English, "overlay syncprov") {
		t.Errorf("the step is %+v", s)
	}
}

func TestTwoServers(t *testing.T) {
	w := newWorld(t, slapdtest.Options{Sync: true, SizeLimit: slapdtest.Unlimited})
	w.options.Directory.Servers = append([]string{"ldaps://127.0.0.1:1"}, w.options.Directory.Servers...)
	w.run(t)
	if got := w.wrong(); !slices.Equal(got, []string{"directory-connection"}) {
		t.Errorf("not in order: %v", got)
	}
	if s := w.about(t, "reading everything"); !s.OK || s.Server != w.options.Directory.Servers[1] {
		t.Errorf("the second server: %+v", s)
	}
}

func TestSomebody(t *testing.T) {
	w := newWorld(t, slapdtest.Options{Sync: true, SizeLimit: slapdtest.Unlimited})
	for _, tt := range []struct {
		login, code, detail string
	}{
		{"tief", "", "yes"},
		{"TIEF", "", "yes"},
		{"draussen", "directory-not-entitled", "no: not in staff_group"},
		{"gesperrt", "directory-not-entitled", "no: the account has ended (locked)"},
		{"abgelaufen", "directory-not-entitled", "no: the account has ended (expired)"},
		{"neuling", "directory-not-entitled", "must be changed"},
		{"niemand", "directory-person", "Nobody below ou=Rathaus"},
		{"*", "directory-person", "Nobody below"},
	} {
		t.Run(tt.login, func(t *testing.T) {
			w.options.Login = tt.login
			w.run(t)
			s := w.steps[len(w.steps)-1]
			if s.Code != tt.code || !strings.Contains(s.Detail.English, tt.detail) || s.Tenant != "rathaus" {
				t.Errorf("the last step is %+v", s)
			}
			if n := len(w.wrong()); (n > 0) != (tt.code != "") || n > 1 {
				t.Errorf("not in order: %v", w.wrong())
			}
		})
	}
	t.Run("what is read", func(t *testing.T) {
		w.options.Login = "tief"
		w.run(t)
		for what, want := range map[string]string{
			"tief: stable id": "-", "tief: DN": "uid=tief,ou=Rathaus", "tief: name": "Tim Tief, tief", "tief: groups": slapdtest.DeepGroup, "tief: status": "in order",
		} {
			if s := w.about(t, what); !strings.Contains(s.Detail.English, want) {
				t.Errorf("%s: %q", what, s.Detail.English)
			}
		}
	})
	t.Run("twins", func(t *testing.T) {
		w.options.Login, w.options.Tenants[0].Base = "zwilling", ""
		w.run(t)
		if s := w.steps[len(w.steps)-1]; s.Code != "directory-person" || !strings.Contains(s.Detail.English, "Several") {
			t.Errorf("the last step is %+v", s)
		}
	})
}
