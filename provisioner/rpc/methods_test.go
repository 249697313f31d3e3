package rpc

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
)

func everyRole() []provisioner.Role {
	return []provisioner.Role{
		provisioner.RoleAnonymous, provisioner.RoleDevice, provisioner.RoleGateway, provisioner.RoleStaff, provisioner.RoleHelpdesk,
		provisioner.RolePlanner, provisioner.RoleTenantAdmin, provisioner.RoleOperator,
	}
}

// Every method says in its .proto who may call it. Allow says the same: for
// the caller's own tenant, device or gateway; and for another's, only an
// operator gets through.
func TestCallersAgreeWithAllow(t *testing.T) {
	methods := 0
	protoregistry.GlobalFiles.RangeFilesByPackage("heimdraht.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				methods++
				checkMethod(t, service.Methods().Get(j))
			}
		}
		return true
	})
	if methods < 20 {
		t.Fatalf("only %d methods were found", methods)
	}
}

func checkMethod(t *testing.T, method protoreflect.MethodDescriptor) {
	name := "/" + string(method.Parent().FullName()) + "/" + string(method.Name())
	stated, _ := proto.GetExtension(method.Options(), heimdrahtv1.E_Callers).([]heimdrahtv1.Caller)
	if len(stated) == 0 {
		t.Errorf("%s does not say who may call it", name)
	}
	action, ok := actionOf(name)
	if !ok {
		t.Errorf("%s has no action", name)
		return
	}
	anonymous := slices.Contains(stated, heimdrahtv1.Caller_CALLER_ANONYMOUS)
	for _, role := range everyRole() {
		var actor provisioner.Actor
		if role != provisioner.RoleAnonymous {
			actor = provisioner.Actor{ID: "own", Grants: []provisioner.Grant{{Role: role, Tenant: "own"}}}
		}
		own := provisioner.Object{Tenant: "own", Device: "own", Gateway: "own"}
		foreign := provisioner.Object{Tenant: "foreign", Device: "foreign", Gateway: "foreign"}
		want := anonymous || slices.Contains(stated, callerOf(role))
		if got := provisioner.Allow(actor, action, own) == nil; got != want {
			t.Errorf("%s: %s: its .proto says %v, Allow says %v", name, role, want, got)
		}
		everywhere := anonymous || want && role == provisioner.RoleOperator
		if got := provisioner.Allow(actor, action, foreign) == nil; got != everywhere {
			t.Errorf("%s: %s, for another's: Allow says %v, want %v", name, role, got, everywhere)
		}
	}
}
