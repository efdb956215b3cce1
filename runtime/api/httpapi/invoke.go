package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"mesh/runtime/api"
	"mesh/runtime/flow"
	"mesh/runtime/http1"
	"mesh/runtime/stream"
)

// invocation is one call and what passes it on, in one piece of memory.
type invocation struct {
	call  stream.Call
	body  body
	bound *stream.Bounded // the body, when its length has to be watched; nil otherwise
	sink  sink

	cancel context.CancelCauseFunc // of a call that may become a tunnel; nil otherwise
}

// invoke calls the app that a request names and passes its reply back.
func (s *Server) invoke(w http.ResponseWriter, r *http.Request) {
	to, err := findTarget(r.URL.Path, r.Header)
	if err != nil {
		writeError(w, api.AsError(err))
		return
	}
	method, err := verb(r.Method)
	if err != nil {
		writeError(w, api.AsError(err))
		return
	}
	upgrade := upgradeOf(w, r)
	var announced []string
	if lists, ok := r.Header["Trailer"]; ok {
		announced = stream.Announce(lists)
	} else if len(r.Trailer) > 0 { // net/http has taken the header
		announced = stream.Announce(slices.Collect(maps.Keys(r.Trailer)))
	}
	stream.StripHopByHop(r.Header)
	in := &invocation{}
	f := s.o.Recorder.Begin(flow.Head{
		Caller: s.caller(r.Header), Callee: to.appID, Verb: method, Path: to.path, Kind: "http",
	})
	in.call = stream.Call{
		AppID: to.appID, Verb: method, Path: to.path[1:], Query: r.URL.RawQuery,
		Header: r.Header, Length: r.ContentLength, Flow: f, Upgrade: upgrade, Announced: announced,
	}
	f.Headers(flow.Request, r.Header, r.URL.RawQuery)
	if h1, ok := unwrap(w).(*http1.Response); ok {
		in.call.Inform = h1.Informer()
	} else {
		in.call.Inform = func(status int, h http.Header) { inform(w, status, h) }
	}
	in.call.BeginTrace(s.o.Sampler)
	in.takeBody(w, r)
	ctx := r.Context()
	if upgrade != "" {
		ctx, in.cancel = context.WithCancelCause(ctx)
		defer in.cancel(nil)
	}
	reply, err := s.send(ctx, in)
	if err == nil && reply.Tunnel == nil && (reply.Status < 200 || reply.Status > 999) {
		in.close(w, reply)
		err = api.Errorf(api.ErrDirectInvoke, "failed to invoke, id: %s, err: %d is not the status of a reply", to.appID, reply.Status)
	}
	if err != nil {
		in.endBody(w)
		f.End(err)
		writeError(w, invokeError(err))
		return
	}
	f.Headers(flow.Reply, reply.Header, "")
	defer func() {
		in.close(w, reply)
		f.End(err)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
	}()
	if reply.Tunnel != nil {
		err = s.tunnel(w, reply, in)
		return
	}
	err = s.pass(w, r, reply, in)
}

// clientHeader names who calls when it is not the sidecar's app but a tool that
// uses its sidecar. It is for the record of the call only and goes no further:
// between sidecars the caller is the sidecar's app, whatever a client says.
const clientHeader = "Mesh-Client"

// caller gives who is recorded to call.
func (s *Server) caller(h http.Header) string {
	client, ok := h[clientHeader]
	if !ok {
		return s.o.API.AppID()
	}
	delete(h, clientHeader)
	return client[0]
}

// send hands the call over, unless its body is too large.
func (s *Server) send(ctx context.Context, in *invocation) (*stream.Reply, error) {
	call := &in.call
	if s.o.Limits.Body() > 0 {
		bound, watched, err := s.o.Limits.Bound(call, s.o.API.AppID())
		if err != nil {
			return nil, api.Wrap(api.ErrDirectInvoke, err, "failed to invoke, id: %s, err: %v", call.AppID, err)
		}
		call, in.bound = bound, watched
	}
	reply, err := s.o.API.Invoke(ctx, call)
	if why := in.bound.Why(err); why != err { //nolint:errorlint // the same one, or another
		return nil, api.Wrap(api.ErrDirectInvoke, why, "failed to invoke, id: %s, err: %v", call.AppID, why)
	}
	return reply, err
}

