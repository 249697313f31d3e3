package main

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/heimdraht/heimdraht/agent/control"
)

// watchEvery is how often what is watched is shown anew.
const watchEvery = 10 * time.Second

// watch shows something again and again until ctx ends, which is how people end it. Once it has
// been shown, it goes on over what passes by itself, such as a control plane that is restarted: it
// says so, waits longer each time, and connects anew. It ends with what does not: somebody
// has lost the role, or has to sign in.
func (p *printer) watch(ctx context.Context, connected func(context.Context, func(context.Context, *client) error) error, show func(context.Context, *client) error) error {
	shown, backoff := false, control.Backoff{Min: watchEvery, Max: 2 * time.Minute}
	for {
		err := connected(ctx, func(ctx context.Context, k *client) error {
			for {
				if err := show(ctx, k); err != nil {
					return err
				}
				shown = true
				backoff.Reset()
				if err := control.Sleep(ctx, watchEvery); err != nil {
					return err
				}
			}
		})
		if ctx.Err() != nil {
			return nil //nolint:nilerr // whoever ended it wanted that
		}
		problem := passing(err)
		if problem == nil || !shown {
			return err
		}
		wait := backoff.Next(problem.RetryAfter).Round(time.Second)
		p.complain(problem.Code, problem.Text(string(p.language)).Sentence, words{"Nächster Versuch in ", "Trying again in "}.in(p.language)+wait.String()+".")
		if control.Sleep(ctx, wait) != nil {
			return nil //nolint:nilerr // as above
		}
	}
}

// passing is a problem that may pass without anybody doing anything; nil: it is none.
func passing(err error) *control.Problem {
	if problem, ok := control.AsProblem(err); ok && problem.RetryAfter > 0 {
		return problem
	}
	if status.Code(err) == codes.DeadlineExceeded {
		return problem(codeNoAnswer, serverLate(), words{})
	}
	return nil
}
