package httpapi

import (
	"net/http"
	"slices"
	"strings"
)

// corsMethods are the verbs that scripts of other origins may use.
const corsMethods = "HEAD, GET, POST, PUT, PATCH, DELETE"

// cors lets scripts of the origins in Options.Origins use the API, and answers
// what browsers ask before they do; done says that this was such a question.
func (s *Server) cors(w http.ResponseWriter, r *http.Request) (done bool) {
	origin := r.Header.Get("Origin")
	asks := r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
	h := w.Header()
	if origin == "" {
		return false
	}
	h.Add("Vary", "Origin")
	if !s.allows(origin) {
		if asks {
			w.WriteHeader(http.StatusNoContent) // without the headers that would allow it
		}
		return asks
	}
	h.Set("Access-Control-Allow-Origin", origin)
	if slices.Contains(s.o.Origins, "*") {
		h.Set("Access-Control-Allow-Origin", "*")
	}
	if !asks {
		return false
	}
	h.Set("Access-Control-Allow-Methods", corsMethods)
	if wanted := r.Header.Get("Access-Control-Request-Headers"); wanted != "" {
		h.Add("Vary", "Access-Control-Request-Headers")
		h.Set("Access-Control-Allow-Headers", wanted)
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}

// allows says whether scripts of an origin may use the API. One * in an origin
// of Options stands for anything.
func (s *Server) allows(origin string) bool {
	return slices.ContainsFunc(s.o.Origins, func(allowed string) bool {
		before, after, pattern := strings.Cut(strings.ToLower(allowed), "*")
		is := strings.ToLower(origin)
		if !pattern {
			return is == before
		}
		return len(is) >= len(before)+len(after) && strings.HasPrefix(is, before) && strings.HasSuffix(is, after)
	})
}
