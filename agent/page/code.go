package page

import "github.com/heimdraht/heimdraht/agent/control"

// code shows the code under which this laptop waits until its person has approved it where she is signed in.
func (v *visit) code() error {
	address := v.field("address")
	waiting, err := v.BeginByCode(v.r.Context(), address)
	if err != nil {
		v.show("home", view{Problem: v.said(err), Asked: asked{Address: address}})
		return nil
	}
	v.show("code", view{Waiting: &waiting, Day: v.day(waiting.Until), Asked: asked{Address: address}})
	return nil
}

// awaitCode waits a moment for the approval. The page's script asks again and again, and a person without it does.
func (v *visit) awaitCode() error {
	address := v.field("address")
	enrolled, err := v.AwaitByCode(v.r.Context(), address)
	switch _, is := control.AsProblem(err); {
	case err != nil && !is:
		return err
	case err != nil:
		v.show("home", view{Problem: v.said(err), Asked: asked{Address: address}})
		return nil
	case enrolled:
		return v.wish(v.Up)
	}
	return v.code()
}
