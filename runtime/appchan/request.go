package appchan

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"mesh/runtime/field"
	"mesh/runtime/stream"
)

// appendHead appends the head of the request for c: what the app is to see and
// nothing that could be taken for the end of it. Headers and names may come
// from gRPC metadata, which nobody has checked for line breaks.
func (a *App) appendHead(b []byte, c *stream.Call) ([]byte, error) {
	if !field.IsToken(c.Verb) {
		return nil, fmt.Errorf("%q is not an HTTP method", field.Shorten(c.Verb))
	}
	b = append(b, c.Verb...)
	b = append(b, ' ')
	b, err := appendPath(b, c.Path)
	if err != nil {
		return nil, err
	}
	if c.Query != "" {
		if err := checkQuery(c.Query); err != nil {
			return nil, err
		}
		b = append(b, '?')
		b = append(b, c.Query...)
	}
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, a.o.Addr...)
	b = append(b, "\r\n"...)
	for key, values := range c.Headers {
		name, ok := stream.RequestToApp(key)
		if !ok || (key == tokenHeader && a.o.Token != "") {
			continue
		}
		if !field.IsToken(name) {
			return nil, fmt.Errorf("%q is not the name of a header", field.Shorten(name))
		}
		for _, v := range values {
			if !field.IsValue(v) {
				return nil, fmt.Errorf("header %s holds a line break or another control character", name)
			}
			b = appendField(b, name, v)
		}
	}
	if a.o.Token != "" {
		b = appendField(b, tokenHeader, a.o.Token)
	}
	if c.Upgrade != "" {
		if !field.IsValue(c.Upgrade) {
			return nil, errors.New("the name of the protocol to speak holds a control character")
		}
		b = append(b, "Connection: Upgrade\r\n"...)
		b = appendField(b, "Upgrade", c.Upgrade)
	}
	if len(c.Announced) > 0 && c.Body != nil && c.Length < 0 {
		b = appendField(b, "Trailer", strings.Join(c.Announced, ", "))
	}
	switch {
	case c.Body == nil && !expectsBody(c.Verb):
	case c.Body == nil:
		b = append(b, "Content-Length: 0\r\n"...)
	case c.Length >= 0:
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, c.Length, 10)
		b = append(b, "\r\n"...)
	default:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	return append(b, "\r\n"...), nil
}

const tokenHeader = "Dapr-Api-Token"

func appendField(b []byte, name, value string) []byte {
	b = append(b, name...)
	b = append(b, ": "...)
	b = append(b, value...)
	return append(b, "\r\n"...)
}

// expectsBody says whether a request without a body says so.
func expectsBody(verb string) bool {
	return verb == http.MethodPost || verb == http.MethodPut || verb == http.MethodPatch
}

// appendPath appends the path as it stands in a request line. What is allowed
// there stays as it is, and so does what is an escape already, as in Dapr; the
// rest is percent-encoded. A percent sign that escapes nothing is an error.
func appendPath(b []byte, path string) ([]byte, error) {
	const hex = "0123456789ABCDEF"
	b = append(b, '/')
	for i := range len(path) {
		switch c := path[i]; {
		case pathByte(c):
			b = append(b, c)
		case c != '%':
			b = append(b, '%', hex[c>>4], hex[c&15])
		case i+2 >= len(path) || !hexDigit(path[i+1]) || !hexDigit(path[i+2]):
			return nil, fmt.Errorf("invalid method: invalid URL escape %q", path[i:min(i+3, len(path))])
		default:
			b = append(b, c)
		}
	}
	return b, nil
}

func hexDigit(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func pathByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		strings.IndexByte("/-._~!$&'()*+,;=:@[]", c) >= 0
}

func checkQuery(q string) error {
	for i := range len(q) {
		if c := q[i]; c <= ' ' || c == 0x7f || c == '#' {
			return fmt.Errorf("the query holds %q, which must be percent-encoded", c)
		}
	}
	return nil
}

// target gives the URL for the same request by way of net/http.
func (a *App) target(c *stream.Call) (*url.URL, error) {
	if err := checkQuery(c.Query); err != nil {
		return nil, err
	}
	raw, err := appendPath(nil, c.Path)
	if err != nil {
		return nil, err
	}
	u := &url.URL{Scheme: "http", Host: a.o.Addr, RawPath: string(raw), RawQuery: c.Query}
	if u.Path, err = url.PathUnescape(u.RawPath); err != nil {
		return nil, err
	}
	if a.o.Protocol == "https" {
		u.Scheme = "https"
	}
	return u, nil
}
