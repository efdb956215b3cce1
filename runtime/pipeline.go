package runtime

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"

	"mesh/runtime/component"
	"mesh/runtime/resource"
	"mesh/runtime/stream"
)

// pipeline is a list of middleware that requests pass, as it is declared when
// each of them comes.
type pipeline struct {
	handlers func() []resource.Handler
	find     func(name string) (component.Wrap, error)
}

// newPipeline gives the pipeline that which picks from what is declared.
func (s *Sidecar) newPipeline(which func(*Declared) []resource.Handler) *pipeline {
	return &pipeline{
		handlers: func() []resource.Handler { return which(s.declared.Load()) },
		find:     s.components().Middleware,
	}
}

// wrap gives what puts the pipeline around a handler; nil when it is empty. A
// middleware that is not there, or does not work, is an error for every request:
// it may be one that keeps strangers out.
func (p *pipeline) wrap() (component.Wrap, error) {
	all := p.handlers()
	if len(all) == 0 {
		return nil, nil
	}
	wraps := make([]component.Wrap, len(all))
	for i, h := range all {
		var err error
		if wraps[i], err = p.find(h.Name); err != nil {
			return nil, fmt.Errorf("middleware %s of the pipeline: %w", h.Name, err)
		}
	}
	return func(next http.Handler) http.Handler {
		for _, wrap := range slices.Backward(wraps) {
			next = wrap(next)
		}
		return next
	}, nil
}

// around gives a handler of calls which puts the pipeline around another one.
func (p *pipeline) around(next stream.Handler) stream.Handler {
	return stream.HandlerFunc(func(ctx context.Context, c *stream.Call) (*stream.Reply, error) {
		wrap, err := p.wrap()
		if err != nil {
			return nil, err
		}
		if wrap == nil {
			return next.Handle(ctx, c)
		}
		return throughMiddleware(ctx, c, wrap, next)
	})
}

// throughMiddleware sends a call through middleware as the request that the app
// will get. What the app replies is not held up: it passes the writer by.
func throughMiddleware(ctx context.Context, c *stream.Call, wrap component.Wrap, next stream.Handler) (*stream.Reply, error) {
	body := io.NopCloser(c.Body)
	if c.Body == nil {
		body = http.NoBody
	}
	r := (&http.Request{
		Method: c.Verb, URL: &url.URL{Path: "/" + c.Path, RawQuery: c.Query}, Header: c.Header, Body: body, ContentLength: c.Length,
		Host: c.AppID, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	r.RequestURI = r.URL.RequestURI()
	w := &answered{header: http.Header{}}
	wrap(http.HandlerFunc(func(to http.ResponseWriter, r *http.Request) {
		changed := *c
		changed.Verb, changed.Path, changed.Query, changed.Header = r.Method, r.URL.Path[min(1, len(r.URL.Path)):], r.URL.RawQuery, r.Header
		reply, err := next.Handle(r.Context(), &changed)
		w.take(to, reply, err)
	})).ServeHTTP(w, r)
	return w.result()
}

// answered collects what middleware says to a call: an answer of its own, or
// what the app replied.
type answered struct {
	header http.Header
	status int
	text   bytes.Buffer

	reply *stream.Reply
	err   error
}

// Header implements http.ResponseWriter.
func (w *answered) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *answered) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

// Write implements http.ResponseWriter.
func (w *answered) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.text.Write(p)
}

// take takes the app's reply. One that middleware has put its own writer in
// front of is written there, whole; any other one keeps flowing.
func (w *answered) take(to http.ResponseWriter, reply *stream.Reply, err error) {
	if err != nil {
		w.err = err
		return
	}
	if to == http.ResponseWriter(w) && w.status == 0 {
		w.reply = reply
		return
	}
	defer reply.Body.Close()
	for key, values := range reply.Header { // which are the reply's until it is closed
		to.Header()[key] = slices.Clone(values)
	}
	to.WriteHeader(reply.Status)
	_, w.err = io.Copy(to, reply.Body)
}

// result gives the reply to the call.
func (w *answered) result() (*stream.Reply, error) {
	switch {
	case w.err != nil:
		return nil, w.err
	case w.reply == nil && w.status == 0:
		return nil, errors.New("the middleware of the pipeline neither called the app nor answered")
	case w.reply == nil:
		return &stream.Reply{
			Status: w.status, Header: w.header, Body: io.NopCloser(bytes.NewReader(w.text.Bytes())), Length: int64(w.text.Len()),
		}, nil
	}
	for key, values := range w.header {
		if _, ok := w.reply.Header[key]; !ok {
			w.reply.Header[key] = values
		}
	}
	return w.reply, nil
}
