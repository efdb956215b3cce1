package httpapi

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"mesh/runtime/api"
)

// maxBlockBody bounds the body of a request to a building block, which unlike
// an invocation's is read whole, when nobody has set a limit.
const maxBlockBody = 4 << 20

// blockLimit is how many bytes the body of such a request may have.
func (s *Server) blockLimit() int64 {
	if n := s.o.Limits.Body(); n > 0 {
		return n
	}
	return maxBlockBody
}

func healthRoute(method, rest string) route {
	first, more := segment(rest)
	switch {
	case method != http.MethodGet || more != "":
	case first == "":
		return route{serve: (*Server).health, open: true, public: true}
	case first == "outbound":
		return route{serve: (*Server).outboundHealth, open: true, public: true}
	}
	return route{serve: (*Server).invoke}
}

func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	s.answer(w, nil, s.o.API.Health(r.URL.Query().Get("appid")))
}

func (s *Server) outboundHealth(w http.ResponseWriter, _ *http.Request) {
	s.answer(w, nil, s.o.API.OutboundHealth())
}

func metadataRoute(method, rest string) route {
	key, more := segment(rest)
	switch {
	case method == http.MethodGet && key == "":
		return route{serve: (*Server).metadata, public: true}
	case method == http.MethodPut && key != "" && more == "":
		return route{serve: (*Server).setMetadata}
	}
	return route{serve: (*Server).invoke}
}

func (s *Server) metadata(w http.ResponseWriter, _ *http.Request) {
	s.answer(w, s.o.API.Metadata(), nil)
}

func (s *Server) setMetadata(w http.ResponseWriter, r *http.Request) {
	value, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.blockLimit()))
	if err != nil {
		s.answer(w, nil, bodyError(err))
		return
	}
	_, rest := segment(r.URL.Path) // past the version
	_, rest = segment(rest)
	key, _ := segment(rest)
	s.answer(w, nil, s.o.API.SetMetadata(key, string(value)))
}

func (s *Server) shutdown(w http.ResponseWriter, r *http.Request) {
	s.answer(w, nil, s.o.API.Shutdown(r.Header.Get("Dapr-Force-Shutdown") == "true"))
}

// bodyError says why a body could not be read.
func bodyError(err error) *api.Error {
	if limit, ok := errors.AsType[*http.MaxBytesError](err); ok {
		e := api.Wrap(api.ErrBodyRead, err, "the request's body is larger than %d bytes (the limit); %s", limit.Limit, api.RaiseLimit)
		e.HTTP = http.StatusRequestEntityTooLarge
		return e
	}
	return api.Wrap(api.ErrBodyRead, err, "reading the request's body: %v", err)
}

// answer writes a building block's answer: 204 for nothing, 200 with JSON, or
// the error in Dapr's form.
func (s *Server) answer(w http.ResponseWriter, v any, err error) {
	switch {
	case err != nil:
		writeError(w, api.AsError(err))
	case v == nil:
		w.WriteHeader(http.StatusNoContent)
	default:
		b, err := json.Marshal(v)
		if err != nil {
			writeError(w, api.Wrap(api.ErrMalformedReply, err, "encoding the answer: %v", err))
			return
		}
		writeJSON(w, http.StatusOK, b)
	}
}

// errorBody is Dapr's form of an error.
type errorBody struct {
	Code    api.Code         `json:"errorCode"`
	Message string           `json:"message"`
	Details []map[string]any `json:"details,omitempty"`
}

// violation is the part of a request that is wrong.
type violation struct {
	Field       string `json:"field,omitempty"`
	Description string `json:"description,omitempty"`
}

// detailOf gives a detail of an error with the keys that Dapr gives it, whether
// they have a value or not.
func detailOf(d api.Detail) map[string]any {
	m := map[string]any{"@type": "type.googleapis.com/google.rpc." + d.Type}
	switch d.Type {
	case "ErrorInfo":
		m["reason"], m["domain"], m["metadata"] = d.Reason, d.Domain, d.Metadata
	case "ResourceInfo":
		m["resource_type"], m["resource_name"], m["owner"], m["description"] = d.ResourceType, d.ResourceName, "", d.Description
	case "BadRequest":
		m["field_violations"] = []violation{{d.Field, d.Description}}
	}
	return m
}

func writeError(w http.ResponseWriter, e *api.Error) {
	if o, ok := w.(*observed); ok {
		o.code = e.Code
	}
	body := errorBody{Code: e.Code, Message: e.Message}
	for _, d := range e.Details {
		body.Details = append(body.Details, detailOf(d))
	}
	b, err := json.Marshal(body)
	if err != nil {
		b = []byte(`{"errorCode":"ERR_INTERNAL"}`)
	}
	writeJSON(w, e.HTTPStatus(), b)
}

func writeJSON(w http.ResponseWriter, status int, b []byte) {
	w.Header()["Content-Type"] = []string{"application/json"}
	w.WriteHeader(status)
	_, _ = w.Write(b) // a client that is gone needs no answer
}
