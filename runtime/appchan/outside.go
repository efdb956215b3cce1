package appchan

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"mesh/runtime/stream"
)

// OutsideOptions say where a server outside the mesh is and how it is called.
type OutsideOptions struct {
	URL string // http:// or https://, with or without a path

	// Prepare gives headers that are set on each call, in place of what the call
	// has, and what TLS presents and trusts; either may be nil. It is asked when
	// the first call comes, and again while it fails. nil: there is nothing.
	Prepare func(ctx context.Context) (http.Header, *tls.Config, error)
}

// Outside sends calls to a server outside the mesh. It follows redirects, as
// Dapr does, and certificates must be valid.
type Outside struct {
	o    OutsideOptions
	base *url.URL

	mu    sync.Mutex
	ready *prepared // nil: not yet
}

type prepared struct {
	client *http.Client
	header http.Header
}

var _ stream.Handler = (*Outside)(nil)

// CheckURL says why a URL cannot be that of a server; nil when it can.
func CheckURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%q is no URL: %w", raw, errors.Unwrap(err))
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("%q is not a URL that can be called: it must begin with http:// or https://", raw)
	case u.Host == "" || u.Hostname() == "":
		return nil, fmt.Errorf("%q is not a URL that can be called: it names no host", raw)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return nil, fmt.Errorf("%q is not a URL that can be called: it may have a host, a port and a path only", raw)
	}
	return u, nil
}

// NewOutside gives a Handler; nothing is dialled yet. The caller closes it.
func NewOutside(o OutsideOptions) (*Outside, error) {
	base, err := CheckURL(o.URL)
	if err != nil {
		return nil, err
	}
	return &Outside{o: o, base: base}, nil
}

// Close closes idle connections. Calls in flight go on.
func (s *Outside) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ready != nil {
		s.ready.client.CloseIdleConnections()
	}
}

// Handle sends the call; see App.Handle.
func (s *Outside) Handle(ctx context.Context, c *stream.Call) (*stream.Reply, error) {
	p, err := s.prepare(ctx)
	if err != nil {
		return nil, err
	}
	u, err := s.target(c)
	if err != nil {
		return nil, err
	}
	way := passage{do: p.client.Do, host: s.base.Host, header: p.header, leave: func() {}}
	r, err := way.send(ctx, c, u)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err // which says neither verb nor path
		}
		return nil, fmt.Errorf("calling %s: %w", s.o.URL, err)
	}
	return r, nil
}

// target gives where the call goes.
func (s *Outside) target(c *stream.Call) (*url.URL, error) {
	if err := checkQuery(c.Query); err != nil {
		return nil, err
	}
	raw, err := appendPath([]byte(strings.TrimRight(s.base.EscapedPath(), "/")), c.Path)
	if err != nil {
		return nil, err
	}
	u := &url.URL{Scheme: s.base.Scheme, Host: s.base.Host, RawPath: string(raw), RawQuery: c.Query}
	if u.Path, err = url.PathUnescape(u.RawPath); err != nil {
		return nil, err
	}
	return u, nil
}

func (s *Outside) prepare(ctx context.Context) (*prepared, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ready != nil {
		return s.ready, nil
	}
	p := &prepared{}
	var secure *tls.Config
	if s.o.Prepare != nil {
		var err error
		if p.header, secure, err = s.o.Prepare(ctx); err != nil {
			return nil, err
		}
	}
	t := newTransport("https")
	t.TLSClientConfig = secure
	t.TLSHandshakeTimeout = dialTimeout
	p.client = &http.Client{Transport: t}
	s.ready = p
	return p, nil
}
