package api

import (
	"context"

	"mesh/runtime/component"
)

// Payload is what goes through a binding.
type Payload = component.Payload

// InvokeBinding asks an output binding to do something.
func (a *API) InvokeBinding(ctx context.Context, name, operation string, p Payload) (answer Payload, err error) {
	f := a.record("binding", name, operation, "", len(p.Data))
	defer func() { f.end(len(answer.Data), err) }()
	if operation == "" {
		e := Errorf(ErrInvokeOutputBinding, "error invoking output binding %s: operation field is missing from request", name)
		e.HTTP, e.GRPC = 400, grpcInvalidArgument
		return Payload{}, e
	}
	answer, err = a.o.Components.Binding(name).Invoke(ctx, operation, p)
	if _, ok := absent(err); ok {
		return Payload{}, Wrap(ErrInvokeOutputBinding, err, "error invoking output binding %s: couldn't find output binding %s", name, name)
	}
	if err != nil {
		return Payload{}, Wrap(ErrInvokeOutputBinding, err, "error invoking output binding %s: %v", name, err)
	}
	return answer, nil
}
