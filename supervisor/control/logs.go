package control

import (
	"bytes"
	"context"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"mesh/supervisor/logs"
	"mesh/supervisor/state"
)

// logLine is a line of output on the wire. JSON has no bytes that are not
// UTF-8, so such a line also carries them as they were.
type logLine struct {
	state.Line
	Raw []byte `json:"raw,omitempty"`
}

// lostLines stands in a stream of lines where some are missing because the
// reader was slower than the apps.
type lostLines struct {
	Lost uint64 `json:"lost"`
}

// logs answers with lines of output as NDJSON, and with ?follow goes on with
// those to come.
func (s *Server) logs(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	after, bad := number(r, "after", 0)
	limit, alsoBad := number(r, "limit", defaultLines)
	if bad == nil {
		bad = alsoBad
	}
	apps := q["app"]
	apps = slices.DeleteFunc(apps, func(a string) bool { return a == "" })
	for _, a := range apps {
		if bad == nil {
			bad = Known(s.o.Mesh.State(), a)
		}
	}
	if bad != nil {
		fail(w, bad)
		return
	}
	out := newFeed(w)
	following, ended := after > 0, false
	n := int(min(limit, math.MaxInt32))
	for {
		lines := s.o.Logs.Lines("", after, math.MaxInt32)
		if len(lines) > 0 {
			// Lines are numbered without gaps: what is missing was overwritten.
			last := lines[len(lines)-1].Seq
			if lost := last - after - uint64(len(lines)); following && lost > 0 {
				if out.send(lostLines{Lost: lost}) != nil {
					return
				}
			}
			after = last
		}
		lines = of(lines, apps)
		for _, l := range lines[max(0, len(lines)-n):] {
			if out.send(onWire(l)) != nil {
				return
			}
		}
		if out.flush() != nil || !q.Has("follow") || ended {
			return
		}
		following, n = true, math.MaxInt32
		ended = s.o.Logs.Wait(r.Context(), after) != nil // then look once more, for whoever is still there
	}
}

// maxMark is the most, in bytes, of the text of a mark.
const maxMark = 1 << 10

// mark writes the text in the request between the lines of all apps, and answers
// with the line.
func (s *Server) mark(w http.ResponseWriter, r *http.Request) {
	const what = "marking the output"
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMark))
	switch {
	case err != nil:
		fail(w, badRequest(what, "reading the text, of at most %d bytes: %v", maxMark, err))
	case len(bytes.TrimSpace(text)) == 0 || !utf8.Valid(text) || bytes.ContainsFunc(text, unicode.IsControl):
		fail(w, badRequest(what, "the text of a mark is one line of UTF-8 without control characters"))
	default:
		s.answer(w, s.o.Logs.Mark(string(text)))
	}
}

// Mark writes a line of the user's own between those of all apps.
func (c *Client) Mark(ctx context.Context, text string) error {
	resp, err := c.send(ctx, http.MethodPost, "/v1/logs/mark", nil, strings.NewReader(text))
	if err != nil {
		return err
	}
	return drain(resp)
}

// of gives the lines of some apps and instances, of all when none are named.
// Marks are among all of them.
func of(lines []state.Line, apps []string) []state.Line {
	if len(apps) == 0 {
		return lines
	}
	var some []state.Line
	for _, l := range lines {
		if l.Stream == logs.StreamMark || slices.Contains(apps, l.App) || slices.Contains(apps, l.Instance) {
			some = append(some, l)
		}
	}
	return some
}

func onWire(l state.Line) logLine {
	if utf8.ValidString(l.Text) {
		return logLine{Line: l}
	}
	return logLine{Line: l, Raw: []byte(l.Text)}
}
