package wireguard

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAppendChanges(t *testing.T) {
	text := string(appendChanges(nil, []Change{
		{Remove: true, Peer: Peer{PublicKey: key(1), PresharedKey: psk(1)}},
		{Peer: Peer{
			PublicKey: key(2), PresharedKey: psk(3), Endpoint: netip.MustParseAddrPort("[::ffff:192.0.2.1]:51820"),
			Keepalive: 25 * time.Second, AllowedIPs: prefixes("10.0.0.1/32", "fd00::1/128"),
		}},
		{KeepAllowedIPs: true, Peer: Peer{PublicKey: key(4), AllowedIPs: prefixes("10.0.0.2/32")}},
	}))
	zeros := strings.Repeat("0", 60)
	want := "public_key=01" + zeros + "01\nremove=true\n" +
		"public_key=02" + zeros + "01\npreshared_key=03" + zeros + "00\nendpoint=192.0.2.1:51820\npersistent_keepalive_interval=25\n" +
		"replace_allowed_ips=true\nallowed_ip=10.0.0.1/32\nallowed_ip=fd00::1/128\n" +
		"public_key=04" + zeros + "01\npreshared_key=00" + zeros + "00\npersistent_keepalive_interval=0\n"
	if diff := cmp.Diff(want, text); diff != "" {
		t.Errorf("set operation (-want +got):\n%s", diff)
	}
}

func TestParseDump(t *testing.T) {
	zeros := strings.Repeat("0", 60)
	dump := "private_key=" + zeros + "0000\nlisten_port=51820\nfwmark=51820\n" +
		"public_key=01" + zeros + "01\npreshared_key=03" + zeros + "00\nprotocol_version=1\nendpoint=[2001:db8::1]:7\n" +
		"last_handshake_time_sec=1800000000\nlast_handshake_time_nsec=5\ntx_bytes=2\nrx_bytes=18446744073709551615\n" +
		"persistent_keepalive_interval=25\nallowed_ip=10.0.0.1/32\nallowed_ip=fd00::1/128\nsomething_new=1\n" +
		"public_key=02" + zeros + "01\nlast_handshake_time_sec=0\nlast_handshake_time_nsec=0\n"
	port, peers, err := parseDump([]byte(dump))
	if err != nil || port != 51820 {
		t.Fatalf("port %d, error %v", port, err)
	}
	want := []PeerStatus{
		{
			Peer: Peer{
				PublicKey: key(1), PresharedKey: psk(3), Endpoint: netip.MustParseAddrPort("[2001:db8::1]:7"),
				Keepalive: 25 * time.Second, AllowedIPs: prefixes("10.0.0.1/32", "fd00::1/128"),
			},
			LastHandshake: time.Unix(1_800_000_000, 5), Rx: 1<<64 - 1, Tx: 2,
		},
		{Peer: Peer{PublicKey: key(2)}},
	}
	if diff := cmp.Diff(want, peers, asSets); diff != "" {
		t.Errorf("peers (-want +got):\n%s", diff)
	}
	for _, broken := range []string{
		"public_key=01\n", "public_key=zz" + zeros + "01\n", "listen_port=65536\n", "listen_port\n",
		"public_key=01" + zeros + "01\nendpoint=nowhere\n", "public_key=01" + zeros + "01\nrx_bytes=-1\n",
		"public_key=01" + zeros + "01\nallowed_ip=10.0.0.1/33\n", "public_key=01" + zeros + "01\npreshared_key=secretsecret\n",
	} {
		_, _, err := parseDump([]byte(broken))
		if err == nil || strings.Contains(err.Error(), "secretsecret") {
			t.Errorf("%q: error %v", broken, err)
		}
	}
}

func FuzzParseDump(f *testing.F) {
	f.Add([]byte("listen_port=1\npublic_key=01" + strings.Repeat("0", 60) + "01\nendpoint=[::1%lo]:1\nallowed_ip=10.0.0.1/32\nlast_handshake_time_sec=1\n"))
	f.Fuzz(func(t *testing.T, dump []byte) {
		_, peers, err := parseDump(dump)
		if err != nil && peers != nil {
			t.Error("peers beside an error")
		}
	})
}
