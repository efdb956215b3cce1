package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync/atomic"

	"mesh/runtime/component"
	"mesh/runtime/flow"
	"mesh/runtime/policy"
)

// Payload is what goes through a binding.
type Payload = component.Payload

// Stream is what goes through a binding piece by piece.
type Stream = component.Stream

// InvokeBinding asks an output binding to do something. With an error the answer
// may have metadata that tell more, such as the status that a server gave.
func (a *API) InvokeBinding(ctx context.Context, name, operation string, p Payload) (answer Payload, err error) {
	f := a.record("binding", name, operation, "", len(p.Data))
	defer func() { f.end(len(answer.Data), err) }()
	if operation == "" {
		return Payload{}, noOperation(name)
	}
	answer, err = through(ctx, a, name, func(ctx context.Context) (Payload, error) {
		return a.o.Components.Binding(name).Invoke(ctx, operation, p)
	})
	if err != nil {
		return Payload{Metadata: answer.Metadata}, bindingError(name, err)
	}
	return answer, nil
}

// StreamBinding is InvokeBinding for payloads of any size: what goes in is read
// when the binding takes it, and what comes back arrives when it is read. The
// call ends when the body of the answer is closed, which is never nil without an
// error.
func (a *API) StreamBinding(ctx context.Context, name, operation string, in Stream) (answer Stream, err error) {
	f := a.record("binding", name, operation, "", 0)
	defer func() {
		if err != nil {
			f.end(0, err)
		}
	}()
	if operation == "" {
		return Stream{}, noOperation(name)
	}
	if in.Limit == 0 && a.o.MaxBody != nil {
		in.Limit = a.o.MaxBody()
	}
	body := in.Body
	answer, err = through(ctx, a, name, func(ctx context.Context) (Stream, error) {
		once := in
		var sent *marked
		if body != nil {
			sent = &marked{ReadCloser: body, flow: f.Flow, dir: flow.Request, hop: flow.CallerIn}
			once.Body = sent
		}
		got, err := a.o.Components.Binding(name).Stream(ctx, operation, once)
		switch {
		case err == nil:
		case in.Again != nil:
			body = in.Again()
		case sent != nil && sent.begun.Load():
			err = policy.Final(err) // it cannot be sent a second time
		}
		return got, err
	})
	if err != nil {
		return Stream{Metadata: answer.Metadata}, bindingError(name, err)
	}
	if answer.Body == nil {
		answer.Body, answer.Size = io.NopCloser(bytes.NewReader(nil)), 0
	}
	answer.Body = &marked{ReadCloser: answer.Body, flow: f.Flow, dir: flow.Reply, hop: flow.CallerOut, end: f.broke}
	return answer, nil
}

func noOperation(name string) *Error {
	e := Errorf(ErrInvokeOutputBinding, "error invoking output binding %s: operation field is missing from request", name)
	e.HTTP, e.GRPC = 400, grpcInvalidArgument
	return e
}

func bindingError(name string, err error) *Error {
	if _, ok := absent(err); ok {
		return Wrap(ErrInvokeOutputBinding, err, "error invoking output binding %s: couldn't find output binding %s", name, name)
	}
	e := Wrap(ErrInvokeOutputBinding, err, "error invoking output binding %s: %v", name, err)
	if _, ok := errors.AsType[*component.PayloadError](err); ok {
		e.Message += "; " + RaiseLimit
		e.HTTP, e.GRPC = 413, grpcResourceExhausted
	}
	return e
}

// RaiseLimit says what to do about a limit.
const RaiseLimit = "the app's max_body in mesh.toml (--max-body-size of mesh sidecar) raises the limit"

// marked is a body whose pieces are seen as they pass.
type marked struct {
	io.ReadCloser
	flow *flow.Flow
	dir  flow.Dir
	hop  flow.Hop
	end  func(error) // told how it ended, once; may be nil
	err  error       // that reading met

	begun atomic.Bool // something was read
}

func (m *marked) Read(p []byte) (int, error) {
	m.begun.Store(true)
	n, err := m.ReadCloser.Read(p)
	if n > 0 {
		m.flow.Mark(m.dir, m.hop, n)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		m.err = err
	}
	return n, err
}

func (m *marked) Close() error {
	err := m.ReadCloser.Close()
	if m.end != nil {
		m.end(m.err)
		m.end = nil
	}
	return err
}
