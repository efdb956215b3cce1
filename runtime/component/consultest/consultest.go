// Package consultest stands in for an agent of Consul where none is installed: it
// answers the part of its HTTP API that name resolution uses. Registrations are
// kept by id, and health gives those whose checks pass.
package consultest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Agent is the agent. Make it with New and serve it as an HTTP handler.
type Agent struct {
	// Check says whether a check by HTTP passes; nil: they all do. Probe asks
	// for the URL, as a real agent does.
	Check func(url string) bool

	mux      http.ServeMux
	mu       sync.Mutex
	services map[string]Service
	failing  []string // ids whose check fails whatever Check says
	queries  []string
}

// Service is what has been registered, in the names of Consul's API.
type Service map[string]any

// New gives an agent that knows nobody.
func New() *Agent {
	a := &Agent{services: map[string]Service{}}
	a.mux.HandleFunc("GET /v1/agent/self", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") })
	a.mux.HandleFunc("GET /v1/status/leader", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `"127.0.0.1:8300"`) })
	a.mux.HandleFunc("GET /v1/agent/services", func(w http.ResponseWriter, _ *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		_ = json.NewEncoder(w).Encode(a.services) // a client that has left needs no answer
	})
	a.mux.HandleFunc("PUT /v1/agent/service/register", a.register)
	a.mux.HandleFunc("PUT /v1/agent/service/deregister/{id}", func(_ http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.services, r.PathValue("id"))
	})
	a.mux.HandleFunc("GET /v1/health/service/{name}", a.health)
	return a
}

// ServeHTTP implements http.Handler.
func (a *Agent) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

func (a *Agent) register(w http.ResponseWriter, r *http.Request) {
	var s Service
	if err := json.NewDecoder(r.Body).Decode(&s); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s["Service"] = s["Name"] // as it is called in answers
	if id, _ := s["ID"].(string); id == "" {
		s["ID"] = s["Name"]
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.services[fmt.Sprint(s["ID"])] = s
}

func (a *Agent) health(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.queries = append(a.queries, r.URL.RawQuery)
	some := map[string]Service{}
	for id, s := range a.services {
		if s["Name"] == r.PathValue("name") && !slices.Contains(a.failing, id) {
			some[id] = s
		}
	}
	a.mu.Unlock()
	all := []any{}
	for _, s := range some {
		if a.passes(s) {
			all = append(all, map[string]any{"Node": map[string]any{"Address": "127.0.0.9"}, "Service": s})
		}
	}
	_ = json.NewEncoder(w).Encode(all) // a client that has left needs no answer
}

// passes says whether all checks by HTTP of a service pass.
func (a *Agent) passes(s Service) bool {
	checks, _ := s["Checks"].([]any)
	for _, c := range checks {
		check, _ := c.(map[string]any)
		if url, ok := check["HTTP"].(string); ok && a.Check != nil && !a.Check(url) {
			return false
		}
	}
	return true
}

// Probe asks for a URL; a check passes when the answer is 2xx.
func Probe(url string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode/100 == 2
}

// Services are those that are registered, by id.
func (a *Agent) Services() map[string]Service {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.services)
}

// Fail makes the check of a registration fail from now on.
func (a *Agent) Fail(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failing = append(a.failing, id)
}

// Query is the query string of the last question for an app.
func (a *Agent) Query() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.queries) == 0 {
		return ""
	}
	return a.queries[len(a.queries)-1]
}
