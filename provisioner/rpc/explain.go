package rpc

import (
	"context"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/diagnosis"
)

func (h *sessionHandler) ExplainOwn(ctx context.Context, _ *heimdrahtv1.ExplainOwnRequest) (*heimdrahtv1.ExplainOwnResponse, error) {
	actor := actorOf(ctx)
	finding, err := h.helpdesk.ExplainOwn(ctx, actor)
	if err != nil {
		return nil, err
	}
	answer := &heimdrahtv1.ExplainOwnResponse{}
	answer.Links, answer.Cause = fromFinding(finding, actor.Language)
	return answer, nil
}

func fromFinding(f diagnosis.Finding, language string) (links []*heimdrahtv1.Link, cause *heimdrahtv1.Cause) {
	for _, l := range f.Links {
		title, figure := l.Shown(language)
		links = append(links, &heimdrahtv1.Link{
			Link: l.Name, State: fromLinkState(l.State), Title: title, Figure: figure, Code: string(l.Cause.Code),
		})
	}
	said := f.Cause.Text(language)
	return links, &heimdrahtv1.Cause{Code: string(f.Cause.Code), Sentence: said.Sentence, NextStep: said.Next, Who: string(f.Cause.Who)}
}

func fromLinkState(s diagnosis.State) heimdrahtv1.LinkState {
	switch s {
	case diagnosis.OK:
		return heimdrahtv1.LinkState_LINK_STATE_OK
	case diagnosis.Wrong:
		return heimdrahtv1.LinkState_LINK_STATE_NOT_OK
	case diagnosis.Noted:
		return heimdrahtv1.LinkState_LINK_STATE_ATTENTION
	default:
		return heimdrahtv1.LinkState_LINK_STATE_NOT_KNOWN
	}
}
