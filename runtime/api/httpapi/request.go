package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"

	"mesh/runtime/api"
)

// blockRoute finds the operation of a building block that a request asks for;
// nil when it asks for none.
func blockRoute(version, block string, r *http.Request) func(s *Server, w http.ResponseWriter, r *http.Request) {
	path, ok := pathBelow(r.URL)
	if !ok {
		return nil
	}
	switch {
	case version == "v1.0" && block == "state":
		return stateRoute(r.Method, path)
	case block == "publish" && (version == "v1.0" || path[0] == "bulk"):
		return publishRoute(r.Method, path)
	}
	if serve := otherRoute(version, block, r.Method, path); serve != nil {
		return serve
	}
	if version == "v1.0-alpha1" && block == "state" && len(path) == 2 && path[1] == "query" && writes(r.Method) {
		return func(s *Server, w http.ResponseWriter, r *http.Request) { s.queryState(w, r, path[0]) }
	}
	return nil
}

// writes says whether the verb is one with which Dapr's API is asked to do
// something.
func writes(method string) bool { return method == http.MethodPost || method == http.MethodPut }

// pathBelow gives the unescaped segments of a path below /version/block.
// Repeated slashes count as one.
func pathBelow(u *url.URL) (path []string, ok bool) {
	skip := 2
	for part := range strings.SplitSeq(u.EscapedPath(), "/") {
		if part == "" {
			continue
		}
		if skip > 0 {
			skip--
			continue
		}
		name, err := url.PathUnescape(part)
		if err != nil {
			return nil, false
		}
		path = append(path, name)
	}
	return path, len(path) > 0
}

// readBody reads a request's body; when it cannot, it has answered.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.blockLimit()))
	if err != nil {
		s.answer(w, nil, bodyError(err))
		return nil, false
	}
	return b, true
}

// readJSON reads a request's body as JSON; when it cannot, it has answered.
func (s *Server) readJSON(w http.ResponseWriter, r *http.Request, v any) bool {
	b, ok := s.readBody(w, r)
	if !ok {
		return false
	}
	if err := json.Unmarshal(b, v); err != nil {
		s.answer(w, nil, api.Wrap(api.ErrMalformedRequest, err, "failed deserializing HTTP body: %v", jsonMistake(err)))
		return false
	}
	return true
}

// jsonMistake says what is wrong with JSON without a word of our types.
func jsonMistake(err error) error {
	e, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return err
	}
	at := "it"
	if e.Field != "" {
		at = e.Field
	}
	want := map[reflect.Kind]string{
		reflect.Slice: "a list", reflect.Map: "an object", reflect.Struct: "an object", reflect.Bool: "true or false", reflect.String: "a string",
	}[e.Type.Kind()]
	if want == "" {
		want = "a number"
	}
	return fmt.Errorf("%s is a JSON %s at byte %d, but should be %s", at, e.Value, e.Offset, want)
}
