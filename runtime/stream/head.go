package stream

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	commonv1 "github.com/dapr/dapr/pkg/proto/common/v1"
	internalsv1 "github.com/dapr/dapr/pkg/proto/internals/v1"
	"golang.org/x/net/http/httpguts"
	"google.golang.org/protobuf/encoding/protowire"

	"mesh/runtime/flow"
)

// wireKey gives a header's key on the wire: canonical, as Dapr's peers send
// them, but for the names that they look up in lower case.
func wireKey(key string) string {
	switch key {
	case HeaderCaller:
		return "dapr-caller-app-id"
	case HeaderCallee:
		return "dapr-callee-app-id"
	case HeaderCallerNamespace:
		return "dapr-caller-namespace"
	case HeaderDestination:
		return "destination-app-id"
	}
	return key
}

// fieldset collects headers off the wire.
type fieldset struct {
	h      http.Header
	length int64    // Content-Length, which is not kept in h; -1: none
	values []string // room for the values that come alone, as nearly all do
}

func newFieldset(size int) *fieldset {
	n := size/40 + 4 // a guess at how many there are
	return &fieldset{h: make(http.Header, n), length: -1, values: make([]string, 0, n)}
}

// add takes a header in. What could not have come over HTTP is an error: it
// would mean something else once it is written to an app.
func (s *fieldset) add(key, value string) error {
	if name := strings.TrimPrefix(key, ":"); !httpguts.ValidHeaderFieldName(name) {
		return fmt.Errorf("%q is not the name of a header", key)
	}
	key = http.CanonicalHeaderKey(key)
	if key == "Content-Length" {
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || n < 0 || value[0] == '+' || (s.length >= 0 && n != s.length) {
			return fmt.Errorf("%q is not a valid Content-Length", value)
		}
		s.length = n
		return nil
	}
	if !strings.HasSuffix(key, "-Bin") && !httpguts.ValidHeaderFieldValue(value) {
		return fmt.Errorf("%q is not a value for the header %s", value, key)
	}
	if old, ok := s.h[key]; ok {
		s.h[key] = append(old, value)
		return nil
	}
	if len(s.values) == cap(s.values) {
		s.h[key] = []string{value}
		return nil
	}
	n := len(s.values)
	s.values = append(s.values, value)
	s.h[key] = s.values[n : n+1 : n+1]
	return nil
}

// The fields of InternalInvokeRequest and what it holds.
const (
	reqVer      = 1
	reqMetadata = 2
	reqMessage  = 3

	msgMethod      = 1
	msgData        = 2
	msgContentType = 3
	msgExtension   = 4

	extVerb  = 1
	extQuery = 2

	anyType  = 1
	anyValue = 2
)

// requestHead gives the InternalInvokeRequest of a call, after headRoom bytes.
func requestHead(c *Call) []byte {
	verb, ok := commonv1.HTTPExtension_Verb_value[c.Verb]
	if !ok {
		verb = int32(commonv1.HTTPExtension_POST)
	}
	contentType := ""
	if v := c.Header["Content-Type"]; len(v) > 0 {
		contentType = v[0]
	}
	ext := 2 + sizeOfText(c.Query)
	msg := sizeOfText(c.Path) + sizeOfType(c.Type) + sizeOfText(contentType) + sizeOf(ext)

	b := make([]byte, headRoom, headRoom+roomFor(c.Header)+stampRoom+sizeOf(msg)+48)
	b = protowire.AppendVarint(protowire.AppendTag(b, reqVer, protowire.VarintType), uint64(internalsv1.APIVersion_V1))
	for key, values := range c.Headers {
		b = appendHeader(b, reqMetadata, key, values)
	}
	switch {
	case c.Body == nil:
		b = appendEntry(b, reqMetadata, "Content-Length", "0")
	case c.Length >= 0:
		b = appendEntry(b, reqMetadata, "Content-Length", strconv.FormatInt(c.Length, 10))
	case len(c.Header) == 0 && c.stamp == nil: // a peer refuses a head whose metadata is empty
		b = appendEntry(b, reqMetadata, "destination-app-id", c.AppID)
	}
	b = appendLen(b, reqMessage, msg)
	b = appendText(b, msgMethod, c.Path)
	b = appendType(b, msgData, c.Type)
	b = appendText(b, msgContentType, contentType)
	b = appendLen(b, msgExtension, ext)
	b = append(protowire.AppendTag(b, extVerb, protowire.VarintType), byte(verb))
	return appendOurs(appendText(b, extQuery, c.Query), c)
}

