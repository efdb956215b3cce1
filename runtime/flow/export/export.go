// Package export writes recorded flows in forms that other tools read: as HAR
// 1.2 for browsers and debugging proxies, as NDJSON for scripts, and as a
// command line of curl.
//
// What was not captured is left out and said so: the forms are complete only as
// far as the capture of bodies was on. Secrets have been taken out of headers
// before they came here.
package export

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"mesh/runtime/flow"
	"mesh/runtime/flow/filter"
)

// Source gives what is recorded of flows; *flow.Recorder is one.
type Source interface {
	Detail(id string, after flow.Cursor) (flow.Detail, bool)
	Body(id string, d flow.Dir, from, to uint64) (flow.Body, bool)
}

// Record is all that is known of one flow.
type Record struct {
	flow.Detail
	Request, Reply flow.Body
	Base           string // URL of the sidecar that took the call, such as http://127.0.0.1:3500; "": not known
}

// Read collects what is known of a flow; ok is false when it is not remembered.
func Read(from Source, id, base string) (r Record, ok bool) {
	if r.Detail, ok = from.Detail(id, flow.Cursor{}); !ok {
		return r, false
	}
	r.Request, _ = from.Body(id, flow.Request, 0, 1<<62)
	r.Reply, _ = from.Body(id, flow.Reply, 0, 1<<62)
	r.Base = strings.TrimSuffix(base, "/")
	return r, true
}

// URL gives the URL by which an app makes this call through its sidecar.
func (r *Record) URL() string {
	base := r.Base
	if base == "" {
		base = "http://127.0.0.1:3500" // where Dapr's sidecars listen unless told otherwise
	}
	u := base + "/v1.0/invoke/" + r.Callee + "/method/" + strings.TrimPrefix(escapePath(r.Path), "/")
	if r.Request.Query != "" {
		u += "?" + r.Request.Query
	}
	return u
}

// escapePath escapes what a path in a URL cannot hold.
func escapePath(p string) string {
	var b strings.Builder
	for i := range len(p) {
		c := p[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~!$&'()*+,;=:@/", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// body gives the captured bytes of a direction one after the other, and what
// is to be said of those that are missing; "" when none are.
func (r *Record) body(d flow.Dir) (data []byte, missing string) {
	b := &r.Request
	if d == flow.Reply {
		b = &r.Reply
	}
	total := filter.Bytes(&r.View, d)
	if whole, ok := b.Whole(total); ok {
		return whole, ""
	}
	for _, p := range b.Parts {
		data = append(data, p.Data...)
	}
	switch {
	case b.Limit == 0:
		return data, fmt.Sprintf("the %d bytes of the %v were not captured", total, d)
	case b.Shed:
		return data, fmt.Sprintf("the %d bytes of the %v were given up for newer ones", total, d)
	}
	return data, fmt.Sprintf("%d of the %d bytes of the %v were captured", len(data), total, d)
}

// Line is one line of NDJSON: first one about the flow, then one for each chunk
// at each hop in the order of time, with its bytes where they were captured.
type Line struct {
	Event  string              `json:"event"` // flow or chunk
	At     time.Time           `json:"at"`
	Flow   string              `json:"flow"`
	About  *flow.View          `json:"about,omitempty"`   // of a flow
	Header map[string][]string `json:"request,omitempty"` // headers of the request, of a flow
	Answer map[string][]string `json:"reply,omitempty"`   // headers of the reply, of a flow
	Dir    string              `json:"dir,omitempty"`
	Hop    string              `json:"hop,omitempty"`
	N      *uint64             `json:"n,omitempty"`
	Off    *uint64             `json:"off,omitempty"` // bytes of the direction before the chunk
	Size   int                 `json:"size,omitempty"`
	Text   string              `json:"text,omitempty"` // the bytes when they are UTF-8
	Data   []byte              `json:"data,omitempty"` // in base64 when they are not
}

// NDJSON writes a flow as lines of JSON.
func NDJSON(w io.Writer, r *Record) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	lines := []Line{{Event: "flow", At: r.Begun, Flow: r.ID, About: &r.View, Header: r.Request.Header, Answer: r.Reply.Header}}
	for i := range r.Marks {
		lines = append(lines, r.chunks(&r.Marks[i])...)
	}
	slices.SortStableFunc(lines, func(a, b Line) int { return a.At.Compare(b.At) })
	for i := range lines {
		if err := enc.Encode(&lines[i]); err != nil {
			return fmt.Errorf("writing NDJSON: %w", err)
		}
	}
	return nil
}

// chunks gives the lines of one hop. Its marks are the latest ones, so their
// places in the stream are counted back from its end.
func (r *Record) chunks(m *flow.LaneMarks) (lines []Line) {
	body := &r.Request
	if m.Dir == flow.Reply {
		body = &r.Reply
	}
	v, _ := r.Lane(m.Dir, m.Hop)
	off := v.Bytes
	for _, k := range m.Marks {
		if k.N < v.Chunks {
			off -= min(off, uint64(k.Size)) //nolint:gosec // sizes are not negative
		}
	}
	for _, k := range m.Marks {
		at := off
		l := Line{Event: "chunk", At: r.Begun.Add(k.At), Flow: r.ID, Dir: m.Dir.String(), Hop: m.Hop.String(), N: &k.N, Off: &at, Size: k.Size}
		if data, ok := Slice(body, at, k.Size); ok {
			if utf8.Valid(data) {
				l.Text = string(data)
			} else {
				l.Data = data
			}
		}
		off += uint64(k.Size) //nolint:gosec // as above
		lines = append(lines, l)
	}
	return lines
}

// Slice gives n bytes of a body from an offset on, if they were all captured.
func Slice(b *flow.Body, off uint64, n int) ([]byte, bool) {
	for _, p := range b.Parts {
		if end := p.Off + uint64(len(p.Data)); n >= 0 && p.Off <= off && off+uint64(n) <= end {
			return p.Data[off-p.Off:][:n], true
		}
	}
	return nil, false
}
