package appchan

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"

	"mesh/runtime/flow"
	"mesh/runtime/stream"
)

// newTransport gives net/http's client for the protocols that we do not speak
// ourselves. The app is our own child or neighbour: it may show any certificate.
func newTransport(protocol string) *http.Transport {
	t := &http.Transport{
		DialContext:            dial,
		DisableCompression:     true,
		MaxIdleConnsPerHost:    maxIdle,
		IdleConnTimeout:        idleTimeout,
		ExpectContinueTimeout:  continueWait,
		MaxResponseHeaderBytes: maxHead,
		WriteBufferSize:        largeBuffer,
		ReadBufferSize:         smallBuffer,
		Protocols:              new(http.Protocols),
	}
	if protocol == "h2c" {
		t.Protocols.SetUnencryptedHTTP2(true)
		return t
	}
	t.Protocols.SetHTTP1(true)
	t.Protocols.SetHTTP2(true)
	t.TLSClientConfig = &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}
	return t
}

// roundTrip sends the call through net/http.
func (a *App) roundTrip(ctx context.Context, c *stream.Call) (*stream.Reply, error) {
	u, err := a.target(c)
	if err != nil {
		return nil, fmt.Errorf("calling %s: %w", a.o.Addr, err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	req := (&http.Request{
		Method: c.Verb, URL: u, Host: a.o.Addr, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: make(http.Header, len(c.Header)+1),
	}).WithContext(ctx)
	for key, values := range c.Headers {
		if name, ok := stream.RequestToApp(key); ok {
			req.Header[name] = slices.Clone(values) // net/http may look at them when the call is over
		}
	}
	if a.o.Token != "" {
		req.Header.Set(tokenHeader, a.o.Token)
	}
	if _, ok := req.Header["User-Agent"]; !ok {
		req.Header["User-Agent"] = nil // none, instead of net/http's own
	}
	var body *sending
	if c.Body != nil && c.Length != 0 {
		body = &sending{call: c, ended: make(chan struct{})}
		req.Body, req.ContentLength = body, c.Length
	}
	res, err := a.lib.RoundTrip(req) //nolint:bodyclose // receiving.Close closes it
	if err != nil {
		cancel(err)
		if _, ok := errors.AsType[*stream.UnreachableError](err); ok {
			return nil, err
		}
		return nil, fmt.Errorf("calling %s: %w", a.o.Addr, err)
	}
	stream.StripHopByHop(res.Header)
	c.Flow.Replied(res.StatusCode)
	return &stream.Reply{
		Status: res.StatusCode, Header: res.Header, Length: res.ContentLength,
		Body:    &receiving{app: a, flow: c.Flow, body: res.Body, request: body, cancel: cancel},
		Trailer: func() http.Header { return res.Trailer },
	}, nil
}

// sending is a request body that marks what net/http takes of it. That a piece
// was sent shows when the next one is asked for.
type sending struct {
	call  *stream.Call
	taken int
	once  sync.Once
	ended chan struct{} // closed when net/http is done with the body
}

func (s *sending) Read(p []byte) (int, error) {
	s.call.Flow.Mark(flow.Request, flow.CalleeOut, s.taken)
	n, err := s.call.Body.Read(p)
	if s.taken = n; n > 0 {
		s.call.Flow.Blocked(flow.Request, flow.CalleeOut)
	}
	if errors.Is(err, io.EOF) && n == 0 {
		s.call.Flow.Finish(flow.Request, flow.CalleeOut)
	}
	return n, err
}

func (s *sending) Close() error {
	s.once.Do(func() {
		close(s.ended)
	})
	return nil
}

// receiving is a reply's body that marks what arrives.
type receiving struct {
	app     *App
	flow    *flow.Flow
	body    io.ReadCloser
	request *sending // nil without a request body
	cancel  context.CancelCauseFunc
	once    sync.Once
}

func (r *receiving) Read(p []byte) (int, error) {
	n, err := r.body.Read(p)
	r.flow.Pass(flow.Reply, flow.CalleeIn, p[:n])
	if errors.Is(err, io.EOF) {
		r.flow.Finish(flow.Reply, flow.CalleeIn)
	}
	return n, err
}

// Close ends the call and waits until net/http has let go of the request's body.
func (r *receiving) Close() error {
	r.once.Do(func() {
		r.cancel(context.Canceled)
		r.body.Close()
		if r.request != nil {
			<-r.request.ended
		}
		r.app.leave()
	})
	return nil
}
