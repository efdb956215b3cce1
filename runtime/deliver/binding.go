package deliver

import (
	"context"
	"slices"
	"strings"
	"time"

	"mesh/runtime/component"
	"mesh/runtime/flow"
)

// isInput says whether a binding's declaration says that it is an input: then
// the app need not be asked.
func (s *session) isInput(name string) bool {
	direction, err := s.o.Components.Metadata(component.KindBinding, name, "direction")
	return err == nil && slices.ContainsFunc(strings.Split(direction, ","), func(d string) bool {
		return strings.EqualFold(strings.TrimSpace(d), "input")
	})
}

// read hands the events of an input binding to the app until ctx ends.
func (s *session) read(ctx context.Context, name string) {
	s.o.Components.Binding(name).Read(ctx, func(hctx context.Context, p component.Payload) (answer []byte, err error) {
		hctx, stop := s.outlive(hctx)
		defer stop()
		began := time.Now()
		err = s.inbound(hctx, name, func(ctx context.Context) (err error) {
			f := s.o.Flows.Begin(flow.Head{Caller: name, Callee: s.o.AppID, Verb: "event", Path: "/" + bindingPath(s.o.Components, name), Kind: "binding"})
			defer func() { f.End(err) }()
			f.Mark(flow.Request, flow.CallerIn, len(p.Data))
			answer, err = s.app.event(ctx, f, name, p)
			f.Mark(flow.Reply, flow.CallerOut, len(answer))
			return err
		})
		s.tell("binding", name, "", began, err)
		return answer, err
	})
}

// bindingPath is where an app that speaks HTTP takes the events of a binding.
func bindingPath(all *component.App, name string) string {
	route, err := all.Metadata(component.KindBinding, name, "route")
	if err != nil || route == "" {
		return name
	}
	return strings.TrimLeft(route, "/")
}
