package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"mesh/supervisor/state"
)

// Error is a failure as a client sees it: what failed, why, and what to do.
type Error struct {
	Code string `json:"code"`           // stable: "unknown_app", "bad_request", "not_found", "failed", "stopped"
	What string `json:"what"`           // what was being done
	Why  string `json:"why"`            // why it failed
	Hint string `json:"hint,omitempty"` // what to do about it
}

func (e *Error) Error() string { return e.What + ": " + e.Why }

// Advice says what the user can do about the error, "" when there is nothing.
func (e *Error) Advice() string { return e.Hint }

// adviser is an error that knows what the user can do about it.
type adviser interface{ Advice() string }

// statusOf gives the HTTP status for an error's code.
func statusOf(code string) int {
	switch code {
	case "unknown_app", "not_found":
		return http.StatusNotFound
	case "bad_request":
		return http.StatusBadRequest
	case "stopped":
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// asError makes any error one that a client understands.
func asError(what string, err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	e := &Error{Code: "failed", What: what, Why: err.Error()}
	if a, ok := errors.AsType[interface {
		error
		adviser
	}](err); ok {
		e.Hint = a.Advice()
	}
	return e
}

// fail answers with an error.
func fail(w http.ResponseWriter, e *Error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(statusOf(e.Code))
	// The client has gone when this fails.
	_ = json.NewEncoder(w).Encode(map[string]*Error{"error": e})
}

// badRequest is an error for a request that is wrong whatever the mesh does.
func badRequest(what, why string, args ...any) *Error {
	return &Error{Code: "bad_request", What: what, Why: fmt.Sprintf(why, args...), Hint: "docs/control.md describes the requests"}
}

// Known says nil when name is an app or an instance of the mesh, and otherwise
// gives an error that suggests what may have been meant.
func Known(m *state.Mesh, name string) *Error {
	var names []string
	for i := range m.Apps {
		a := &m.Apps[i]
		names = append(names, a.ID)
		if a.ID == name || slices.ContainsFunc(a.Instances, func(in state.Instance) bool { return in.Name == name }) {
			return nil
		}
	}
	e := &Error{Code: "unknown_app", What: fmt.Sprintf("finding %q", name), Why: "the mesh has no such app"}
	near := Nearest(name, names)
	switch {
	case near != "":
		e.Hint = fmt.Sprintf("did you mean %s?", near)
	case len(names) > 0:
		e.Hint = "its apps are " + strings.Join(names, ", ")
	default:
		e.Hint = "it has no apps: declare one in " + m.File
	}
	return e
}

// Nearest gives the candidate that word was most likely meant to be, "" when
// none is close.
func Nearest(word string, candidates []string) string {
	best, found := 1+max(1, len(word)/3), ""
	for _, c := range candidates {
		if d := distance(strings.ToLower(word), strings.ToLower(c)); d < best {
			best, found = d, c
		}
	}
	return found
}

// distance counts the insertions, removals, replacements and swaps of
// neighbours that make b of a.
func distance(a, b string) int {
	prev2, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}
