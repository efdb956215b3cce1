package runtime

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"mesh/runtime/resource"
	"mesh/runtime/stream"
)

// outsider is a server outside the mesh.
func outsider(t *testing.T, secure bool, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.EnableHTTP2 = true
	if secure {
		srv.StartTLS()
	} else {
		srv.Start()
	}
	t.Cleanup(srv.Close)
	return srv
}

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// TestServersOutside calls a server by its URL and by the name of an endpoint, in
// all ways of addressing.
func TestServersOutside(t *testing.T) {
	var seen *http.Request
	srv := outsider(t, false, func(w http.ResponseWriter, r *http.Request) {
		seen = r
		if r.URL.Path == "/from" {
			http.Redirect(w, r, "/to", http.StatusFound)
			return
		}
		w.Header().Set("X-Reply", "yes")
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.Copy(w, r.Body)
	})
	m := newMesh(t, stream.Auto)
	front := m.sidecar(Options{AppID: "front", Env: func(name string) (string, bool) { return "from " + name, true }})
	m.front = front
	front.Declare(Declared{Endpoints: []resource.HTTPEndpoint{
		{Name: "outside", BaseURL: srv.URL + "/base/", Headers: []resource.Property{{Name: "x-key", Value: "mine"}, {Name: "X-Env", Env: "HERE"}}},
		{Name: "others", BaseURL: srv.URL, Scopes: []string{"somebody"}},
	}})
	at := "http://127.0.0.1" + m.url("", "")[len("http://127.0.0.1"):strings.Index(m.url("", ""), "/v1.0")]
	escaped := url.QueryEscape(srv.URL)
	for _, tc := range []struct{ name, path, header, value, want string }{
		{"URL in the path", "/v1.0/invoke/" + srv.URL + "/method/a/b?x=%20&y", "", "", "/a/b?x=%20&y"},
		{"escaped URL in the path", "/v1.0/invoke/" + escaped + "/method/a%20b", "", "", "/a%20b"},
		{"URL in the header", "/a/b?x=1", "dapr-app-id", srv.URL, "/a/b?x=1"},
		{"URL with a path", "/a", "dapr-app-id", srv.URL + "/v2", "/v2/a"},
		{"name in the path", "/v1.0/invoke/outside/method/a", "", "", "/base/a"},
		{"name in the header", "/a", "dapr-app-id", "outside", "/base/a"},
		{"no method", "/v1.0/invoke/outside/method/", "", "", "/base/"},
		{"a redirect is followed", "/v1.0/invoke/" + srv.URL + "/method/from", "", "", "/to"},
	} {
		for _, verb := range []string{"GET", "POST"} {
			body := ""
			if verb == "POST" {
				body = "hello"
			}
			req, err := http.NewRequestWithContext(t.Context(), verb, at+tc.path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Key", "yours")
			if tc.header != "" {
				req.Header.Set(tc.header, tc.value)
			}
			res := m.do(req)
			text := m.read(res)
			redirected := tc.want == "/to"
			if res.StatusCode != http.StatusTeapot || res.Header.Get("X-Reply") != "yes" || (text != body && !redirected) || seen.RequestURI != tc.want {
				t.Errorf("%s, %s: %d %q, the server saw %s", tc.name, verb, res.StatusCode, text, seen.RequestURI)
			}
			if key, env := seen.Header.Get("X-Key"), seen.Header.Get("X-Env"); strings.Contains(tc.name, "name") && (key != "mine" || env != "from HERE") || strings.Contains(tc.name, "URL") && key != "yours" {
				t.Errorf("%s: the server saw the key %q and %q", tc.name, key, env)
			}
			for _, none := range []string{"Dapr-App-Id", "Dapr-Caller-App-Id", "Destination-App-Id", "X-Forwarded-For"} {
				if seen.Header.Get(none) != "" {
					t.Errorf("%s: the server saw %s", tc.name, none)
				}
			}
			if seen.Host != srv.Listener.Addr().String() || !stream.ValidTraceParent(seen.Header.Get("Traceparent")) {
				t.Errorf("%s: host %s, traceparent %q", tc.name, seen.Host, seen.Header.Get("Traceparent"))
			}
		}
	}
	for id, want := range map[string]string{
		"others":                              "couldn't find service: others",
		"http://127.0.0.1:1":                  "calling http://127.0.0.1:1: connecting to 127.0.0.1:1",
		"http://":                             "names no host",
		"http://joe:secret@h":                 "a host, a port and a path only",
		"https://" + srv.URL[len("http://"):]: "calling https://",
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at+"/m", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("dapr-app-id", id)
		res := m.do(req)
		if text := m.read(res); res.StatusCode != http.StatusInternalServerError || !strings.Contains(text, want) || !strings.Contains(text, "ERR_DIRECT_INVOKE") {
			t.Errorf("%s: %d %s", id, res.StatusCode, text)
		}
	}
	// An endpoint that goes while the mesh runs is an app again, which nobody knows.
	front.Declare(Declared{})
	if res, text := m.call("GET", "outside", "m", ""); res.StatusCode != http.StatusInternalServerError || !strings.Contains(text, "couldn't find service") {
		t.Errorf("gone: %d %s", res.StatusCode, text)
	}
}

// TestStreamsToServersOutside sends and receives at the same time, over TLS.
func TestStreamsToServersOutside(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	presented := make(chan int, 10)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		presented <- len(r.TLS.PeerCertificates)
		echo(t)(w, r)
	}))
	srv.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	m := newMesh(t, stream.Auto)
	property := func(name, value string) resource.Property { return resource.Property{Name: name, Value: value} }
	secure := resource.TLS{
		RootCA:      property("rootCA", pemOf("CERTIFICATE", srv.Certificate().Raw)),
		Certificate: property("certificate", pemOf("CERTIFICATE", certificate)), PrivateKey: property("privateKey", pemOf("EC PRIVATE KEY", private)),
	}
	half := secure
	half.PrivateKey = resource.Property{}
	m.front.Declare(Declared{Endpoints: []resource.HTTPEndpoint{
		{Name: "outside", BaseURL: srv.URL, TLS: secure},
		{Name: "unknown", BaseURL: srv.URL},
		{Name: "half", BaseURL: srv.URL, TLS: half},
		{Name: "secret", BaseURL: srv.URL, Headers: []resource.Property{{Name: "k", Secret: resource.SecretRef{Name: "n", Key: "n"}}}},
	}})
	pr, pw := io.Pipe()
	replied := make(chan io.ReadCloser, 1)
	go func() { replied <- m.do(m.request("POST", "outside", "m", pr)).Body }()
	pingPong(t, pw, func() io.ReadCloser { return <-replied }, 20)
	if n := soon(t, "the server", presented); n != 1 {
		t.Errorf("the client presented %d certificates", n)
	}
	for id, want := range map[string]string{"unknown": "certificate", "half": "clientTLS of the endpoint half: certificate and privateKey", "secret": "k of the endpoint secret: secretKeyRef needs auth"} {
		if res, text := m.call("GET", id, "m", ""); res.StatusCode != http.StatusInternalServerError || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s", id, res.StatusCode, text)
		}
	}
}

