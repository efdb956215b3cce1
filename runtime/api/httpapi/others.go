package httpapi

import (
	"encoding/json"
	"errors"
	"net/http"

	"mesh/runtime/api"
)

// otherRoute finds the operation of a binding, a secret store, a configuration
// store or a lock that a request asks for.
func otherRoute(version, block, method string, path []string) func(s *Server, w http.ResponseWriter, r *http.Request) {
	stable := version == "v1.0"
	get := method == http.MethodGet
	switch {
	case block == "bindings" && stable && len(path) == 1 && writes(method):
		return func(s *Server, w http.ResponseWriter, r *http.Request) { s.binding(w, r, path[0]) }
	case block == "secrets" && stable && len(path) == 2 && get && path[1] == "bulk":
		return func(s *Server, w http.ResponseWriter, r *http.Request) { s.secrets(w, r, path[0]) }
	case block == "secrets" && stable && len(path) == 2 && get:
		return func(s *Server, w http.ResponseWriter, r *http.Request) { s.secret(w, r, path[0], path[1]) }
	case block == "configuration" && len(path) == 1 && get:
		return func(s *Server, w http.ResponseWriter, r *http.Request) { s.configuration(w, r, path[0]) }
	case block == "configuration" && len(path) == 2 && get && path[1] == "subscribe":
		return func(s *Server, w http.ResponseWriter, r *http.Request) { s.subscribeConfiguration(w, r, path[0]) }
	case block == "configuration" && len(path) == 3 && get && path[2] == "unsubscribe":
		return func(s *Server, w http.ResponseWriter, _ *http.Request) {
			s.unsubscribeConfiguration(w, path[0], path[1])
		}
	case block == "lock" && !stable && len(path) == 1 && method == http.MethodPost:
		return func(s *Server, w http.ResponseWriter, r *http.Request) { s.lock(w, r, path[0]) }
	case block == "unlock" && !stable && len(path) == 1 && method == http.MethodPost:
		return func(s *Server, w http.ResponseWriter, r *http.Request) { s.unlock(w, r, path[0]) }
	}
	return nil
}

func (s *Server) secret(w http.ResponseWriter, r *http.Request, store, key string) {
	data, err := s.o.API.Secret(r.Context(), store, key, queryMetadata(r))
	if len(data) == 0 {
		s.answer(w, nil, err)
		return
	}
	s.answer(w, data, err)
}

func (s *Server) secrets(w http.ResponseWriter, r *http.Request, store string) {
	all, err := s.o.API.Secrets(r.Context(), store, queryMetadata(r))
	if len(all) == 0 {
		s.answer(w, nil, err)
		return
	}
	s.answer(w, all, err)
}

func (s *Server) configuration(w http.ResponseWriter, r *http.Request, store string) {
	all, err := s.o.API.Configuration(r.Context(), store, r.URL.Query()["key"], queryMetadata(r))
	type item struct {
		Value    string            `json:"value"`
		Version  string            `json:"version,omitempty"`
		Metadata map[string]string `json:"metadata,omitempty"`
	}
	res := map[string]item{}
	for key, v := range all {
		res[key] = item(v)
	}
	if len(res) == 0 {
		s.answer(w, nil, err)
		return
	}
	s.answer(w, res, err)
}

func (s *Server) subscribeConfiguration(w http.ResponseWriter, r *http.Request, store string) {
	id, err := s.o.API.SubscribeConfiguration(store, r.URL.Query()["key"], queryMetadata(r))
	s.answer(w, map[string]string{"id": id}, err)
}

func (s *Server) unsubscribeConfiguration(w http.ResponseWriter, store, id string) {
	err := s.o.API.UnsubscribeConfiguration(store, id)
	e, is := errors.AsType[*api.Error](err)
	if is && e.Code == api.ErrConfigurationUnsubscribe {
		if b, err := json.Marshal(map[string]string{"message": e.Message}); err == nil { // the form that Dapr gives this one
			writeJSON(w, e.HTTPStatus(), b)
			return
		}
	}
	s.answer(w, map[string]bool{"ok": true}, err)
}

// lockRequest is the body of requests for locks.
type lockRequest struct {
	ResourceID string `json:"resourceId"`
	Owner      string `json:"lockOwner"`
	Expiry     int32  `json:"expiryInSeconds"`
}

func (s *Server) lock(w http.ResponseWriter, r *http.Request, store string) {
	var req lockRequest
	if !s.readJSON(w, r, &req) {
		return
	}
	got, err := s.o.API.TryLock(r.Context(), store, req.ResourceID, req.Owner, req.Expiry)
	s.answer(w, map[string]bool{"success": got}, err)
}

func (s *Server) unlock(w http.ResponseWriter, r *http.Request, store string) {
	var req lockRequest
	if !s.readJSON(w, r, &req) {
		return
	}
	status, err := s.o.API.Unlock(r.Context(), store, req.ResourceID, req.Owner)
	s.answer(w, map[string]int32{"status": status}, err)
}
