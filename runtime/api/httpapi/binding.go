package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"mesh/runtime/api"
)

// binding asks an output binding to do something. The payload is in the JSON
// that Dapr defines or, when the query names the operation, it is the body
// itself, of any size. Either way the answer is passed on while it comes.
func (s *Server) binding(w http.ResponseWriter, r *http.Request, name string) {
	operation, in := r.URL.Query().Get("operation"), api.Stream{Metadata: queryMetadata(r)}
	plain := operation != ""
	var passing invocation // of the request's body
	if plain {
		passing.takeBody(w, r)
		in.Size, in.ContentType = r.ContentLength, r.Header.Get("Content-Type")
		if passing.call.Body != nil {
			in.Body = io.NopCloser(passing.call.Body)
		}
	} else {
		var ok bool
		if operation, ok = s.readBinding(w, r, &in); !ok {
			return
		}
	}
	if in.Metadata == nil {
		in.Metadata = map[string]string{}
	}
	for _, key := range []string{"Traceparent", "Tracestate"} {
		if v := r.Header.Get(key); v != "" {
			in.Metadata[key] = v
		}
	}
	answer, err := s.o.API.StreamBinding(r.Context(), name, operation, in)
	for k, v := range answer.Metadata {
		w.Header().Set("metadata."+k, v)
	}
	if err != nil {
		passing.endBody(w)
		s.answer(w, nil, err)
		return
	}
	defer func() {
		passing.endBody(w)      // before the binding waits for its reader
		_ = answer.Body.Close() // all has come, or err says that it has not
		if err != nil {
			panic(http.ErrAbortHandler) // nobody may take what came for the whole answer
		}
	}()
	if passing.call.Body != nil && passing.body.unread() {
		passing.endBody(w) // nobody wants it; the head of the answer says what that means for the connection
		passing.call.Body = nil
	}
	err = s.passAnswer(w, answer, plain)
}

// readBinding reads the JSON of a request to a binding; when it cannot, it has
// answered.
func (s *Server) readBinding(w http.ResponseWriter, r *http.Request, in *api.Stream) (operation string, ok bool) {
	var req struct {
		Operation string            `json:"operation"`
		Data      json.RawMessage   `json:"data"`
		Metadata  map[string]string `json:"metadata"`
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.blockLimit()))
	if err != nil {
		e := bodyError(err)
		if e.HTTP == http.StatusRequestEntityTooLarge {
			e.Message += "; with ?operation=… in the query the body is the payload itself and may be of any size"
		}
		s.answer(w, nil, e)
		return "", false
	}
	if err := json.Unmarshal(body, &req); err != nil {
		s.answer(w, nil, api.Wrap(api.ErrMalformedRequest, err, "failed deserializing HTTP body: %v", jsonMistake(err)))
		return "", false
	}
	data := []byte(req.Data)
	var text string
	if len(data) > 0 && data[0] == '"' && json.Unmarshal(data, &text) == nil {
		data = []byte(text) // the text itself, without its quotes
	}
	in.Again = func() io.ReadCloser { return io.NopCloser(bytes.NewReader(data)) }
	in.Body, in.Size, in.Decode = in.Again(), int64(len(data)), true
	in.Metadata = merge(in.Metadata, req.Metadata)
	return req.Operation, true
}

// passAnswer writes the answer of a binding. An error means that the client must
// not take what it got for the whole.
func (s *Server) passAnswer(w http.ResponseWriter, answer api.Stream, plain bool) error {
	h := w.Header()
	var first [512]byte
	n, err := io.ReadAtLeast(answer.Body, first[:], 1)
	if n == 0 && errors.Is(err, io.EOF) {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	if err != nil {
		s.answer(w, nil, api.Wrap(api.ErrInvokeOutputBinding, err, "reading the answer of the binding: %v", err))
		return nil
	}
	contentType := answer.ContentType
	switch {
	case contentType != "":
	case plain:
		contentType = "application/octet-stream"
	default:
		contentType = "application/json" // as Dapr says of all
	}
	h.Set("Content-Type", contentType)
	if answer.Size >= 0 {
		h.Set("Content-Length", strconv.FormatInt(answer.Size, 10))
	}
	w.WriteHeader(http.StatusOK)
	var k sink
	k.init(w, nil, answer.Size)
	if err := s.buffers.copy(&k, io.MultiReader(bytes.NewReader(first[:n]), answer.Body)); err != nil {
		return err
	}
	if k.left > 0 {
		return fmt.Errorf("the answer ended %d bytes early: %w", k.left, io.ErrUnexpectedEOF)
	}
	return nil
}
