package api

import (
	"context"
	"errors"
	"time"

	"mesh/runtime/component"
	"mesh/runtime/flow"
	"mesh/runtime/policy"
)

// record begins the flow of a call to a component; n is the size of what is
// sent there. Whoever begins it calls end.
func (a *API) record(kind, component, verb, path string, n int) recorded {
	f := a.o.Flows.Begin(flow.Head{Caller: a.o.AppID, Callee: component, Verb: verb, Path: "/" + path, Kind: kind})
	if n > 0 {
		f.Mark(flow.Request, flow.CallerIn, n)
	}
	r := recorded{Flow: f}
	if a.o.Used != nil {
		r.used, r.use, r.began = a.o.Used, Use{Kind: kind, Component: component, Operation: verb, Path: path}, time.Now()
	}
	return r
}

// Use is a call of a component that has ended, or a delivery to a streaming
// subscription.
type Use struct {
	Kind, Component string // kind as that of its flow: state, publish …
	Operation       string // of a delivery: how it ended, success, retry or drop
	Path            string // the topic, the keys
	Took            time.Duration
	Failed          bool
}

// recorded is the flow of a call to a component.
type recorded struct {
	*flow.Flow

	used  func(Use) // nil: nobody is told
	use   Use
	began time.Time
}

// end says how the call was answered; n is the size of what came back.
func (r recorded) end(n int, err error) {
	if !r.close(n, err) {
		return
	}
	if errors.Is(err, context.Canceled) { // nobody waits for the answer
		r.End(err)
		return
	}
	r.Answered(err)
}

// broke is end for a call whose answer has begun: an error breaks it off.
func (r recorded) broke(err error) {
	if r.close(0, err) {
		r.End(err)
	}
}

// close tells of a call that ends, and says whether it has a flow.
func (r recorded) close(n int, err error) bool {
	if r.used != nil {
		r.use.Took, r.use.Failed = time.Since(r.began), err != nil
		r.used(r.use)
	}
	if r.Flow == nil {
		return false
	}
	status := 200
	if err != nil {
		status = AsError(err).HTTPStatus()
	}
	r.Replied(status)
	if n > 0 {
		r.Mark(flow.Reply, flow.CallerOut, n)
	}
	return true
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

// outbound runs a call of a component under the policies for it.
func (a *API) outbound(ctx context.Context, component string, f func(context.Context) error) error {
	return a.o.Policies.Outbound(ctx, a.o.AppID, component, func(ctx context.Context) error {
		err := f(ctx)
		if callersFault(err) {
			return policy.Final(err)
		}
		return err
	})
}

// through is outbound for calls that give something.
func through[T any](ctx context.Context, a *API, component string, f func(context.Context) (T, error)) (v T, err error) {
	err = a.outbound(ctx, component, func(ctx context.Context) (err error) {
		v, err = f(ctx)
		return err
	})
	return v, err
}

// callersFault says whether an error would come again for as long as the caller
// asks for the same.
func callersFault(err error) bool {
	_, notThere := errors.AsType[*component.NotFoundError](err)
	_, tag := errors.AsType[*component.ETagError](err)
	_, size := errors.AsType[*component.PayloadError](err)
	_, key := errors.AsType[*component.IllegalKeyError](err)
	return notThere || tag || size || key || errors.Is(err, component.ErrUnsupported)
}
