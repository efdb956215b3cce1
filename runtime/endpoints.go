package runtime

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"

	"mesh/runtime/appchan"
	"mesh/runtime/flow"
	"mesh/runtime/resource"
	"mesh/runtime/stream"
)

// endpoints are the servers outside the mesh that one app may call: by the name
// of an HTTPEndpoint, or by any URL.
type endpoints struct {
	appID  string
	secret func(ctx context.Context, store, name, key string) (string, error)
	env    func(name string) (string, bool) // nil: there is none

	named atomic.Pointer[map[string]*endpoint] // immutable; nil: none

	mu   sync.Mutex           // of declare, and of the rest
	urls map[string]*endpoint // those that were called; bounded
}

// endpoint is one server.
type endpoint struct {
	*appchan.Outside

	from resource.HTTPEndpoint
	peer *flow.Peer
}

// maxURLs is how many servers called by URL are kept in mind.
const maxURLs = 64

func isURL(id string) bool {
	return strings.HasPrefix(id, "http://") || strings.HasPrefix(id, "https://")
}

// declare replaces the endpoints; those that stay as they are keep their
// connections.
func (e *endpoints) declare(all []resource.HTTPEndpoint) {
	e.mu.Lock()
	defer e.mu.Unlock()
	before := map[string]*endpoint{}
	if old := e.named.Load(); old != nil {
		before = maps.Clone(*old)
	}
	named := map[string]*endpoint{}
	for i := range all {
		from := all[i]
		if !from.Visible(e.appID) {
			continue
		}
		if old := before[from.Name]; old != nil && reflect.DeepEqual(old.from, from) {
			named[from.Name] = old
			delete(before, from.Name)
			continue
		}
		if made, err := e.make(from); err == nil { // else CheckEndpoints has told
			named[from.Name] = made
		}
	}
	e.named.Store(&named)
	for _, old := range before {
		old.Close()
	}
}

func (e *endpoints) make(from resource.HTTPEndpoint) (*endpoint, error) {
	out, err := appchan.NewOutside(appchan.OutsideOptions{URL: from.BaseURL, Prepare: func(ctx context.Context) (http.Header, *tls.Config, error) {
		return e.prepare(ctx, &from)
	}})
	if err != nil {
		return nil, err
	}
	return &endpoint{Outside: out, from: from, peer: &flow.Peer{Instance: from.Name, Transport: "http", Addr: from.BaseURL}}, nil
}

