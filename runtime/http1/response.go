package http1

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"mesh/runtime/field"
)

// mode is how a reply's body is written.
type mode uint8

const (
	undecided  mode = iota // the head has not been made yet
	noBody                 // nothing follows the head
	fixed                  // left bytes follow
	chunked                // chunks follow
	untilClose             // the end of the connection is that of the body
)

// discardMax is the most that is read of a body that nobody wants, so that the
// connection can be used again.
const discardMax = 256 << 10

// Response writes the reply to one request. What was written goes out with the
// next flush, or when the buffer is full, together with the head. One goroutine
// uses it. It, the request and the request's headers serve the next request of
// the connection when this one has been served: none of them may be kept.
type Response struct {
	c    *conn
	req  http.Request
	vals []string // the values of the headers lie here
	url  url.URL
	body Body

	header     http.Header
	status     int
	mode       mode
	left       int64   // of a fixed body
	mem        *[]byte // what buf was, from the pool; nil: none is held
	buf        []byte  // not sent yet; while undecided a body without a head
	closeAfter bool    // the connection ends with this reply
	keepOld    bool    // an HTTP/1.0 client asked to go on
	err        error   // of a write; sticky

	inform  func(status int, h http.Header) // Inform, made once
	interim sync.Mutex                      // held while something is sent before the head
	begun   bool                            // the head has been made; under interim
}

// Header implements http.ResponseWriter.
func (r *Response) Header() http.Header {
	if r.header == nil {
		r.header = make(http.Header)
	}
	return r.header
}

// CloseAfter makes this reply the last of its connection.
func (r *Response) CloseAfter() { r.closeAfter = true }

// WriteHeader implements http.ResponseWriter. A status below 200 is sent at
// once, with the headers set so far.
func (r *Response) WriteHeader(status int) {
	switch {
	case r.status != 0 || r.mode != undecided:
	case status >= 200:
		r.status = status
	default:
		r.Inform(status, r.header)
	}
}

// Inform sends an informational reply, such as 103, unless the head of the
// reply has been made.
func (r *Response) Inform(status int, h http.Header) {
	r.interim.Lock()
	defer r.interim.Unlock()
	if r.begun || r.req.ProtoMinor == 0 || r.err != nil {
		return
	}
	b := appendStatus(nil, status)
	for key, values := range h {
		b = appendFields(b, key, values)
	}
	_, r.err = r.c.nc.Write(append(b, "\r\n"...))
}

// Informer gives Inform as a function, which is the same for all requests of the
// connection.
func (r *Response) Informer() func(status int, h http.Header) { return r.inform }

// sayContinue tells the client to send the body.
func (r *Response) sayContinue() {
	r.interim.Lock()
	defer r.interim.Unlock()
	if !r.begun {
		_, _ = io.WriteString(r.c.nc, "HTTP/1.1 100 Continue\r\n\r\n") // a failure shows in the next read
	}
}

// Reply begins the reply with headers that are only read, never changed or
// kept. length is that of the body; -1: unknown. For a reply without a body it
// is what the header says. The body is written with Write, ReadFrom and Flush.
func (r *Response) Reply(status int, h http.Header, length int64) {
	if r.mode == undecided {
		r.status = status
		r.begin(h, length)
	}
}

// Switch replies with 101 and makes the connection a tunnel: what is written is
// sent as it is, and the Body that it gives reads what the client sends, up to
// its end. The connection ends with the request.
func (r *Response) Switch(protocol string, h http.Header) (*Body, error) {
	if r.mode != undecided {
		return nil, errors.New("switching protocols after the reply has begun")
	}
	r.hold()
	b := appendStatus(r.buf, http.StatusSwitchingProtocols)
	b = append(b, "Connection: Upgrade\r\n"...)
	b = appendFields(b, "Upgrade", []string{protocol})
	for key, values := range h {
		b = appendFields(b, key, values)
	}
	r.buf = append(b, "\r\n"...)
	r.status, r.mode, r.closeAfter = http.StatusSwitchingProtocols, untilClose, true
	r.c.tunnel.Store(true)
	r.body.state, r.body.remain, r.body.tunnel = bodyData, math.MaxInt64, true
	return &r.body, r.FlushError()
}

