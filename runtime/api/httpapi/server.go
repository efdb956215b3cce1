// Package httpapi speaks the HTTP dialect of a sidecar's API: Dapr's routes
// under /v1.0, and service invocation for every request that matches none.
//
// An invocation is passed on while it arrives: the request's body is read when
// the app takes it, every piece of the reply is flushed as it comes, and both
// go on at the same time. Nothing is kept whole. A reply that breaks off breaks
// the client's connection off, so that nobody takes half a reply for all of it.
package httpapi

import (
	"context"
	"crypto/subtle"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"mesh/runtime/api"
	"mesh/runtime/flow"
	"mesh/runtime/http1"
	"mesh/runtime/stream"
)

// advice is what the answer to headers that are too large says can be done.
const advice = "raise header_limit of the app in mesh.toml (--read-buffer-size)"

// Options are what a Server needs. API is needed.
type Options struct {
	API      *api.API
	Recorder *flow.Recorder // where invocations are recorded; nil: nowhere
	Token    string         // what callers must send as dapr-api-token; "": nothing

	// Pipeline gives the middleware that a request passes once it has shown the
	// token, nil for none. An error answers the request. nil: there is none ever.
	Pipeline func() (func(next http.Handler) http.Handler, error)

	Limits   *stream.Limits  // of requests; nil: those of the zero value
	Sampler  *stream.Sampler // of traces that begin here; nil: all are recorded
	Grace    time.Duration   // how long calls may go on when the server stops
	Log      *slog.Logger    // for what a client does wrong on the wire; nil: nowhere
	Observer Observer        // told of every request; nil: nobody is
	Public   bool            // only what anybody may know: health and metadata
	Origins  []string        // whose scripts may use the API from a browser, "*" for all; none: nobody's
	LogCalls bool            // write a line to Log for every request
}

// Server serves the API of one sidecar over HTTP/1 and h2c.
type Server struct {
	o       Options
	buffers buffers
}

// New gives a Server.
func New(o Options) *Server {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{o: o}
}

// Serve serves the listener, which it closes, until ctx ends. Then calls in
// flight have Options.Grace to end before they are cancelled; Serve returns
// when the last one has ended.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	srv := http1.New(http1.Options{Handler: s, MaxHeader: s.o.Limits.Header, Advice: advice, Grace: s.o.Grace, Log: s.o.Log})
	if err := srv.Serve(ctx, ln); err != nil {
		return fmt.Errorf("serving the HTTP API on %v: %w", ln.Addr(), err)
	}
	return nil
}

// ServeHTTP finds the route of a request. What is not a route is an invocation.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if len(s.o.Origins) > 0 && s.cors(w, r) {
		return
	}
	h := s.route(r)
	if s.o.Public && !h.public {
		http.NotFound(w, r)
		return
	}
	if s.o.Observer != nil || s.o.LogCalls {
		s.observe(h, w, r)
		return
	}
	s.serve(h, w, r)
}

func (s *Server) serve(h route, w http.ResponseWriter, r *http.Request) {
	if s.o.Token != "" {
		if !h.open && !s.authorized(r) {
			http.Error(w, "invalid api token", http.StatusUnauthorized)
			return
		}
		// The app must not see the token with which it was called.
		delete(r.Header, "Dapr-Api-Token")
	}
	if s.o.Pipeline != nil {
		wrap, err := s.o.Pipeline()
		if err != nil {
			s.answer(w, nil, err)
			return
		}
		if wrap != nil { // it may send the request another way
			wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.route(r).serve(s, w, r) })).ServeHTTP(w, r)
			return
		}
	}
	h.serve(s, w, r)
}

func (s *Server) authorized(r *http.Request) bool {
	return subtle.ConstantTimeCompare([]byte(r.Header.Get("Dapr-Api-Token")), []byte(s.o.Token)) == 1
}

// route is how one request is served.
type route struct {
	serve  func(s *Server, w http.ResponseWriter, r *http.Request)
	open   bool // no token is needed
	public bool // tells what anybody may know
}

// route gives the route of a request. Dapr's own routes come first, whatever
// headers the request has; a verb that a route does not know is no match.
func (s *Server) route(r *http.Request) route {
	path := r.URL.Path
	rest, ok := strings.CutPrefix(path, "/v1.0/")
	if !ok && strings.HasPrefix(path, "//") {
		rest, ok = strings.CutPrefix(strings.TrimLeft(path, "/"), "v1.0/")
	}
	version := "v1.0"
	if !ok {
		if rest, ok = strings.CutPrefix(path, "/v1.0-alpha1/"); !ok {
			return route{serve: (*Server).invoke}
		}
		version = "v1.0-alpha1"
	}
	block, rest := segment(rest)
	if version == "v1.0" {
		switch block {
		case "healthz":
			return healthRoute(r.Method, rest)
		case "metadata":
			return metadataRoute(r.Method, rest)
		case "shutdown":
			if r.Method == http.MethodPost && rest == "" {
				return route{serve: (*Server).shutdown}
			}
		}
	}
	if block != "invoke" {
		if serve := blockRoute(version, block, r); serve != nil {
			return route{serve: within(serve)}
		}
	}
	return route{serve: (*Server).invoke}
}

// within has a request served in a context that ends with it, with which ends
// what policies leave behind: that of http1 ends with the connection only.
func within(serve func(*Server, http.ResponseWriter, *http.Request)) func(*Server, http.ResponseWriter, *http.Request) {
	return func(s *Server, w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		serve(s, w, r.WithContext(ctx))
	}
}

// segment cuts the first segment off a path; repeated slashes count as one.
func segment(path string) (first, rest string) {
	path = strings.TrimLeft(path, "/")
	first, rest, _ = strings.Cut(path, "/")
	return first, strings.TrimLeft(rest, "/")
}
