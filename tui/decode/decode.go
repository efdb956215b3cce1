// Package decode shows bytes of a stream to people: as text, as JSON, as
// server-sent events, as gRPC messages, or as numbers.
//
// What it gives are short lines without control characters, whatever the bytes
// are, and never more of them than asked for. It knows no schema: the fields of
// a message are shown by their numbers.
package decode

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Form is a way to show bytes.
type Form int

// The forms. Auto chooses among the others.
const (
	Auto Form = iota
	Text
	JSON
	SSE
	GRPC
	Hex
	Forms // how many there are
)

// String gives the name of the form.
func (f Form) String() string {
	if f < 0 || f >= Forms {
		return "?"
	}
	return [...]string{"auto", "text", "JSON", "events", "gRPC", "hex"}[f]
}

// Guess chooses a form for bytes. contentType is what the headers say, or "";
// kind is that of the flow.
func Guess(contentType, kind string, b []byte) Form {
	media, _, _ := strings.Cut(strings.ToLower(contentType), ";")
	media = strings.TrimSpace(media)
	switch {
	case strings.HasPrefix(media, "application/grpc"), kind == "grpc" && isFrames(b):
		return GRPC
	case media == "text/event-stream":
		return SSE
	case !printable(b):
		return Hex
	case looksJSON(b):
		return JSON
	case looksEvents(b):
		return SSE
	}
	return Text
}

// isFrames says whether bytes begin with the prefix of a gRPC message that is
// here in whole.
func isFrames(b []byte) bool {
	n, _, ok := frame(b)
	return ok && len(b) >= prefix+n
}

// looksJSON says whether all of it is JSON, one value or several.
func looksJSON(b []byte) bool {
	t := bytes.TrimSpace(b)
	if len(t) == 0 || t[0] != '{' && t[0] != '[' && t[0] != '"' {
		return false
	}
	for d := json.NewDecoder(bytes.NewReader(t)); ; {
		var v json.RawMessage
		if d.Decode(&v) != nil {
			return d.InputOffset() == int64(len(t))
		}
	}
}

// looksEvents says whether the first line is that of a server-sent event.
func looksEvents(b []byte) bool {
	for _, field := range []string{"data:", "event:", "id:", "retry:", ": "} {
		if bytes.HasPrefix(b, []byte(field)) {
			return bytes.IndexByte(b, '\n') >= 0
		}
	}
	return false
}

// printable says whether bytes are text, but for a character that is cut off at
// either end.
func printable(b []byte) bool {
	for i := 0; i < 3 && len(b) > 0 && !utf8.RuneStart(b[0]); i++ {
		b = b[1:]
	}
	odd := 0
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			return len(b) < utf8.UTFMax && !utf8.FullRune(b)
		}
		if r == 0 || r < ' ' && r != '\n' && r != '\r' && r != '\t' && r != 0x1b {
			odd++
		}
		b = b[n:]
	}
	return odd == 0
}

// Lines shows bytes in a form, of which there are at most so many.
func Lines(f Form, b []byte, most int) []string {
	o := &out{most: most}
	switch f {
	case JSON:
		o.json(b)
	case SSE:
		o.events(b)
	case GRPC:
		o.frames(b)
	case Hex:
		o.hex(b)
	case Auto, Text, Forms:
		o.text("", b)
	}
	return o.lines
}

// out collects lines.
type out struct {
	lines []string
	most  int
}

// full says that no more lines are wanted.
func (o *out) full() bool { return len(o.lines) >= o.most }

// longest is how many bytes of a line are shown.
const longest = 4096

// add adds one line; what no terminal should see is replaced.
func (o *out) add(indent string, b []byte) {
	if o.full() {
		return
	}
	rest := ""
	if len(b) > longest {
		b, rest = b[:longest], "…"
	}
	o.lines = append(o.lines, indent+Clean(string(b))+rest)
}

// text adds bytes line by line.
func (o *out) text(indent string, b []byte) {
	for !o.full() && len(b) > 0 {
		var line []byte
		line, b = cutLine(b)
		o.add(indent, line)
	}
}

// cutLine gives the first line of b, without what ends it, and what follows.
func cutLine(b []byte) (line, rest []byte) {
	line, rest, _ = bytes.Cut(b, []byte{'\n'})
	return bytes.TrimSuffix(line, []byte{'\r'}), rest
}

// Clean makes a text safe to show: control characters are replaced by their
// pictures, tabs by spaces, and bytes that are no UTF-8 by their numbers.
func Clean(s string) string {
	clean := true
	for _, r := range s {
		if r < ' ' || r == utf8.RuneError || !unicode.IsPrint(r) {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			b.WriteString(`\x` + string(digits[s[0]>>4]) + string(digits[s[0]&15]))
		case r == '\t':
			b.WriteString("    ")
		case r < ' ':
			b.WriteRune('␀' + r)
		case r == 0x7f:
			b.WriteRune('␡')
		case !unicode.IsPrint(r):
			b.WriteRune('�')
		default:
			b.WriteRune(r)
		}
		s = s[n:]
	}
	return b.String()
}

const digits = "0123456789abcdef"

// json adds JSON values, indented; from where it is none, it is text.
func (o *out) json(b []byte) {
	d := json.NewDecoder(bytes.NewReader(b))
	for !o.full() {
		from := d.InputOffset()
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			o.text("", bytes.TrimSpace(b[from:]))
			return
		}
		o.value("", v)
	}
}

// value adds one JSON value.
func (o *out) value(indent string, v []byte) {
	var b bytes.Buffer
	if json.Indent(&b, v, "", "  ") != nil {
		o.text(indent, v)
		return
	}
	o.text(indent, b.Bytes())
}

// events adds server-sent events: their fields, and data that is JSON indented.
func (o *out) events(b []byte) {
	fresh := false
	for !o.full() && len(b) > 0 {
		var line []byte
		line, b = cutLine(b)
		if len(line) == 0 {
			fresh = len(o.lines) > 0
			continue
		}
		if fresh { // a line between two events
			o.add("", nil)
			fresh = false
		}
		if data, ok := bytes.CutPrefix(line, []byte("data:")); ok {
			if data = bytes.TrimSpace(data); looksJSON(data) {
				o.add("", []byte("data:"))
				o.value("  ", data)
				continue
			}
		}
		o.add("", line)
	}
}

// hex adds sixteen bytes in each line.
func (o *out) hex(b []byte) {
	for off := 0; off < len(b) && !o.full(); off += 16 {
		row := b[off:min(len(b), off+16)]
		var s strings.Builder
		for shift := 12; shift >= 0; shift -= 4 {
			s.WriteByte(digits[off>>shift&15])
		}
		s.WriteByte(' ')
		for i := range 16 {
			if i == 8 {
				s.WriteByte(' ')
			}
			if i < len(row) {
				s.WriteByte(' ')
				s.WriteByte(digits[row[i]>>4])
				s.WriteByte(digits[row[i]&15])
			} else {
				s.WriteString("   ")
			}
		}
		s.WriteString("  ")
		for _, c := range row {
			if c < ' ' || c > '~' {
				c = '.'
			}
			s.WriteByte(c)
		}
		o.lines = append(o.lines, s.String())
	}
}