// begin makes the head.
func (r *Response) begin(h http.Header, length int64) {
	r.interim.Lock()
	r.begun = true
	r.interim.Unlock()
	pending := r.buf
	mem := r.mem
	r.mem = r.c.s.buffer()
	b := appendStatus((*r.mem)[:0], r.status)
	for key, values := range h {
		switch {
		case key == "Content-Length", key == "Connection", key == "Transfer-Encoding", strings.HasPrefix(key, http.TrailerPrefix):
		default:
			b = appendFields(b, key, values)
		}
	}
	if _, ok := h["Date"]; !ok {
		b = append(b, "Date: "...)
		b = time.Now().UTC().AppendFormat(b, http.TimeFormat)
		b = append(b, "\r\n"...)
	}
	if v := h["Connection"]; len(v) > 0 && strings.EqualFold(v[0], "close") || r.c.s.stopping.Load() {
		r.closeAfter = true
	}
	b = r.decide(b, length)
	switch {
	case r.closeAfter:
		b = append(b, "Connection: close\r\n"...)
	case r.keepOld:
		b = append(b, "Connection: keep-alive\r\n"...)
	}
	r.buf = append(b, "\r\n"...)
	if len(pending) > 0 {
		_, _ = r.Write(pending) // an error stays
	}
	if mem != nil {
		r.c.s.buffers.Put(mem)
	}
}

// decide finds out how the body is written and says so in the head.
func (r *Response) decide(b []byte, length int64) []byte {
	switch {
	case r.status == http.StatusNoContent || r.status < 200:
		r.mode = noBody
		return b
	case r.req.Method == http.MethodHead || r.status == http.StatusNotModified:
		r.mode = noBody
	case length >= 0:
		r.mode, r.left = fixed, length
	case r.req.ProtoMinor == 0:
		r.mode, r.closeAfter = untilClose, true
		return b
	default:
		r.mode = chunked
		return append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	if length >= 0 {
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, length, 10)
		b = append(b, "\r\n"...)
	}
	return b
}

// Flush implements http.Flusher.
func (r *Response) Flush() { _ = r.FlushError() } // the error stays

// EnableFullDuplex is for http.ResponseController: it is always so.
func (*Response) EnableFullDuplex() error { return nil }

// SetReadDeadline is for http.ResponseController.
func (r *Response) SetReadDeadline(t time.Time) error { return r.c.nc.SetReadDeadline(t) }

// SetWriteDeadline is for http.ResponseController.
func (r *Response) SetWriteDeadline(t time.Time) error { return r.c.nc.SetWriteDeadline(t) }

// finish ends the reply and says whether the connection may carry another request.
func (r *Response) finish() bool {
	if r.mode == undecided {
		if r.status == 0 {
			r.status = http.StatusOK
		}
		length := int64(len(r.buf))
		if n := r.announced(); n >= 0 && r.req.Method == http.MethodHead {
			length = n
		}
		r.guess(r.buf)
		r.begin(r.header, length)
	}
	if r.mode == chunked && r.err == nil {
		r.hold()
		r.buf = append(r.buf, "0\r\n"...)
		for key, values := range r.header {
			if name, ok := strings.CutPrefix(key, http.TrailerPrefix); ok {
				r.buf = appendFields(r.buf, name, values)
			}
		}
		r.buf = append(r.buf, "\r\n"...)
	}
	if r.FlushError() != nil || r.mode == fixed && r.left > 0 {
		return false
	}
	if r.c.over.Load() {
		r.c.linger()
		return false
	}
	if !r.body.done() {
		_ = r.SetReadDeadline(time.Now().Add(lingerTime)) // a failure shows in the next read
		if r.body.err != nil || !r.body.discard(discardMax) {
			r.c.linger()
			return false
		}
		_ = r.SetReadDeadline(time.Time{})
	}
	if r.closeAfter && r.c.nc.Pending() > 0 {
		r.c.linger()
	}
	return !r.closeAfter
}

func appendStatus(b []byte, status int) []byte {
	if status == http.StatusOK {
		return append(b, "HTTP/1.1 200 OK\r\n"...)
	}
	text := http.StatusText(status)
	if text == "" {
		text = fmt.Sprintf("status code %d", status)
	}
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	b = append(b, text...)
	return append(b, "\r\n"...)
}

// appendFields appends a header. What would not be one is left out: it may come
// from gRPC metadata, which nobody has checked.
func appendFields(b []byte, name string, values []string) []byte {
	if len(values) == 0 || !field.IsToken(name) {
		return b
	}
	b = slices.Grow(b, len(name)+len(values[0])+4)
	for _, v := range values {
		if !field.IsValue(v) {
			continue
		}
		b = append(b, name...)
		b = append(b, ": "...)
		b = append(b, v...)
		b = append(b, "\r\n"...)
	}
	return b
}
