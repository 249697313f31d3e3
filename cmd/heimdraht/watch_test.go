package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/status"

	"github.com/heimdraht/heimdraht/agent/control"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// What is watched is shown every ten seconds until somebody ends it, which is no failure. A
// control plane that is away for a while is said to be, each time, and asked again over a new connection,
// ever less often; who may not see it any more, and what was never shown, ends it.
func TestWatch(t *testing.T) {
	away := &control.Problem{Code: control.CodeConnectionLost, RetryAfter: time.Second, English: control.Text{Sentence: "The connection is gone."}}
	lost := &control.Problem{Code: "role-missing", Refused: true}
	for name, c := range map[string]struct {
		answers            []error // the last one from then on
		lasts              time.Duration
		shown, connections int
		said               string // a number of times
		times              int
		ends               error
	}{
		"is shown until it is ended":     {answers: []error{nil}, lasts: 25 * time.Second, shown: 3, connections: 1},
		"goes on":                        {answers: []error{nil, away, away, status.FromContextError(context.DeadlineExceeded).Err(), nil}, lasts: 3 * time.Minute, shown: 15, connections: 4, said: "Trying again in ", times: 3},
		"waits longer each time":         {answers: []error{nil, away}, lasts: time.Hour, shown: 1, connections: 30, said: "Error: The connection is gone.\n", times: 30},
		"ends with a role":               {answers: []error{nil, away, lost}, lasts: time.Hour, shown: 1, connections: 2, said: "Trying again in ", times: 1, ends: lost},
		"ends when it cannot be printed": {answers: []error{nil, io.ErrClosedPipe}, lasts: time.Hour, shown: 1, connections: 1, ends: io.ErrClosedPipe},
		"never begins":                   {answers: []error{away}, lasts: time.Hour, connections: 1, ends: away},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), c.lasts)
				defer cancel()
				var said strings.Builder
				shown, asked, connections := 0, 0, 0
				err := (&printer{err: &said, form: formTable, language: "en"}).watch(ctx, func(ctx context.Context, call func(context.Context, *client) error) error {
					connections++
					return call(ctx, nil)
				}, func(context.Context, *client) error {
					answer := c.answers[min(asked, len(c.answers)-1)]
					asked++
					if answer == nil {
						shown++
					}
					return answer
				})
				if !errors.Is(err, c.ends) || c.ends == nil && err != nil {
					t.Errorf("ends with %v", err)
				}
				near := func(got, want int) bool { return got == want || want > 5 && got > want*2/3 && got < want*2 } // waits are spread
				if n := strings.Count(said.String(), c.said); !near(shown, c.shown) || !near(connections, c.connections) || c.said != "" && !near(n, c.times) || c.said == "" && said.Len() > 0 {
					t.Errorf("shown %d times over %d connections, and said\n%s", shown, connections, said.String())
				}
			})
		})
	}
}

// Reasons for refusals that never came take no room.
func TestColumnsOfReasons(t *testing.T) {
	line := func(reason heimdrahtv1.RefusalReason, n int64) usageLine {
		return usageLine{UsagePoint: &heimdrahtv1.UsagePoint{Refused: []*heimdrahtv1.UsageRefused{{Reason: reason, Attempts: &heimdrahtv1.Count{Value: n}}}}}
	}
	keys := func(lines ...usageLine) (text string) {
		for _, c := range pointColumns(lines) {
			if len(c.key) > 8 && c.key[:8] == "refused_" {
				text += c.key[8:] + " "
			}
		}
		return text
	}
	if got := keys(line(heimdrahtv1.RefusalReason_REFUSAL_REASON_NOT_NOW, 0)); got != "no_seat " {
		t.Error(got)
	}
	if got := keys(line(heimdrahtv1.RefusalReason_REFUSAL_REASON_NOT_NOW, 0), line(heimdrahtv1.RefusalReason_REFUSAL_REASON_NO_GATEWAY, 7)); got != "no_seat no_gateway " {
		t.Error(got)
	}
}