// find gives the server that an id names, nil when it is an app's.
func (e *endpoints) find(id string) (*endpoint, error) {
	if named := e.named.Load(); named != nil {
		if found := (*named)[id]; found != nil {
			return found, nil
		}
	}
	if !isURL(id) {
		return nil, nil //nolint:nilnil // an app
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if found := e.urls[id]; found != nil {
		return found, nil
	}
	made, err := e.make(resource.HTTPEndpoint{Name: id, BaseURL: id})
	if err != nil {
		return nil, err
	}
	if len(e.urls) >= maxURLs {
		for old, at := range e.urls { // any
			at.Close()
			delete(e.urls, old)
			break
		}
	}
	if e.urls == nil {
		e.urls = map[string]*endpoint{}
	}
	e.urls[id] = made
	return made, nil
}

// close closes idle connections.
func (e *endpoints) close() {
	e.declare(nil)
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, at := range e.urls {
		at.Close()
	}
}

// prepare gives the headers and the TLS of an endpoint.
func (e *endpoints) prepare(ctx context.Context, from *resource.HTTPEndpoint) (http.Header, *tls.Config, error) {
	value := func(p resource.Property) (string, error) {
		v, err := e.value(ctx, from, p)
		if err != nil {
			return "", fmt.Errorf("%s of the endpoint %s: %w", p.Name, from.Name, err)
		}
		return v, nil
	}
	header := http.Header{}
	for _, p := range from.Headers {
		v, err := value(p)
		if err != nil {
			return nil, nil, err
		}
		header.Set(p.Name, v)
	}
	var values [3]string
	for i, p := range []resource.Property{from.TLS.RootCA, from.TLS.Certificate, from.TLS.PrivateKey} {
		if p.Name == "" {
			continue
		}
		v, err := value(p)
		if err != nil {
			return nil, nil, err
		}
		values[i] = v
	}
	secure, err := secureWith(values[0], values[1], values[2], from.TLS.Renegotiation)
	if err != nil {
		return nil, nil, fmt.Errorf("clientTLS of the endpoint %s: %w", from.Name, err)
	}
	return header, secure, nil
}

func (e *endpoints) value(ctx context.Context, from *resource.HTTPEndpoint, p resource.Property) (string, error) {
	switch {
	case p.Secret.Name != "" && from.SecretStore == "":
		return "", errors.New("secretKeyRef needs auth: { secretStore: … } in the same document")
	case p.Secret.Name != "":
		return e.secret(ctx, from.SecretStore, p.Secret.Name, p.Secret.Key)
	case p.Env != "" && e.env != nil:
		if v, ok := e.env(p.Env); ok {
			return v, nil
		}
		return "", fmt.Errorf("the environment variable %s is not set", p.Env)
	}
	return p.Value, nil
}

func secureWith(root, certificate, key, renegotiation string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if root != "" {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM([]byte(root)) {
			return nil, errors.New("rootCA holds no certificate in PEM")
		}
	}
	if certificate != "" || key != "" {
		pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
		if err != nil {
			return nil, fmt.Errorf("certificate and privateKey: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	var ok bool
	c.Renegotiation, ok = renegotiations()[renegotiation]
	if !ok {
		return nil, fmt.Errorf("renegotiation %q is not known", renegotiation)
	}
	return c, nil
}

func renegotiations() map[string]tls.RenegotiationSupport {
	return map[string]tls.RenegotiationSupport{
		"": tls.RenegotiateNever, "RenegotiateNever": tls.RenegotiateNever,
		"RenegotiateOnceAsClient": tls.RenegotiateOnceAsClient, "RenegotiateFreelyAsClient": tls.RenegotiateFreelyAsClient,
	}
}

// CheckEndpoints finds endpoints that can never be called.
func CheckEndpoints(all []resource.HTTPEndpoint) (errs resource.Errors) {
	for i := range all {
		e := &all[i]
		if _, err := appchan.CheckURL(e.BaseURL); err != nil && e.BaseURL != "" {
			errs = append(errs, &resource.Error{Place: e.Place, Msg: fmt.Sprintf("baseUrl of endpoint %s: %v", e.Name, err)})
		}
		if _, ok := renegotiations()[e.TLS.Renegotiation]; !ok {
			errs = append(errs, &resource.Error{
				Place: e.Place, Msg: fmt.Sprintf("renegotiation of endpoint %s is %q", e.Name, e.TLS.Renegotiation),
				Hint: "there are RenegotiateNever, RenegotiateOnceAsClient and RenegotiateFreelyAsClient",
			})
		}
	}
	return errs
}

// outside calls a server outside the mesh.
func (r *router) outside(ctx context.Context, c *stream.Call, to *endpoint) (*stream.Reply, error) {
	c.Flow.Route(to.peer)
	return to.Handle(ctx, c)
}

// secret reads one value for the sidecar itself.
func (s *Sidecar) secret(ctx context.Context, store, name, key string) (string, error) {
	c := s.components()
	if c == nil {
		return "", fmt.Errorf("there is no secret store %s", store)
	}
	data, err := c.Secrets(store).Get(ctx, name, nil)
	if err != nil {
		return "", fmt.Errorf("reading the secret %s from %s: %w", name, store, err)
	}
	v, ok := data[key]
	if !ok {
		return "", fmt.Errorf("the secret %s of %s has no key %s", name, store, key)
	}
	return v, nil
}
