package http1

import (
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"mesh/runtime/field"
)

// refusal says why a request is not served.
type refusal struct {
	status int
	why    string
}

func (r *refusal) Error() string { return r.why }

func refused(status int, format string, args ...any) error {
	return &refusal{status: status, why: fmt.Sprintf(format, args...)}
}

func malformed(format string, args ...any) error {
	return refused(http.StatusBadRequest, format, args...)
}

// parse makes the request from its head. with carries what all requests of the
// connection have in common.
func (r *Response) parse(b []byte, with *http.Request) error {
	// One string holds all names and values, one slice all value lists.
	line, text, ok := strings.Cut(string(b), "\r\n")
	if !ok {
		return malformed("the request line does not end with CR LF")
	}
	q := &r.req
	header := q.Header
	*q = *with
	q.Header = header
	if err := r.parseLine(line); err != nil {
		return err
	}
	if err := r.parseFields(text); err != nil {
		return err
	}
	if err := r.parseFraming(); err != nil {
		return err
	}
	r.parseConnection()
	if expect, ok := q.Header["Expect"]; ok && q.ProtoMinor == 1 {
		if len(expect) != 1 || !strings.EqualFold(expect[0], "100-continue") {
			return refused(http.StatusExpectationFailed, "nothing but 100-continue can be expected")
		}
		r.body.response = r
	}
	return nil
}

func (r *Response) parseLine(line string) error {
	method, rest, ok := strings.Cut(line, " ")
	target, proto, ok2 := strings.Cut(rest, " ")
	if !ok || !ok2 || !field.IsToken(method) {
		return malformed("%q is not a request line", field.Shorten(line))
	}
	q := &r.req
	switch proto {
	case "HTTP/1.1":
		q.ProtoMinor = 1
	case "HTTP/1.0":
	default:
		if len(proto) == 8 && strings.HasPrefix(proto, "HTTP/") && proto[6] == '.' {
			return refused(http.StatusHTTPVersionNotSupported, "%q is not a version of HTTP that is spoken here", proto)
		}
		return malformed("%q is not a request line", field.Shorten(line))
	}
	q.Method, q.RequestURI, q.Proto, q.ProtoMajor = method, target, proto, 1
	if plainTarget(target) {
		r.url.Path, r.url.RawQuery, ok = strings.Cut(target, "?")
		r.url.ForceQuery = ok && r.url.RawQuery == ""
		q.URL = &r.url
		return nil
	}
	authority := method == http.MethodConnect && !strings.HasPrefix(target, "/")
	if authority {
		target = "http://" + target
	}
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return malformed("%q is not a request target", field.Shorten(target))
	}
	if authority {
		u.Scheme = ""
	}
	q.URL = u
	return nil
}

// plainTarget says whether a target is a path, and perhaps a query, in which
// nothing is escaped or needs to be looked at more closely.
func plainTarget(s string) bool {
	if s == "" || s[0] != '/' {
		return false
	}
	query := false
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("/-._~$&+,;=:@", c) >= 0:
		case c == '?':
			query = true
		case query && c > ' ' && c < 0x7f && c != '#':
		default:
			return false
		}
	}
	return true
}

// parseFields reads header lines up to an empty one, which must be the last,
// into the map and the slice of the request before, if there are any.
func (r *Response) parseFields(text string) error {
	n := strings.Count(text, "\n")
	if r.req.Header == nil {
		r.req.Header = make(http.Header, n)
	}
	header, values := r.req.Header, slices.Grow(r.vals, n)
	for hosts := 0; ; {
		line, rest, ok := strings.Cut(text, "\r\n")
		if !ok {
			return malformed("a header line does not end with CR LF")
		}
		if text = rest; line == "" {
			r.vals = values
			return r.checkHost(hosts)
		}
		key, value, err := parseField(line)
		if err != nil {
			return err
		}
		if key == "Host" {
			r.req.Host = value
			hosts++
			continue
		}
		if old, ok := header[key]; ok {
			header[key] = append(old, value)
			continue
		}
		values = append(values, value)
		header[key] = values[len(values)-1 : len(values) : len(values)]
	}
}

func parseField(line string) (key, value string, err error) {
	if key, value, err = field.Parse(line); err != nil {
		return "", "", malformed("%v", err)
	}
	return key, value, nil
}

// checkHost looks at what the request says it is for, in so many headers.
func (r *Response) checkHost(headers int) error {
	q := &r.req
	if headers > 1 || headers == 0 && q.ProtoMinor == 1 {
		return malformed("a request has one Host header, this one has %d", headers)
	}
	if strings.ContainsAny(q.Host, " \t\"<>\\^`{|}/?#") {
		return malformed("%q is not a host", field.Shorten(q.Host))
	}
	if q.URL.Host != "" {
		q.Host = q.URL.Host
	}
	return nil
}

// parseFraming finds out how long the body is.
func (r *Response) parseFraming() error {
	q := &r.req
	codings, lengths := q.Header["Transfer-Encoding"], q.Header["Content-Length"]
	if len(lengths) > 0 {
		n, err := field.Length(lengths)
		if err != nil {
			return malformed("%v", err)
		}
		q.ContentLength = n
		q.Header["Content-Length"] = lengths[:1:1]
	}
	if codings != nil {
		switch {
		case q.ProtoMinor == 0:
			return malformed("an HTTP/1.0 request cannot be chunked")
		case len(codings) != 1 || !strings.EqualFold(codings[0], "chunked"):
			return refused(http.StatusNotImplemented, "transfer encoding %q is not supported", field.Shorten(strings.Join(codings, ", ")))
		case len(lengths) > 0:
			// The coding decides; the length must not reach anyone who
			// might believe it, and the connection is not trusted further.
			r.closeAfter = true
			delete(q.Header, "Content-Length")
		}
		delete(q.Header, "Transfer-Encoding")
		q.TransferEncoding = codings
		q.ContentLength = -1
	}
	if q.ContentLength == 0 {
		r.body.state = bodyDone
		q.Body = http.NoBody
		return nil
	}
	r.body.state, r.body.remain = bodyData, q.ContentLength
	if q.ContentLength < 0 {
		r.body.state, r.body.chunked, r.body.remain = chunkSize, true, 0
	}
	r.body.trailer = &q.Trailer
	q.Body = &r.body
	return nil
}

// parseConnection finds out whether the connection may carry another request.
func (r *Response) parseConnection() {
	old := r.req.ProtoMinor == 0
	r.closeAfter = r.closeAfter || old
	for _, list := range r.req.Header["Connection"] {
		for token := range strings.SplitSeq(list, ",") {
			switch token = textproto.TrimString(token); {
			case strings.EqualFold(token, "close"):
				r.closeAfter, r.req.Close = true, true
			case old && strings.EqualFold(token, "keep-alive") && !r.req.Close:
				r.closeAfter, r.keepOld = false, true
			}
		}
	}
}