func TestEndpointsThatCannotBe(t *testing.T) {
	errs := CheckEndpoints([]resource.HTTPEndpoint{
		{Name: "good", BaseURL: "https://example.com:8443/api", TLS: resource.TLS{Renegotiation: "RenegotiateNever"}},
		{Name: "ftp", BaseURL: "ftp://example.com"},
		{Name: "query", BaseURL: "http://example.com?x=1"},
		{Name: "often", BaseURL: "http://example.com", TLS: resource.TLS{Renegotiation: "Often"}},
	})
	if text := fmt.Sprint(errs); len(errs) != 3 || !strings.Contains(text, "ftp") || !strings.Contains(text, "query") || !strings.Contains(text, "Often") {
		t.Errorf("found: %s", text)
	}
}

// TestOwnAppIsNotForged: an app that calls itself cannot claim to be another one.
func TestOwnAppIsNotForged(t *testing.T) {
	m := newMesh(t, stream.Auto)
	var seen http.Header
	m.front = m.app("self", func(_ http.ResponseWriter, r *http.Request) { seen = r.Header })
	req := m.request("GET", "self", "m", nil)
	req.Header.Set("Dapr-Caller-App-Id", "forged")
	req.Header.Set("X-Mine", "kept")
	_ = m.read(m.do(req))
	if seen.Get("Dapr-Caller-App-Id") != "" || seen.Get("X-Mine") != "kept" {
		t.Errorf("the app saw %v", seen)
	}
}

// TestSecretsOfEndpoints: headers come from the secret store that the resource
// names, when the first call comes, and are asked for again after a failure.
func TestSecretsOfEndpoints(t *testing.T) {
	var seen string
	srv := outsider(t, false, func(_ http.ResponseWriter, r *http.Request) { seen = r.Header.Get("Authorization") })
	asked := 0
	e := &endpoints{appID: "front", secret: func(_ context.Context, store, name, key string) (string, error) {
		if asked++; asked == 1 {
			return "", errors.New("the store is not up yet")
		}
		return strings.Join([]string{store, name, key}, "/"), nil
	}}
	defer e.close()
	e.declare([]resource.HTTPEndpoint{{
		Name: "outside", BaseURL: srv.URL, SecretStore: "vault",
		Headers: []resource.Property{{Name: "Authorization", Secret: resource.SecretRef{Name: "pay", Key: "token"}}},
	}})
	to, err := e.find("outside")
	if err != nil || to == nil {
		t.Fatal(to, err)
	}
	call := &stream.Call{Verb: http.MethodGet, Header: http.Header{}}
	if _, err := to.Handle(t.Context(), call); err == nil || !strings.Contains(err.Error(), "Authorization of the endpoint outside: the store is not up yet") {
		t.Errorf("while the store is not up: %v", err)
	}
	for range 2 {
		r, err := to.Handle(t.Context(), call)
		if err != nil {
			t.Fatal(err)
		}
		must(t, r.Body.Close())
	}
	if seen != "vault/pay/token" || asked != 2 {
		t.Errorf("the server saw %q, the store was asked %d times", seen, asked)
	}
}
