package tenancy_test

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/tenancy"
)

// groups lends a directory that has some groups, or does not answer.
type groups struct {
	directory.Directory // nil: nobody signs in here
	has                 []string
	down                bool
	asked               []string
}

func (g *groups) Use(_ provisioner.Directory, use func(directory.Directory) error) error {
	return use(g)
}

func (g *groups) MissingGroups(_ context.Context, asked []string) (missing []string, err error) {
	g.asked = append(g.asked, asked...)
	if g.down {
		return nil, &directory.Error{Cause: directory.Unavailable}
	}
	return slices.DeleteFunc(slices.Clone(asked), func(dn string) bool { return slices.Contains(g.has, dn) }), nil
}

// Whoever names a group that the directory does not have hears of it, and where it is named; it is applied all the same.
func TestGroupsThatNobodyHas(t *testing.T) {
	has := &groups{has: []string{"CN=stadt", "CN=dorf", "CN=help", "CN=control"}}
	w := newWorld(t)
	w.Service = tenancy.New(tenancy.Options{Store: w.store, Directories: has, Certificates: notary{}, Logger: slog.New(slog.DiscardHandler)})
	told := func(list []tenancy.Difference) (fields []string) {
		for _, d := range list {
			if d.After == "the directory has no such group, or hides it from the service account" {
				fields = append(fields, d.Name+" "+d.Field+" "+d.Before)
			}
		}
		return fields
	}
	d := region()
	unasked := func(list []tenancy.Difference, why string) (tenants []string) {
		for _, d := range list {
			if d.Field == "directory" && strings.Contains(d.After, why) {
				tenants = append(tenants, d.Kind+" "+d.Name+" "+d.Before)
			}
		}
		return tenants
	}
	list, err := w.Diff(t.Context(), operator(), d)
	if err != nil || len(told(list))+len(has.asked) > 0 {
		t.Errorf("of a directory that is not declared yet is said %+v, %v", list, err)
	}
	if got := unasked(list, "is told by apply once this directory is applied"); len(got) != len(d.Tenants) {
		t.Errorf("that it cannot be asked yet is said of %v", got)
	}
	if list := told(w.applies(t, d)); len(list) > 0 || len(has.asked) == 0 {
		t.Errorf("all are there, and are told as unknown: %v", list)
	}
	stadt := &d.Tenants[0]
	stadt.Priority = provisioner.PriorityGroups{Crisis: "CN=krise", Control: "CN=control"}
	stadt.Roles.Planner = "CN=planer"
	stadt.Policy.ExternalGroup = "CN=extern"
	stadt.Policy.Access = []provisioner.AccessTime{{Group: "CN=nachts"}, {Group: provisioner.GroupAll}}
	stadt.Networks = append(stadt.Networks, provisioner.NetworkGrant{Group: "CN=bau", Allow: stadt.Networks[0].Allow})
	want := []string{
		"stadt roles.planner CN=planer", "stadt policy.external_group CN=extern", "stadt priority.crisis CN=krise", "stadt networks CN=bau", "stadt policy.access CN=nachts",
	}
	looks, err := w.Diff(t.Context(), operator(), d)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, told(looks)); diff != "" {
		t.Errorf("before (-want +got):\n%s", diff)
	}
	has.down = true
	if list, err := w.Diff(t.Context(), operator(), d); err != nil || len(told(list)) > 0 ||
		!slices.Equal(unasked(list, "the directory did not answer"), []string{"tenant stadt " + stadt.Directory}) {
		t.Errorf("of a directory that does not answer is said %v, %v", list, err)
	}
	has.down = false
	german := operator()
	german.Language = "de"
	applied, err := w.Apply(t.Context(), german, d, "as agreed")
	i := slices.IndexFunc(applied, func(d tenancy.Difference) bool { return d.Field == "priority.crisis" && d.Before == "CN=krise" })
	if err != nil || i < 0 || applied[i].After != "diese Gruppe hat das Verzeichnis nicht, oder es zeigt sie dem Dienstkonto nicht" {
		t.Errorf("applied: %+v, %v", applied, err)
	}
	has.asked = nil
	stadt.DisplayName = "Stadt"
	if list := told(w.applies(t, d)); len(list) > 0 || len(has.asked) > 0 {
		t.Errorf("what has not changed is looked for again: %v, %v", list, has.asked)
	}
}
