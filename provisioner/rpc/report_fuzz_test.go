package rpc

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
)

// FuzzUsage demands of any report: no panic, no fewer bytes than before, no time that
// is none, and a word for what was not taken.
func FuzzUsage(f *testing.F) {
	for _, r := range []*heimdrahtv1.RenewSession{
		{}, {Usage: &heimdrahtv1.Usage{ReceivedBytes: 7, LastHandshakeAgeMs: proto.Int64(-5)}},
		{Clock: &timestamppb.Timestamp{Seconds: -1 << 60, Nanos: -7}, Usage: &heimdrahtv1.Usage{SentBytes: 1 << 63}},
	} {
		b, err := proto.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, uint64(5), uint64(5))
	}
	f.Fuzz(func(t *testing.T, b []byte, received, sent uint64) {
		var r heimdrahtv1.RenewSession
		if proto.Unmarshal(b, &r) != nil {
			return
		}
		former := provisioner.Usage{ReceivedBytes: received, SentBytes: sent}
		u, clips := toUsage(&r, former)
		switch {
		case u.ReceivedBytes < received || u.SentBytes < sent:
			t.Errorf("bytes fall to %+v", u)
		case u.LastHandshake.After(time.Now()) || !u.Clock.IsZero() && u.Clock.Year() > 9999:
			t.Errorf("times %+v", u)
		case r.GetUsage() != nil && (r.GetUsage().GetReceivedBytes() < received || r.GetUsage().GetSentBytes() < sent) && len(clips) == 0:
			t.Errorf("nothing is said of bytes that fall: %v", &r)
		}
	})
}
