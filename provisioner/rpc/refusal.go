package rpc

import (
	"context"
	"errors"
	"log/slog"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
)

// toStatus turns an error of a use case into the wire's.
func toStatus(ctx context.Context, log *slog.Logger, method string, err error) error {
	if err == nil {
		return nil
	}
	actor := actorOf(ctx)
	if refusal, ok := provisioner.AsRefusal(err); ok {
		log.Debug("refused", "method", method, "code", refusal.Code, "role", actor.MainRole(), "cause", refusal.Cause)
		return refusalStatus(refusal, actor.Language)
	}
	if _, ok := status.FromError(err); ok {
		return err // of the transport: broken streams, messages that are too large
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return status.FromContextError(err).Err()
	}
	id := provisioner.NewID()[:8]
	log.Error("fault", "id", id, "method", method, "role", actor.MainRole(), "error", err)
	return faultStatus(id, actor.Language)
}

// refusalStatus carries a refusal as a status with details.
func refusalStatus(refusal *provisioner.Refusal, language string) error {
	s := status.New(codeOf(refusal.Kind()), string(refusal.Code))
	with, err := s.WithDetails(fromRefusal(refusal, language))
	if err != nil {
		return s.Err()
	}
	return with.Err()
}

func faultStatus(id, language string) error {
	sentence := "Im Server ist ein Fehler aufgetreten. Bitte nennen Sie dem Betrieb die Nummer " + id + "."
	if language == "en" {
		sentence = "The server met a fault. Please tell the operator the number " + id + "."
	}
	s := status.New(codes.Internal, sentence)
	with, err := s.WithDetails(&heimdrahtv1.Fault{Id: id})
	if err != nil {
		return s.Err()
	}
	return with.Err()
}

func fromRefusal(refusal *provisioner.Refusal, language string) *heimdrahtv1.Refusal {
	sentence, next := refusal.Text(language)
	out := &heimdrahtv1.Refusal{
		Code: string(refusal.Code), Sentence: sentence, NextStep: next, RetryAfterMs: refusal.RetryAfter.Milliseconds(),
		Who: string(refusal.Who()),
	}
	if refusal.Rules != nil {
		out.HouseRules = fromHouseRules(*refusal.Rules, language)
	}
	return out
}

func fromHouseRules(h provisioner.HouseRules, language string) *heimdrahtv1.HouseRules {
	return &heimdrahtv1.HouseRules{Version: h.Version, Text: h.Text(language), Link: h.Link}
}

func codeOf(kind provisioner.RefusalKind) codes.Code {
	switch kind {
	case provisioner.KindUnauthenticated:
		return codes.Unauthenticated
	case provisioner.KindForbidden:
		return codes.PermissionDenied
	case provisioner.KindNotFound:
		return codes.NotFound
	case provisioner.KindConflict:
		return codes.FailedPrecondition
	case provisioner.KindExhausted:
		return codes.ResourceExhausted
	case provisioner.KindUnavailable:
		return codes.Unavailable
	default:
		return codes.InvalidArgument
	}
}