// takeBody makes the request's body that of the call.
func (in *invocation) takeBody(w http.ResponseWriter, r *http.Request) {
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	b := &in.body
	b.from, b.flow, b.left = r.Body, in.call.Flow, r.ContentLength
	in.call.Body = b
	if r.ContentLength < 0 {
		b.request = r
		in.call.Trailer = func() http.Header { return b.trailer }
	}
	if from, ok := r.Body.(*http1.Body); ok {
		b.http1 = from
	} else {
		b.http2 = http.NewResponseController(w)
	}
}

// close ends the call. Who waits for more of the request's body must be free before
// the reply can be closed, and that frees who waits for the app to take some.
func (in *invocation) close(w http.ResponseWriter, reply *stream.Reply) {
	if in.call.Body != nil {
		in.body.stop()
	}
	reply.Body.Close()
	in.endBody(w)
}

// endBody takes the body away from whoever reads it.
func (in *invocation) endBody(w http.ResponseWriter) {
	if in.call.Body != nil && !in.body.end() {
		if h1, ok := unwrap(w).(*http1.Response); ok {
			h1.CloseAfter()
		}
	}
}

// unwrap gives the server's own ResponseWriter.
func unwrap(w http.ResponseWriter) http.ResponseWriter {
	if o, ok := w.(*observed); ok {
		return o.ResponseWriter
	}
	return w
}

// invokeError gives the error with which the client learns why there is no reply.
func invokeError(err error) *api.Error {
	e := api.AsError(err)
	as := func(status int) *api.Error {
		changed := *e
		changed.HTTP = status
		return &changed
	}
	_, tooLarge := errors.AsType[*stream.BodyLimitError](e.Err)
	switch {
	case tooLarge:
		return as(http.StatusRequestEntityTooLarge)
	case status.Code(e.Err) == codes.PermissionDenied:
		return as(http.StatusForbidden)
	case errors.Is(e.Err, stream.ErrNoUpgrade):
		return as(http.StatusNotImplemented)
	}
	return e
}

// pass writes the reply to the client. An error means that the client must not
// take what it got for the whole reply.
func (s *Server) pass(w http.ResponseWriter, r *http.Request, reply *stream.Reply, in *invocation) error {
	h1, ok := unwrap(w).(*http1.Response)
	if ok {
		if o, ok := w.(*observed); ok {
			o.status = reply.Status
		}
		h1.Reply(reply.Status, reply.Header, announced(reply))
		w = h1
	} else {
		begin(w, reply)
	}
	if r.Method == http.MethodHead || reply.Status == http.StatusNoContent || reply.Status == http.StatusNotModified {
		return nil
	}
	k := &in.sink
	k.init(w, in.call.Flow, reply.Length)
	if stream.Ready(reply.Body) == 0 && reply.Length != 0 {
		// Nobody knows when the first byte comes: the head must not wait.
		if err := k.flush(); err != nil {
			return err
		}
	}
	if err := s.buffers.copy(k, reply.Body); err != nil {
		return err
	}
	if reply.Length >= 0 && k.left > 0 {
		return fmt.Errorf("the reply ended %d bytes early: %w", k.left, io.ErrUnexpectedEOF)
	}
	in.call.Flow.Finish(flow.Reply, flow.CallerOut)
	if reply.Trailer != nil {
		for key, values := range reply.Trailer() {
			w.Header()[http.TrailerPrefix+key] = values
		}
	}
	return nil
}

// announced gives the length of the body that a reply says it has; -1: it does
// not. What HEAD gets has none, but may say what GET would get.
func announced(reply *stream.Reply) int64 {
	if v := reply.Header["Content-Length"]; len(v) == 1 && reply.Length >= 0 {
		if n, err := strconv.ParseInt(v[0], 10, 64); err == nil {
			return n
		}
	}
	return reply.Length
}

// inform sends an informational reply by way of net/http.
func inform(w http.ResponseWriter, status int, h http.Header) {
	to := w.Header()
	maps.Copy(to, h)
	w.WriteHeader(status)
	for key := range h {
		delete(to, key)
	}
}

// begin sends the head of a reply by way of net/http.
func begin(w http.ResponseWriter, reply *stream.Reply) {
	h := w.Header()
	maps.Copy(h, reply.Header)
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil // or net/http would guess one
	}
	if reply.Length < 0 {
		delete(h, "Content-Length")
	} else if _, ok := h["Content-Length"]; !ok && reply.Status != http.StatusNoContent {
		h["Content-Length"] = []string{strconv.FormatInt(reply.Length, 10)}
	}
	w.WriteHeader(reply.Status)
}