// appendType appends a google.protobuf.Any of that type whose value follows in
// frames, or nothing.
func appendType(b []byte, num protowire.Number, typ string) []byte {
	if typ == "" {
		return b
	}
	return appendText(appendLen(b, num, sizeOfText(typ)), anyType, typ)
}

func sizeOfType(typ string) int {
	if typ == "" {
		return 0
	}
	return sizeOf(sizeOfText(typ))
}

// request is an InternalInvokeRequest.
type request struct {
	ver      uint64
	metadata *fieldset // nil: none
	message  bool
	ext      bool
	verb     uint64

	method, contentType, query string

	typ     string // of the protobuf message in the body
	data    []byte // of a unary call; part of what was decoded
	trailer []byte // encoded; nil: none

	upgrade   string // "": none
	announced []string
	informs   bool    // the caller wants to know of informational replies
	expects   bool    // and that its body is wanted
	flow      flow.ID // 0: none
}

// decode reads a head, or the message of a unary call. Only data and trailer
// refer to b afterwards.
func (r *request) decode(b []byte, text string) error {
	return eachField(b, text, func(f field) error {
		switch {
		case f.isNumber(reqVer):
			r.ver = f.v
		case f.is(reqMetadata):
			if r.metadata == nil {
				r.metadata = newFieldset(len(b))
			}
			return entry(f, r.metadata.add)
		case f.is(reqMessage):
			r.message = true
			return eachField(f.b, f.s, r.decodeMessage)
		case f.is(trailerField):
			r.trailer = f.b
		case f.is(upgradeField):
			r.upgrade = f.text()
		case f.is(announcedField):
			r.announced = append(r.announced, f.text())
		case f.isNumber(informsField):
			r.informs = f.v != 0
		case f.isNumber(flowField):
			r.flow = flow.ID(f.v)
		case f.isNumber(expectsField):
			r.expects = f.v != 0
		}
		return nil
	})
}

func (r *request) decodeMessage(f field) error {
	switch {
	case f.is(msgMethod):
		r.method = f.text()
	case f.is(msgContentType):
		r.contentType = f.text()
	case f.is(msgData):
		return eachField(f.b, f.s, func(f field) error {
			switch {
			case f.is(anyType):
				r.typ = f.text()
			case f.is(anyValue):
				r.data = f.b
			}
			return nil
		})
	case f.is(msgExtension):
		r.ext = true
		return eachField(f.b, f.s, func(f field) error {
			switch {
			case f.isNumber(extVerb):
				r.verb = f.v
			case f.is(extQuery):
				r.query = f.text()
			}
			return nil
		})
	}
	return nil
}

// errHead is what a peer is told when the head of its call lacks something.
var errHead = errors.New("request does not contain the required fields in the leading chunk")

// call gives the call of a head. The body and AppID are not set; Length is.
func (r *request) call() (*Call, error) {
	if r.metadata == nil || !r.message {
		return nil, errHead
	}
	if r.ver != uint64(internalsv1.APIVersion_V1) {
		return nil, fmt.Errorf("Unsupported spec version: %d", r.ver) //nolint:staticcheck // Dapr's words
	}
	verb := commonv1.HTTPExtension_Verb(int32(r.verb)) //nolint:gosec // as protobuf reads an enum
	name, ok := commonv1.HTTPExtension_Verb_name[int32(verb)]
	switch {
	case !r.ext:
		return nil, errors.New("missing HTTP extension field")
	case !ok, verb == commonv1.HTTPExtension_NONE, verb == commonv1.HTTPExtension_CONNECT:
		return nil, errors.New("invalid HTTP verb")
	}
	path, err := CleanPath(r.method)
	if err != nil {
		return nil, err
	}
	h := r.metadata.h
	StripHopByHop(h)
	if err := setContentType(h, r.contentType); err != nil {
		return nil, err
	}
	return &Call{Verb: name, Path: path, Query: r.query, Header: h, Length: r.metadata.length, Type: r.typ, Upgrade: r.upgrade, Announced: Announce(r.announced)}, nil
}

func setContentType(h http.Header, contentType string) error {
	switch {
	case contentType == "":
		delete(h, "Content-Type")
	case !httpguts.ValidHeaderFieldValue(contentType):
		return fmt.Errorf("%q is not a content type", contentType)
	case len(h["Content-Type"]) != 1 || h["Content-Type"][0] != contentType:
		h["Content-Type"] = []string{contentType}
	}
	return nil
}
