package httpapi

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"mesh/runtime/api"
)

// stateRoute finds the operation that a path below /v1.0/state asks for.
func stateRoute(method string, path []string) func(s *Server, w http.ResponseWriter, r *http.Request) {
	post := method == http.MethodPost || method == http.MethodPut
	switch {
	case len(path) == 1 && post:
		return func(s *Server, w http.ResponseWriter, r *http.Request) { s.saveState(w, r, path[0]) }
	case len(path) == 2 && post && path[1] == "bulk":
		return func(s *Server, w http.ResponseWriter, r *http.Request) { s.bulkState(w, r, path[0]) }
	case len(path) == 2 && post && path[1] == "transaction":
		return func(s *Server, w http.ResponseWriter, r *http.Request) { s.transactState(w, r, path[0]) }
	case len(path) == 2 && method == http.MethodGet:
		return func(s *Server, w http.ResponseWriter, r *http.Request) { s.getState(w, r, path[0], path[1]) }
	case len(path) == 2 && method == http.MethodDelete:
		return func(s *Server, w http.ResponseWriter, r *http.Request) { s.deleteState(w, r, path[0], path[1]) }
	}
	return nil
}

// stateRequest is one key in a request's body.
type stateRequest struct {
	Key         string            `json:"key"`
	Value       json.RawMessage   `json:"value"`
	ETag        *string           `json:"etag"`
	Metadata    map[string]string `json:"metadata"`
	ContentType string            `json:"contentType"`
	Options     struct {
		Concurrency string `json:"concurrency"`
		Consistency string `json:"consistency"`
	} `json:"options"`
}

// put makes a change of it; metadata of the whole request come with it, and win.
func (q *stateRequest) put(metadata map[string]string) api.StatePut {
	p := api.StatePut{
		Key: q.Key, ETag: q.ETag, Concurrency: q.Options.Concurrency, Consistency: q.Options.Consistency,
		ContentType: q.ContentType, Metadata: merge(q.Metadata, metadata),
	}
	p.Value = q.Value // kept as JSON, not as bytes
	if q.Value == nil {
		p.Value = json.RawMessage("null")
	}
	return p
}

func (s *Server) saveState(w http.ResponseWriter, r *http.Request, store string) {
	var reqs []stateRequest
	if !s.readJSON(w, r, &reqs) {
		return
	}
	md := queryMetadata(r)
	puts := make([]api.StatePut, len(reqs))
	for i := range reqs {
		puts[i] = reqs[i].put(md)
	}
	s.answer(w, nil, s.o.API.SaveState(r.Context(), store, puts))
}

