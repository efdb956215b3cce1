package appchan

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
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
		ExpectContinueTimeout:  stream.LeaveWait,
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
	way := passage{do: a.lib.RoundTrip, host: a.o.Addr, leave: a.leave}
	if c.Upgrade != "" && a.upgrades != nil {
		way.do, way.upgrade = a.upgrades.RoundTrip, c.Upgrade
	}
	if a.o.Token != "" {
		way.header = http.Header{tokenHeader: {a.o.Token}}
	}
	r, err := way.send(ctx, c, u)
	if err == nil {
		return r, nil
	}
	if _, ok := errors.AsType[*stream.UnreachableError](err); ok {
		return nil, err
	}
	return nil, fmt.Errorf("calling %s: %w", a.o.Addr, err)
}

// passage is how net/http sends a call to one server.
type passage struct {
	do      func(*http.Request) (*http.Response, error)
	host    string
	header  http.Header // in place of what the call has
	upgrade string      // the protocol that is asked for; "": none
	leave   func()      // called when the reply is closed
}

// send sends the call and gives its reply.
func (p *passage) send(ctx context.Context, c *stream.Call, u *url.URL) (*stream.Reply, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	var hints *informer
	if c.Inform != nil {
		hints = &informer{to: c.Inform}
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: hints.got})
	}
	req := (&http.Request{
		Method: c.Verb, URL: u, Host: p.host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: p.headers(c),
	}).WithContext(ctx)
	var body *sending
	if c.Body != nil && c.Length != 0 {
		body = &sending{call: c, ended: make(chan struct{})}
		req.Body, req.ContentLength = body, c.Length
		if c.Trailer != nil && c.Length < 0 {
			body.trailer = make(http.Header) // filled at the end
			for _, key := range c.Announced {
				body.trailer[key] = nil
			}
			req.Trailer = body.trailer
		}
	}
	res, err := p.do(req) //nolint:bodyclose // receiving.Close closes it
	hints.end()
	if err != nil {
		cancel(err)
		return nil, err
	}
	r := &stream.Reply{
		Status: res.StatusCode, Header: res.Header, Length: saidLength(res),
		Body:    &receiving{leave: p.leave, flow: c.Flow, body: res.Body, request: body, cancel: cancel},
		Trailer: func() http.Header { return res.Trailer },
	}
	if res.StatusCode == http.StatusSwitchingProtocols {
		rw, ok := res.Body.(io.ReadWriteCloser)
		if !ok || p.upgrade == "" {
			r.Body.Close()
			return nil, errors.New("the server switched protocols, which nobody asked for")
		}
		r.Tunnel, r.Length, r.Trailer = libTunnel{rw, c.Flow}, -1, nil
		context.AfterFunc(ctx, func() { _ = rw.Close() }) // net/http has let go of it; Close ends ctx at the latest
	}
	stream.StripHopByHop(res.Header)
	c.Flow.Replied(res.StatusCode)
	return r, nil
}

// saidLength gives the length that a reply says it has. Of one that says nothing,
// because no body follows, net/http says 0, which a cache would believe.
func saidLength(res *http.Response) int64 {
	if res.StatusCode != http.StatusNotModified {
		return res.ContentLength
	}
	if v := res.Header["Content-Length"]; len(v) == 1 {
		if n, err := strconv.ParseInt(v[0], 10, 64); err == nil && n >= 0 {
			return n
		}
	}
	return -1
}

// headers gives the headers of the request.
func (p *passage) headers(c *stream.Call) http.Header {
	h := make(http.Header, len(c.Header)+8)
	for key, values := range c.Headers {
		if name, ok := stream.RequestToApp(key); ok {
			h[name] = slices.Clone(values) // net/http may look at them when the call is over
		}
	}
	maps.Copy(h, p.header)
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = nil // none, instead of net/http's own
	}
	if p.upgrade != "" {
		h["Connection"], h["Upgrade"] = []string{"Upgrade"}, []string{p.upgrade}
	}
	return h
}

// informer passes informational replies on until the reply itself is there.
type informer struct {
	mu   sync.Mutex
	to   func(status int, h http.Header)
	over bool
}

func (i *informer) got(status int, h textproto.MIMEHeader) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.over && status != http.StatusContinue {
		i.to(status, http.Header(h))
	}
	return nil
}

func (i *informer) end() {
	if i != nil {
		i.mu.Lock()
		i.over = true
		i.mu.Unlock()
	}
}

// libTunnel is the way to a server that has agreed to speak another protocol.
type libTunnel struct {
	rw   io.ReadWriteCloser
	flow *flow.Flow
}

// Write implements io.Writer.
func (t libTunnel) Write(p []byte) (int, error) {
	t.flow.Blocked(flow.Request, flow.CalleeOut)
	n, err := t.rw.Write(p)
	t.flow.Mark(flow.Request, flow.CalleeOut, n)
	return n, err
}

// Close implements io.Closer: the server reads an end.
func (t libTunnel) Close() error {
	if half, ok := t.rw.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// sending is a request body that marks what net/http takes of it. That a piece
// was sent shows when the next one is asked for.
type sending struct {
	call  *stream.Call
	taken int
	once  sync.Once
	ended chan struct{} // closed when net/http is done with the body

	trailer http.Header // filled at the end; nil: there is none
}

func (s *sending) Read(p []byte) (int, error) {
	s.call.Flow.Mark(flow.Request, flow.CalleeOut, s.taken)
	n, err := s.call.Body.Read(p)
	if s.taken = n; n > 0 {
		s.call.Flow.Blocked(flow.Request, flow.CalleeOut)
	}
	if errors.Is(err, io.EOF) && s.trailer != nil {
		for key, values := range s.call.Trailer() {
			if name, ok := stream.RequestToApp(key); ok {
				s.trailer[name] = values
			}
		}
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
	leave   func()
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
		r.leave()
	})
	return nil
}
