package export

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"mesh/runtime/flow"
	"mesh/runtime/flow/filter"
)

// The parts of a HAR, version 1.2. Names that begin with an underscore are our
// own; readers ignore those that they do not know.
type (
	harFile struct {
		Log harLog `json:"log"`
	}
	harLog struct {
		Version string     `json:"version"`
		Creator harCreator `json:"creator"`
		Entries []harEntry `json:"entries"`
	}
	harCreator struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	}
	harEntry struct {
		Started  string      `json:"startedDateTime"`
		Time     float64     `json:"time"` // milliseconds, as all times
		Request  harRequest  `json:"request"`
		Response harResponse `json:"response"`
		Cache    struct{}    `json:"cache"`
		Timings  harTimings  `json:"timings"`
		Comment  string      `json:"comment,omitempty"`
		Flow     string      `json:"_flow"`
		From     string      `json:"_from"`
		To       string      `json:"_to"`
		Via      string      `json:"_transport,omitempty"`
		Chunks   []harChunk  `json:"_chunks,omitempty"`
	}
	harRequest struct {
		Method      string    `json:"method"`
		URL         string    `json:"url"`
		Version     string    `json:"httpVersion"`
		Cookies     []harPair `json:"cookies"`
		Headers     []harPair `json:"headers"`
		Query       []harPair `json:"queryString"`
		Post        *harPost  `json:"postData,omitempty"`
		HeadersSize int       `json:"headersSize"`
		BodySize    int64     `json:"bodySize"`
	}
	harPost struct {
		Type     string    `json:"mimeType"`
		Params   []harPair `json:"params"`
		Text     string    `json:"text"`
		Comment  string    `json:"comment,omitempty"`
		Encoding string    `json:"_encoding,omitempty"`
	}
	harResponse struct {
		Status      int        `json:"status"`
		StatusText  string     `json:"statusText"`
		Version     string     `json:"httpVersion"`
		Cookies     []harPair  `json:"cookies"`
		Headers     []harPair  `json:"headers"`
		Content     harContent `json:"content"`
		Redirect    string     `json:"redirectURL"`
		HeadersSize int        `json:"headersSize"`
		BodySize    int64      `json:"bodySize"`
		Error       string     `json:"_error,omitempty"`
	}
	harContent struct {
		Size     int64  `json:"size"`
		Type     string `json:"mimeType"`
		Text     string `json:"text,omitempty"`
		Encoding string `json:"encoding,omitempty"`
		Comment  string `json:"comment,omitempty"`
	}
	harPair struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	harTimings struct {
		Blocked float64 `json:"blocked"`
		Send    float64 `json:"send"`
		Wait    float64 `json:"wait"`
		Receive float64 `json:"receive"`
	}
	harChunk struct {
		Dir  string  `json:"dir"`
		Hop  string  `json:"hop"`
		At   float64 `json:"at"` // since the call began
		Size int     `json:"size"`
	}
)

// HAR writes flows as one HTTP archive, version 1.2. version is that of mesh.
func HAR(w io.Writer, version string, records ...Record) error {
	file := harFile{harLog{Version: "1.2", Creator: harCreator{"mesh", version}, Entries: []harEntry{}}}
	for i := range records {
		file.Log.Entries = append(file.Log.Entries, entry(&records[i]))
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(file); err != nil {
		return fmt.Errorf("writing HAR: %w", err)
	}
	return nil
}

func entry(r *Record) harEntry {
	e := harEntry{
		Started: r.Begun.Format("2006-01-02T15:04:05.000Z07:00"), Time: millis(r.Age), Timings: timings(&r.View),
		Flow: r.ID, From: filter.Caller(&r.View), To: filter.Callee(&r.View), Via: r.Transport,
	}
	var notes []string
	e.Request, notes = request(r, notes)
	e.Response, notes = response(r, notes)
	if r.Live {
		notes = append(notes, "it was still under way")
	}
	e.Comment = strings.Join(notes, "; ")
	for i := range r.Marks {
		m := &r.Marks[i]
		for _, k := range m.Marks {
			e.Chunks = append(e.Chunks, harChunk{m.Dir.String(), m.Hop.String(), millis(k.At), k.Size})
		}
	}
	slices.SortStableFunc(e.Chunks, func(a, b harChunk) int {
		switch {
		case a.At < b.At:
			return -1
		case a.At > b.At:
			return 1
		}
		return 0
	})
	return e
}

func request(r *Record, notes []string) (harRequest, []string) {
	q := harRequest{
		Method: r.Verb, URL: r.URL(), Version: "HTTP/1.1", Cookies: []harPair{}, Headers: pairs(r.Request.Header), Query: []harPair{},
		HeadersSize: -1, BodySize: size(filter.Bytes(&r.View, flow.Request)),
	}
	if values, err := url.ParseQuery(r.Request.Query); err == nil {
		q.Query = pairs(values)
	}
	data, missing := r.body(flow.Request)
	if missing != "" {
		notes = append(notes, missing)
	}
	if len(data) > 0 {
		text, encoding := encoded(data)
		q.Post = &harPost{Type: r.Request.Header.Get("Content-Type"), Params: []harPair{}, Text: text, Encoding: encoding, Comment: missing}
	}
	return q, notes
}

func response(r *Record, notes []string) (harResponse, []string) {
	n := size(filter.Bytes(&r.View, flow.Reply))
	a := harResponse{
		Status: r.Status, StatusText: http.StatusText(r.Status), Version: "HTTP/1.1", Cookies: []harPair{}, Headers: pairs(r.Reply.Header),
		HeadersSize: -1, BodySize: n, Error: r.Err, Content: harContent{Size: n, Type: r.Reply.Header.Get("Content-Type")},
		Redirect: r.Reply.Header.Get("Location"),
	}
	if a.Content.Type == "" {
		a.Content.Type = "x-unknown"
	}
	data, missing := r.body(flow.Reply)
	if missing != "" {
		notes = append(notes, missing)
	}
	a.Content.Comment = missing
	a.Content.Text, a.Content.Encoding = encoded(data)
	return a, notes
}

// timings splits the time of a call so that the parts make up the whole.
func timings(v *flow.View) harTimings {
	first, _ := filter.TTFB(v)
	first = min(first, v.Age)
	held := min(v.Held, first)
	sent := held
	for i := range v.Lanes {
		if l := &v.Lanes[i]; l.Dir == flow.Request {
			sent = max(sent, l.Last)
		}
	}
	sent = min(sent, first)
	return harTimings{Blocked: millis(held), Send: millis(sent - held), Wait: millis(first - sent), Receive: millis(v.Age - first)}
}

// encoded gives bytes as JSON can hold them.
func encoded(data []byte) (text, encoding string) {
	if utf8.Valid(data) {
		return string(data), ""
	}
	return base64.StdEncoding.EncodeToString(data), "base64"
}

// pairs lists the values of a header or a query by name.
func pairs(h map[string][]string) []harPair {
	list := []harPair{}
	for _, key := range slices.Sorted(maps.Keys(h)) {
		for _, v := range h[key] {
			list = append(list, harPair{key, v})
		}
	}
	return list
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }

func size(n uint64) int64 { return int64(min(n, math.MaxInt64)) }
