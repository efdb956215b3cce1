package appchan

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"

	"mesh/runtime/field"
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

// head is the head of a reply as the app sent it. It serves one reply of a
// connection after the other, and so do its map and its slice.
type head struct {
	status  int
	header  http.Header // without hop-by-hop headers
	values  []string    // those of header lie here
	framing framing
	length  int64 // as announced; -1: unknown
	reuse   bool  // the connection may carry another call
}

// keptFields is the most headers for which there is room from reply to reply.
const keptFields = 32

// clear forgets the reply. What there is room for stays, if it is not much.
func (h *head) clear() {
	header, values := h.header, h.values
	if len(header) > keptFields || cap(values) > keptFields {
		header, values = nil, nil
	}
	clear(header)
	clear(values)
	*h = head{header: header, values: values[:0]}
}

// parse reads a complete reply head. verb is the request's: a reply to HEAD
// has no body. What could be understood in two ways is an error.
func (h *head) parse(b []byte, verb string) error {
	// One string holds all names and values, one slice all value lists.
	text := string(b)
	line, text := cutLine(text)
	n := strings.Count(text, "\n")
	if h.clear(); h.header == nil {
		h.header = make(http.Header, n)
	}
	h.values, h.length = slices.Grow(h.values, n), -1
	minor, err := h.parseStatus(line)
	if err != nil {
		return err
	}
	hops := false
	for {
		line, text = cutLine(text)
		if line == "" {
			break
		}
		key, value, err := field.Parse(line)
		if err != nil {
			return err
		}
		hops = hops || stream.HopByHop(key)
		if old, ok := h.header[key]; ok {
			h.header[key] = append(old, value)
			continue
		}
		h.values = append(h.values, value)
		h.header[key] = h.values[len(h.values)-1 : len(h.values) : len(h.values)]
	}
	h.parseConnection(minor)
	if err := h.parseFraming(verb, minor); err != nil {
		return err
	}
	if hops {
		stream.StripHopByHop(h.header)
	}
	return nil
}

// parseConnection finds out whether the connection may carry another call.
func (h *head) parseConnection(minor int) {
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
		return 0, fmt.Errorf("%q is not the status line of an HTTP/1 reply", field.Shorten(line))
	}
	return int(line[7] - '0'), nil
}

// parseFraming finds out how long the body is.
func (h *head) parseFraming(verb string, minor int) error {
	codings, lengths := h.header["Transfer-Encoding"], h.header["Content-Length"]
	if len(lengths) > 0 {
		n, err := field.Length(lengths)
		if err != nil {
			return err
		}
		h.length = n
		h.header["Content-Length"] = lengths[:1:1]
	}
	if len(codings) > 0 {
		if len(codings) != 1 || !strings.EqualFold(codings[0], "chunked") {
			return fmt.Errorf("transfer encoding %q is not supported", field.Shorten(strings.Join(codings, ", ")))
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
