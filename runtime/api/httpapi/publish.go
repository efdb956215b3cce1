package httpapi

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"mesh/runtime/api"
)

// publishRoute finds the operation that a path below /v1.0/publish asks for.
// The topic is all that follows the broker, slashes included.
func publishRoute(method string, path []string) func(s *Server, w http.ResponseWriter, r *http.Request) {
	if !writes(method) {
		return nil
	}
	bulk := path[0] == "bulk" && len(path) > 1
	if bulk {
		path = path[1:]
	}
	p := api.Publish{PubSub: path[0], Topic: strings.Join(path[1:], "/")}
	if bulk {
		return func(s *Server, w http.ResponseWriter, r *http.Request) { s.publishAll(w, r, p) }
	}
	return func(s *Server, w http.ResponseWriter, r *http.Request) { s.publish(w, r, p) }
}

func (s *Server) publish(w http.ResponseWriter, r *http.Request, p api.Publish) {
	var ok bool
	if p.Data, ok = s.readBody(w, r); !ok {
		return
	}
	p.ContentType, p.Metadata = r.Header.Get("Content-Type"), queryMetadata(r)
	s.trace(r, &p)
	s.answer(w, nil, s.o.API.Publish(r.Context(), p))
}

func (s *Server) publishAll(w http.ResponseWriter, r *http.Request, p api.Publish) {
	var reqs []struct {
		EntryID     string            `json:"entryId"`
		Event       json.RawMessage   `json:"event"`
		ContentType string            `json:"contentType"`
		Metadata    map[string]string `json:"metadata"`
	}
	if err := s.o.API.MayPublish(p.PubSub, p.Topic); err != nil {
		s.answer(w, nil, err)
		return
	}
	body, ok := s.readBody(w, r)
	if !ok {
		return
	}
	if err := json.Unmarshal(body, &reqs); err != nil {
		s.answer(w, nil, s.o.API.UnreadableEvents(p, jsonMistake(err)))
		return
	}
	entries := make([]api.Entry, len(reqs))
	for i, q := range reqs {
		data, err := eventData(q.Event, q.ContentType)
		if err != nil {
			s.answer(w, nil, s.o.API.UnfitEvent(p, fmt.Errorf("the event %s does not fit its contentType %s: %w", q.EntryID, q.ContentType, jsonMistake(err))))
			return
		}
		entries[i] = api.Entry{ID: q.EntryID, Data: data, ContentType: q.ContentType, Metadata: q.Metadata}
	}
	p.Metadata = queryMetadata(r)
	s.trace(r, &p)
	failed, err := s.o.API.PublishAll(r.Context(), p, entries)
	if len(failed) == 0 {
		s.answer(w, nil, err)
		return
	}
	type entry struct {
		ID    string `json:"entryId"`
		Error string `json:"error"`
	}
	e := api.AsError(err)
	res := struct {
		Failed []entry  `json:"failedEntries"`
		Code   api.Code `json:"errorCode"`
	}{Code: e.Code}
	for _, f := range failed {
		res.Failed = append(res.Failed, entry{f.ID, f.Err.Error()})
	}
	b, err := json.Marshal(res)
	if err != nil {
		s.answer(w, nil, err)
		return
	}
	writeJSON(w, e.HTTPStatus(), b)
}

// trace gives what is published the trace context of the request; one begins
// when it has none.
func (s *Server) trace(r *http.Request, p *api.Publish) {
	p.TraceParent, p.TraceState = s.o.Sampler.Continue(r.Header.Get("Traceparent")), r.Header.Get("Tracestate")
}

// eventData gives the bytes of an event in a bulk: JSON stays JSON, text is
// what a string says, and bytes come in base64.
func eventData(event json.RawMessage, contentType string) ([]byte, error) {
	if strings.Contains(contentType, "json") {
		return event, nil
	}
	var text string
	if err := json.Unmarshal(event, &text); err != nil {
		return nil, err
	}
	if strings.HasPrefix(contentType, "application/octet-stream") {
		return base64.StdEncoding.DecodeString(text)
	}
	return []byte(text), nil
}
