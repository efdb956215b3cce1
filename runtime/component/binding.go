package component

import (
	"context"
	"fmt"

	"github.com/dapr/components-contrib/bindings"
)

// Binding is a way to the outside as an app sees it: output, input or both.
type Binding struct {
	app  *App
	name string
}

// Binding gives the binding of a name. That it is there is checked by each
// operation, not here.
func (a *App) Binding(name string) *Binding { return &Binding{app: a, name: name} }

// Payload is what goes through a binding.
type Payload struct {
	Data        []byte
	ContentType string
	Metadata    map[string]string
}

// Invoke asks an output binding to do something, such as create or get. With an
// error comes what metadata the answer has.
func (b *Binding) Invoke(ctx context.Context, operation string, p Payload) (Payload, error) {
	out, _, done, err := use[bindings.OutputBinding](b.app, KindBinding, b.name)
	if err != nil {
		return Payload{}, err
	}
	defer done()
	md := p.Metadata
	if md == nil {
		md = map[string]string{} // some components write to it
	}
	got, err := out.Invoke(ctx, &bindings.InvokeRequest{Data: p.Data, Metadata: md, Operation: bindings.OperationKind(operation)})
	if got == nil {
		return Payload{}, err
	}
	if err != nil {
		return Payload{Metadata: got.Metadata}, err
	}
	return Payload{Data: got.Data, ContentType: deref(got.ContentType), Metadata: got.Metadata}, nil
}

// Inputs lists the input bindings that the app sees. Those that also are
// output bindings and declare a direction without "input" are left out.
func (a *App) Inputs() []string {
	var all []string
	for _, e := range a.live.set.Load().entries {
		if kindOf(e.spec.Type) == KindBinding && e.visible(a.id) && e.isInput() {
			all = append(all, e.spec.Name)
		}
	}
	return all
}

// Read hands what arrives at an input binding to a handler until ctx ends; the
// handler's answer goes back to the component. It goes on while the component
// is swapped, away, or not there yet, and trouble is logged; it returns when
// the last handler has returned.
func (b *Binding) Read(ctx context.Context, handle func(context.Context, Payload) ([]byte, error)) {
	b.app.live.follow(ctx, &follower{
		app: b.app.id, kind: KindBinding, name: b.name, alone: true,
		attach: func(ctx context.Context, s *slot) (*unit, func(), error) {
			u, err := s.reader(ctx, b.app.id)
			if err != nil {
				return nil, nil, err
			}
			in, ok := u.raw.(bindings.InputBinding)
			if !ok {
				s.release(u)
				return nil, nil, unsupported(b.name, "reading")
			}
			var running inflight
			reading, stop := context.WithCancel(ctx)
			err = in.Read(reading, func(rctx context.Context, r *bindings.ReadResponse) ([]byte, error) {
				running.begin()
				defer running.end()
				hctx, cancel := outlive(rctx, ctx)
				defer cancel()
				return handle(hctx, Payload{Data: r.Data, ContentType: deref(r.ContentType), Metadata: r.Metadata})
			})
			if err != nil {
				stop()
				s.release(u)
				return nil, nil, fmt.Errorf("reading from %s: %w", b.name, err)
			}
			return u, func() {
				stop()
				running.wait(drainTime)
				s.release(u)
			}, nil
		},
	})
}
