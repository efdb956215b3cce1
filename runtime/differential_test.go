package runtime

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"mesh/runtime/appchan"
	"mesh/runtime/stream"
)

// shot is one request and what the app answers to it.
type shot struct {
	Verb, Path, Query string
	Header            http.Header
	Body              []byte
	Chunked           bool // nobody says how long the body is
	Trailer           http.Header

	Status       int
	ReplyHeader  http.Header
	Reply        []byte
	ReplyChunked bool
	ReplyTrailer http.Header
}

// random makes a shot of everything that HTTP/1 has, within what is documented
// to pass as it is: paths that are clean, and no header that is the sidecar's.
func random(r *rand.Rand) shot {
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	text := func(alphabet string, n int) string {
		var b strings.Builder
		for range n {
			b.WriteByte(alphabet[r.IntN(len(alphabet))])
		}
		return b.String()
	}
	header := func() http.Header {
		h := http.Header{}
		for range r.IntN(6) {
			key := pick("X-A", "X-B", "Cookie", "Accept", "Accept-Encoding", "Content-Type", "User-Agent", "Authorization", "X-Empty", "Cache-Control",
				"X-Data-Bin", "Grpc-Timeout", "X-Hop", "If-None-Match", "Range", "Tracestate", "Traceparent", "Baggage", "Link", "Set-Cookie", "Etag", "Te", "Keep-Alive")
			h[http.CanonicalHeaderKey(key)] = append(h[http.CanonicalHeaderKey(key)], strings.Trim(text("ab ,;=\"\t\xc3\xbc%/()", r.IntN(30)), " \t"))
		}
		if h["Traceparent"] != nil {
			h["Traceparent"] = []string{traced}
		} else {
			delete(h, "Tracestate") // nothing without the other
		}
		for _, one := range []string{"User-Agent", "Content-Type", "Te"} {
			if v := h[one]; len(v) > 1 {
				h[one] = v[:1]
			}
		}
		if h["Content-Type"] != nil {
			h["Content-Type"] = []string{"text/plain; a=b"}
		}
		if r.IntN(8) == 0 {
			h["Connection"] = []string{"X-Hop"}
		}
		return h
	}
	body := func() []byte {
		b := make([]byte, []int{0, 0, 1, 10, 4095, 4097, 70_000}[r.IntN(7)])
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	trailer := func() http.Header {
		return http.Header{"X-Sum": {text("abc", 5)}, "X-Last": {"1", "2"}}
	}
	s := shot{
		Verb: pick("GET", "GET", "POST", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE"), Header: header(),
		Status:      []int{200, 200, 200, 201, 204, 206, 301, 304, 400, 404, 418, 429, 500, 503, 599}[r.IntN(15)],
		ReplyHeader: header(), Reply: body(), ReplyChunked: r.IntN(2) == 0,
	}
	for range r.IntN(4) {
		s.Path += "/" + pick("a", "method", "%20", "%C3%BC", "a;b=(1)", "!*'@:,&$+", "x%22%3C%3E", "~._-", "%5B%5D", "v1.0")
	}
	if s.Path == "" {
		s.Path = "/"
	}
	s.Query = pick("", "", "x", "a=1&b=%20&a=2;&&", "q=%C3%BC+/?:@", "%zz=%", "=")
	if s.Verb != "GET" && s.Verb != "HEAD" && s.Verb != "TRACE" && r.IntN(3) > 0 {
		s.Body, s.Chunked = body(), r.IntN(2) == 0
		if s.Chunked && len(s.Body) > 0 && r.IntN(2) == 0 {
			s.Trailer = trailer()
		}
	}
	if r.IntN(4) == 0 {
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		_, _ = w.Write(s.Reply)
		_ = w.Close()
		s.Reply = z.Bytes()
		s.ReplyHeader["Content-Encoding"] = []string{"gzip"}
	}
	if s.ReplyChunked && s.Status == 200 && s.Verb != "HEAD" && r.IntN(2) == 0 {
		s.ReplyTrailer = trailer()
	}
	return s
}

// smaller gives shots that lack one thing that s has.
func (s shot) smaller() (all []shot) {
	with := func(change func(*shot)) {
		next := s
		next.Header, next.ReplyHeader = maps.Clone(s.Header), maps.Clone(s.ReplyHeader)
		change(&next)
		if !reflect.DeepEqual(next, s) {
			all = append(all, next)
		}
	}
	for key := range s.Header {
		with(func(n *shot) { delete(n.Header, key) })
	}
	for key := range s.ReplyHeader {
		with(func(n *shot) { delete(n.ReplyHeader, key) })
	}
	with(func(n *shot) { n.Trailer = nil })
	with(func(n *shot) { n.ReplyTrailer = nil })
	with(func(n *shot) { n.Body = n.Body[:len(n.Body)/2] })
	with(func(n *shot) { n.Reply = n.Reply[:len(n.Reply)/2] })
	with(func(n *shot) { n.Chunked, n.Trailer = false, nil })
	with(func(n *shot) { n.ReplyChunked, n.ReplyTrailer = false, nil })
	with(func(n *shot) { n.Path = "/" })
	with(func(n *shot) { n.Query = "" })
	with(func(n *shot) { n.Status = 200 })
	with(func(n *shot) {
		if n.Body == nil {
			n.Verb = "GET"
		}
	})
	return all
}

// targetRange is an app that answers as it is told and keeps what it was asked.
type targetRange struct {
	mu   sync.Mutex
	next shot
	seen arrived
}

// arrived is what an app, or a client, got.
type arrived struct {
	Line            string
	Header, Trailer http.Header
	Length          int64
	Body            string
	Err             string
}

func (g *targetRange) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	b, err := io.ReadAll(r.Body)
	path, _ := url.PathUnescape(r.URL.EscapedPath())
	g.seen = arrived{Line: r.Method + " " + path + " " + strconv.FormatBool(r.URL.ForceQuery || r.URL.RawQuery != "") + " " + r.URL.RawQuery, Header: r.Header.Clone(), Trailer: r.Trailer, Length: r.ContentLength, Body: string(b), Err: fmt.Sprint(err)}
	s := g.next
	h := w.Header()
	for key, values := range s.ReplyHeader {
		if key != "Te" && key != "Keep-Alive" && key != "Connection" {
			h[key] = values
		}
	}
	h["Date"] = []string{"Thu, 01 Jan 1970 00:00:00 GMT"}
	bodiless := s.Status == http.StatusNoContent || s.Status == http.StatusNotModified
	if !s.ReplyChunked && !bodiless {
		h["Content-Length"] = []string{strconv.Itoa(len(s.Reply))}
	}
	if h["Content-Type"] == nil {
		h["Content-Type"] = nil // net/http guesses none
	}
	w.WriteHeader(s.Status)
	if s.ReplyChunked {
		_ = http.NewResponseController(w).Flush()
	}
	if !bodiless {
		_, _ = w.Write(s.Reply)
	}
	for key, values := range s.ReplyTrailer {
		h[http.TrailerPrefix+key] = values
	}
}

// fire sends a shot and gives what the app and the client got.
func (g *targetRange) fire(t *testing.T, client http.RoundTripper, base, appID string, s shot) (app, back arrived) {
	t.Helper()
	g.mu.Lock()
	g.next, g.seen = s, arrived{}
	g.mu.Unlock()
	target := base + s.Path
	if s.Query != "" {
		target += "?" + s.Query
	}
	req, err := http.NewRequestWithContext(t.Context(), s.Verb, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = s.Header.Clone()
	if appID != "" {
		req.Header.Set("dapr-app-id", appID)
	}
	if s.Body != nil {
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(s.Body)), int64(len(s.Body))
		if len(s.Body) == 0 {
			req.Body = http.NoBody
		}
	}
	if s.Chunked {
		req.ContentLength = -1
		req.Body = io.NopCloser(io.MultiReader(bytes.NewReader(s.Body[:len(s.Body)/2]), bytes.NewReader(s.Body[len(s.Body)/2:])))
		req.Trailer = s.Trailer.Clone()
	}
	res, err := client.RoundTrip(req)
	if err != nil {
		return arrived{}, arrived{Err: err.Error()}
	}
	b, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.seen, arrived{Line: strconv.Itoa(res.StatusCode), Header: res.Header, Trailer: res.Trailer, Length: res.ContentLength, Body: string(b), Err: fmt.Sprint(err)}
}

// expected turns what a direct call gives into what one through the mesh has to
// give, by the rules that docs/invocation.md has; got is made comparable.
func expected(direct, got *arrived, request, streams bool) {
	if request {
		h := http.Header{}
		for key, values := range direct.Header {
			if name, ok := stream.RequestToApp(key); ok && !slices.Contains(direct.Header["Connection"], key) {
				h[name] = values
			}
		}
		for _, key := range []string{"Dapr-Caller-App-Id", "Dapr-Callee-App-Id", "Dapr-Caller-Namespace", "X-Forwarded-For", "X-Forwarded-Host", "Forwarded"} {
			delete(got.Header, key)
		}
		if h["Traceparent"] == nil {
			delete(got.Header, "Traceparent")
		}
		direct.Header = h
		delete(got.Header, "Content-Length")
		delete(got.Header, "Trailer")
	}
	if len(direct.Trailer) == 0 {
		direct.Trailer, got.Trailer = nil, noneIfEmpty(got.Trailer)
	}
	if direct.Length < 0 && (direct.Body == "" || !streams) {
		direct.Length, got.Length = 0, 0 // what is empty, or whole, has a length
		delete(got.Header, "Content-Length")
		delete(direct.Header, "Content-Length")
	}
}

func noneIfEmpty(h http.Header) http.Header {
	if len(h) == 0 {
		return nil
	}
	return h
}

// differs gives how the way through a mesh differs from none, "" when it does not.
func (g *targetRange) differs(t *testing.T, m *mesh, client http.RoundTripper, app string, s shot) string {
	t.Helper()
	wantApp, wantBack := g.fire(t, client, app, "", s)
	if wantApp.Line == "" || wantBack.Err != "<nil>" {
		t.Fatalf("the direct call fails: %+v %v", s, wantBack)
	}
	gotApp, gotBack := g.fire(t, client, strings.TrimSuffix(m.url("", ""), "/v1.0/invoke//method/"), "back", s)
	expected(&wantApp, &gotApp, true, m.streams())
	expected(&wantBack, &gotBack, false, m.streams())
	for _, d := range []struct {
		who       string
		want, got arrived
	}{{"the app", wantApp, gotApp}, {"the client", wantBack, gotBack}} {
		if !reflect.DeepEqual(d.want, d.got) {
			return fmt.Sprintf("%s gets\n  %.600q\nand through the mesh\n  %.600q", d.who, fmt.Sprint(d.want), fmt.Sprint(d.got))
		}
	}
	return ""
}

// TestAsIfDirect fires generated requests at an app, directly and through a mesh,
// and compares what arrives at both ends. MESH_SEED and MESH_SHOTS choose others,
// and more of them.
func TestAsIfDirect(t *testing.T) {
	seed, shots := uint64(1), 400
	if n, err := strconv.ParseUint(os.Getenv("MESH_SEED"), 10, 64); err == nil {
		seed = n
	}
	if n, err := strconv.Atoi(os.Getenv("MESH_SHOTS")); err == nil {
		shots = n
	}
	eachTransport(t, func(t *testing.T, m *mesh) { asIfDirect(t, m, "http", seed, shots) })
	for _, protocol := range []string{"h2c", "https"} {
		t.Run(protocol, func(t *testing.T) { asIfDirect(t, newMesh(t, stream.Auto), protocol, seed, shots/4) })
	}
}

// asIfDirect does so with an app that speaks a protocol.
func asIfDirect(t *testing.T, m *mesh, protocol string, seed uint64, shots int) {
	t.Helper()
	g := &targetRange{}
	srv := httptest.NewUnstartedServer(g)
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetHTTP1(true)
	srv.Config.Protocols.SetUnencryptedHTTP2(protocol == "h2c")
	srv.Config.Protocols.SetHTTP2(protocol == "https")
	if srv.EnableHTTP2 = protocol == "https"; srv.EnableHTTP2 {
		srv.StartTLS()
	} else {
		srv.Start()
	}
	t.Cleanup(srv.Close)
	m.sidecar(Options{AppID: "back", App: appchan.Options{Addr: srv.Listener.Addr().String(), Protocol: protocol, MaxHeld: 10, Hold: patience}})
	client := &http.Transport{DisableCompression: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // of a test
	defer client.CloseIdleConnections()
	r := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // to be the same each time
	for i := range shots {
		s := random(r)
		if protocol != "http" {
			delete(s.Header, "Cookie") // HTTP/2 takes it apart at each semicolon
			if s.Status == http.StatusNotModified {
				delete(s.ReplyHeader, "Content-Type") // net/http sends it over HTTP/2 only
			}
		}
		why := g.differs(t, m, client, srv.URL, s)
		if why == "" {
			continue
		}
		for again := true; again; { // as small as it still differs
			again = false
			for _, next := range s.smaller() {
				if w := g.differs(t, m, client, srv.URL, next); w != "" {
					s, why, again = next, w, true
					break
				}
			}
		}
		t.Fatalf("seed %d, shot %d: %.900s\n%s", seed, i, fmt.Sprintf("%+v", s), why)
	}
}
