package api

import (
	"errors"

	"mesh/runtime/component"
	"mesh/runtime/flow"
)

// record begins the flow of a call to a component; n is the size of what is
// sent there. Whoever begins it calls end.
func (a *API) record(kind, component, verb, path string, n int) recorded {
	f := a.o.Flows.Begin(flow.Head{Caller: a.o.AppID, Callee: component, Verb: verb, Path: "/" + path, Kind: kind})
	if n > 0 {
		f.Mark(flow.Request, flow.CallerIn, n)
	}
	return recorded{f}
}

// recorded is the flow of a call to a component.
type recorded struct{ *flow.Flow }

// end says how the call ended; n is the size of what came back.
func (r recorded) end(n int, err error) {
	if r.Flow == nil {
		return
	}
	status := 200
	if err != nil {
		status = AsError(err).HTTPStatus()
	}
	r.Replied(status)
	if n > 0 {
		r.Mark(flow.Reply, flow.CallerOut, n)
	}
	r.End(err)
}

// absent tells an error of a component that the app does not see; none says
// that it sees no component of that kind.
func absent(err error) (none, is bool) {
	if e, ok := errors.AsType[*component.NotFoundError](err); ok {
		return e.None, true
	}
	return false, false
}

// info is the detail that names an error's reason for programs.
func info(reason string) Detail {
	return Detail{Type: "ErrorInfo", Reason: reason, Domain: "dapr.io"}
}

// resourceInfo is the detail that names a component.
func resourceInfo(kind, name string) Detail {
	return Detail{Type: "ResourceInfo", ResourceType: kind, ResourceName: name}
}