func (s *Server) getState(w http.ResponseWriter, r *http.Request, store, key string) {
	item, err := s.o.API.GetState(r.Context(), store, api.StateGet{
		Key: key, Consistency: r.URL.Query().Get("consistency"), Metadata: queryMetadata(r),
	})
	if err != nil {
		s.answer(w, nil, err)
		return
	}
	h := w.Header()
	if item.ETag != nil {
		h.Set("ETag", *item.ETag)
	}
	for k, v := range item.Metadata {
		h["metadata."+k] = []string{v}
	}
	if len(item.Value) == 0 {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	writeJSON(w, http.StatusOK, item.Value)
}

func (s *Server) deleteState(w http.ResponseWriter, r *http.Request, store, key string) {
	q := r.URL.Query()
	p := api.StatePut{Key: key, Concurrency: q.Get("concurrency"), Consistency: q.Get("consistency"), Metadata: queryMetadata(r)}
	if tag := r.Header.Get("If-Match"); tag != "" {
		p.ETag = &tag
	}
	s.answer(w, nil, s.o.API.DeleteState(r.Context(), store, []api.StatePut{p}))
}

// bulkItem is one key in the answer to a request for several.
type bulkItem struct {
	Key      string            `json:"key"`
	Data     json.RawMessage   `json:"data,omitempty"`
	ETag     *string           `json:"etag,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
	Error    string            `json:"error,omitempty"`
}

func newBulkItem(i *api.StateItem) bulkItem {
	b := bulkItem{Key: i.Key, Data: jsonOf(i.Value), ETag: i.ETag, Metadata: i.Metadata}
	if i.Err != nil {
		b.Error = i.Err.Error()
	}
	return b
}

func (s *Server) bulkState(w http.ResponseWriter, r *http.Request, store string) {
	var req struct {
		Keys        []string          `json:"keys"`
		Parallelism int               `json:"parallelism"`
		Metadata    map[string]string `json:"metadata"`
	}
	if !s.readJSON(w, r, &req) {
		return
	}
	md := merge(req.Metadata, queryMetadata(r))
	gets := make([]api.StateGet, len(req.Keys))
	for i, key := range req.Keys {
		gets[i] = api.StateGet{Key: key, Metadata: md}
	}
	items, err := s.o.API.GetStates(r.Context(), store, gets, max(0, req.Parallelism))
	all := make([]bulkItem, len(items))
	for i := range items {
		all[i] = newBulkItem(&items[i])
	}
	s.answer(w, all, err)
}

func (s *Server) transactState(w http.ResponseWriter, r *http.Request, store string) {
	var req struct {
		Operations []struct {
			Operation string       `json:"operation"`
			Request   stateRequest `json:"request"`
		} `json:"operations"`
		Metadata map[string]string `json:"metadata"`
	}
	if !s.readJSON(w, r, &req) {
		return
	}
	md := queryMetadata(r)
	puts := make([]api.StatePut, len(req.Operations))
	for i := range req.Operations {
		o := &req.Operations[i]
		puts[i] = o.Request.put(md)
		switch o.Operation {
		case "upsert":
		case "delete":
			puts[i].Delete = true
		default:
			e := api.Errorf(api.ErrStateOperation, "operation type %s not supported", o.Operation)
			e.HTTP = http.StatusBadRequest
			writeError(w, e)
			return
		}
	}
	s.answer(w, nil, s.o.API.TransactState(r.Context(), store, puts, merge(req.Metadata, md)))
}

func (s *Server) queryState(w http.ResponseWriter, r *http.Request, store string) {
	body, ok := s.readBody(w, r)
	if !ok {
		return
	}
	page, err := s.o.API.QueryState(r.Context(), store, body, queryMetadata(r))
	if err != nil || len(page.Items) == 0 {
		s.answer(w, nil, err)
		return
	}
	res := struct {
		Results  []bulkItem        `json:"results"`
		Token    string            `json:"token,omitempty"`
		Metadata map[string]string `json:"metadata,omitempty"`
	}{Token: page.Token, Metadata: page.Metadata}
	for i := range page.Items {
		res.Results = append(res.Results, newBulkItem(&page.Items[i]))
	}
	s.answer(w, res, nil)
}

// jsonOf gives a value as JSON: as it is when it is JSON, else as a string.
func jsonOf(value []byte) json.RawMessage {
	if len(value) == 0 || json.Valid(value) {
		return value
	}
	b, err := json.Marshal(string(value))
	if err != nil {
		return nil // a string always marshals
	}
	return b
}

// merge puts two sets of metadata together; those of b win.
func merge(a, b map[string]string) map[string]string {
	if len(a) == 0 {
		return b
	}
	all := make(map[string]string, len(a)+len(b))
	for _, m := range []map[string]string{a, b} {
		maps.Copy(all, m)
	}
	return all
}

// queryMetadata gives the metadata.* parameters of a request.
func queryMetadata(r *http.Request) map[string]string {
	if !strings.Contains(r.URL.RawQuery, "etadata.") {
		return nil
	}
	return metadataOf(r.URL.Query())
}

func metadataOf(q url.Values) map[string]string {
	const prefix = "metadata."
	md := map[string]string{}
	for k, v := range q {
		if len(k) > len(prefix) && strings.EqualFold(k[:len(prefix)], prefix) {
			md[k[len(prefix):]] = v[0]
		}
	}
	return md
}
