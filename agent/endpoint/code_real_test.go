package endpoint

import (
	"testing"

	"github.com/heimdraht/heimdraht/agent/control"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// TestEnrolByCodeWithTheControlPlane: an employee without any role approves the laptop that shows a code, the control plane
// is restarted before the laptop hears of it, and the helpdesk has the last word.
func TestEnrolByCodeWithTheControlPlane(t *testing.T) {
	t.Parallel()
	declaration := provisionertest.Declaration()
	declaration.GetTenants()[0].GetPolicy().Approval = "helpdesk"
	server := provisionertest.StartWith(t, provisionertest.Options{Declaration: declaration})
	address, err := control.ParseAddress(server.Address() + "#" + server.Fingerprint())
	check(t, err)
	options := bare()
	options.Servers, options.Pin = []control.Server{address.Server}, address.Pin
	e, err := New(options)
	check(t, err)
	(&harness{t: t}).run(e)

	waiting, err := e.BeginByCode(t.Context(), CodeRequest{})
	check(t, err)
	eva := provisionertest.As(t.Context(), server.Login(provisionertest.Tenant, provisionertest.Staff))
	approval := heimdrahtv1.NewApprovalServiceClient(server.Dial(nil))
	shown, err := approval.GetWaitingLaptop(eva, &heimdrahtv1.GetWaitingLaptopRequest{UserCode: waiting.UserCode})
	check(t, err)
	laptop := shown.GetLaptop()
	if laptop.GetFingerprint() != waiting.Fingerprint || laptop.GetName() != "laptop" || laptop.GetSerialNumber() != "SN1" || laptop.GetSource() != "127.0.0.1" {
		t.Errorf("shown %v, the laptop shows %+v", laptop, waiting)
	}
	approved, err := approval.ApproveLaptop(eva, &heimdrahtv1.ApproveLaptopRequest{UserCode: laptop.GetUserCode(), Fingerprint: laptop.GetFingerprint()})
	check(t, err)
	server.Stop()
	server.Run()
	server.JoinGateway("gw1").Run()
	got, err := e.AwaitByCode(t.Context())
	check(t, err)
	if got.DeviceID != approved.GetDeviceId() || got.Tenant != provisionertest.Tenant || !got.AwaitsApproval {
		t.Errorf("enrolled %+v, approved %v", got, approved)
	}

	if err := e.Up(t.Context()); !isProblem(err, "approval-awaited") {
		t.Fatalf("before the helpdesk has spoken: %v", err)
	}
	approval = heimdrahtv1.NewApprovalServiceClient(server.Dial(nil))
	if _, err := approval.ListAwaitingDevices(eva, &heimdrahtv1.ListAwaitingDevicesRequest{}); !isProblem(control.FromStatus(err), "not-allowed") {
		t.Errorf("an employee sees what waits: %v", err)
	}
	hilde := provisionertest.As(t.Context(), server.Login(provisionertest.Tenant, provisionertest.Helpdesk))
	list, err := approval.ListAwaitingDevices(hilde, &heimdrahtv1.ListAwaitingDevicesRequest{})
	check(t, err)
	if len(list.GetDevices()) != 1 || list.GetDevices()[0].GetFingerprint() != waiting.Fingerprint || list.GetDevices()[0].GetDevice().GetDeviceId() != got.DeviceID {
		t.Fatalf("waiting are %v", list)
	}
	_, err = approval.ApproveDevice(hilde, &heimdrahtv1.ApproveDeviceRequest{
		DeviceId: got.DeviceID, Generation: list.GetDevices()[0].GetGeneration(), Reason: "seen at the counter",
	})
	check(t, err)
	e.Want() // it asks by itself within half a minute, which is long for a test
	eventually(t, e, "a session", func(Status) bool { return e.Attached() })
}
