package appchan

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"

	"mesh/runtime/stream"
)

// framing is how the end of a reply's body is found.
type framing uint8

const (
	noBody     framing = iota
	fixed              // after a number of bytes
	chunked            // after the last chunk
	untilClose         // when the app closes the connection
)

// head is the head of a reply as the app sent it.
type head struct {
	status  int
	header  http.Header // without hop-by-hop headers
	framing framing
	length  int64 // as announced; -1: unknown
	reuse   bool  // the connection may carry another call
}

// headEnd gives the length of the head that b begins with, the empty line
// included, or 0 when b does not hold all of it. from is where to begin to look.
func headEnd(b []byte, from int) int {
	for {
		i := bytes.IndexByte(b[from:], '\n')
		if i < 0 {
			return 0
		}
		from += i + 1
		switch rest := b[from:]; {
		case len(rest) > 0 && rest[0] == '\n':
			return from + 1
		case len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n':
			return from + 2
		}
	}
}

// parseHead reads a complete reply head. verb is the request's: a reply to HEAD
// has no body. What could be understood in two ways is an error.
func parseHead(b []byte, verb string) (*head, error) {
	// One string holds all names and values, one slice all value lists.
	text := string(b)
	line, text := cutLine(text)
	h := &head{length: -1}
	minor, err := h.parseStatus(line)
	if err != nil {
		return nil, err
	}
	n := strings.Count(text, "\n")
	h.header = make(http.Header, n)
	values := make([]string, 0, n)
	for {
		line, text = cutLine(text)
		if line == "" {
			break
		}
		key, value, err := parseField(line)
		if err != nil {
			return nil, err
		}
		if old, ok := h.header[key]; ok {
			h.header[key] = append(old, value)
			continue
		}
		values = append(values, value)
		h.header[key] = values[len(values)-1 : len(values) : len(values)]
	}
	h.reuse = minor == 1
	for _, list := range h.header["Connection"] {
		for token := range strings.SplitSeq(list, ",") {
			switch token = textproto.TrimString(token); {
			case strings.EqualFold(token, "close"):
				h.reuse = false
			case minor == 0 && strings.EqualFold(token, "keep-alive"):
				h.reuse = true
			}
		}
	}
	if err := h.parseFraming(verb, minor); err != nil {
		return nil, err
	}
	stream.StripHopByHop(h.header)
	return h, nil
}

// cutLine cuts the first line off, without its line break.
func cutLine(s string) (line, rest string) {
	line, rest, _ = strings.Cut(s, "\n")
	return strings.TrimSuffix(line, "\r"), rest
}

func (h *head) parseStatus(line string) (minor int, err error) {
	ok := len(line) >= 12 && (line[:9] == "HTTP/1.1 " || line[:9] == "HTTP/1.0 ") && (len(line) == 12 || line[12] == ' ')
	if ok {
		h.status, err = strconv.Atoi(line[9:12])
		ok = err == nil && h.status >= 100
	}
	if !ok {
		return 0, fmt.Errorf("%q is not the status line of an HTTP/1 reply", shorten(line))
	}
	return int(line[7] - '0'), nil
}

func parseField(line string) (key, value string, err error) {
	if line[0] == ' ' || line[0] == '\t' {
		return "", "", errors.New("a header is continued on a second line, which is obsolete and not supported")
	}
	key, value, ok := strings.Cut(line, ":")
	if !ok || !isToken(key) {
		return "", "", fmt.Errorf("%q is not a header", shorten(line))
	}
	value = textproto.TrimString(value)
	if !isValue(value) {
		return "", "", fmt.Errorf("header %s holds a control character", key)
	}
	return textproto.CanonicalMIMEHeaderKey(key), value, nil
}

// parseFraming finds out how long the body is.
func (h *head) parseFraming(verb string, minor int) error {
	codings, lengths := h.header["Transfer-Encoding"], h.header["Content-Length"]
	for _, s := range lengths {
		if s != lengths[0] {
			return fmt.Errorf("two different content lengths, %q and %q", shorten(lengths[0]), shorten(s))
		}
	}
	if len(lengths) > 0 {
		n, err := strconv.ParseUint(lengths[0], 10, 63)
		if err != nil || lengths[0][0] == '+' {
			return fmt.Errorf("content length %q is not a number", shorten(lengths[0]))
		}
		h.length = int64(n)
		h.header["Content-Length"] = lengths[:1:1]
	}
	if len(codings) > 0 {
		if len(codings) != 1 || !strings.EqualFold(codings[0], "chunked") {
			return fmt.Errorf("transfer encoding %q is not supported", shorten(strings.Join(codings, ", ")))
		}
		if minor == 0 {
			return errors.New("an HTTP/1.0 reply cannot be chunked")
		}
		if len(lengths) > 0 {
			// The coding decides; the length must not reach anyone who
			// might believe it, and the connection is not trusted further.
			h.length, h.reuse = -1, false
			delete(h.header, "Content-Length")
		}
	}
	switch {
	case h.status < 200 || h.status == http.StatusNoContent:
		h.framing, h.length = noBody, 0
		delete(h.header, "Content-Length")
	case h.status == http.StatusNotModified || verb == http.MethodHead:
		h.framing = noBody
	case len(codings) > 0:
		h.framing = chunked
	case len(lengths) > 0:
		h.framing = fixed
	default:
		h.framing, h.reuse = untilClose, false
	}
	return nil
}

// isToken says whether s may be a header's name or a method.
func isToken(s string) bool {
	// A bit for each character: no call for each of every name of every header.
	const low, high = 0x3ff6cfa00000000, 0x57ffffffc7fffffe
	for i := range len(s) {
		if c := s[i]; c >= 0x80 || c < 64 && low>>c&1 == 0 || c >= 64 && high>>(c-64)&1 == 0 {
			return false
		}
	}
	return s != ""
}

// isValue says whether s may be a header's value: no control character, above
// all no line break, is in it.
func isValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// shorten keeps an error readable whatever the app sent.
func shorten(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}
