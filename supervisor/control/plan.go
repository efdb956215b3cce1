package control

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"mesh/supervisor/state"
)

// maxFile is how much of a mesh.toml is read: more than a mesh would.
const maxFile = 2 << 20

// Planner says what a mesh.toml would change, and changes nothing. text is that
// of the file; nil is the file as it is on disk.
type Planner interface {
	Plan(ctx context.Context, text []byte) (*state.Plan, error)
}

// plan answers with what the mesh.toml in the request, or that on disk when the
// request is empty, would change.
func (s *Server) plan(w http.ResponseWriter, r *http.Request) {
	const what = "planning"
	planner, ok := s.o.Mesh.(Planner)
	if !ok {
		fail(w, &Error{Code: "not_found", What: what, Why: "this mesh has no file"})
		return
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxFile))
	if err != nil {
		fail(w, badRequest(what, "the file cannot be read: %v", err))
		return
	}
	if len(text) == 0 {
		text = nil // the file on disk
	}
	p, err := planner.Plan(r.Context(), text)
	if err != nil {
		fail(w, asError(what, err))
		return
	}
	s.answer(w, p)
}

// Plan asks what a mesh.toml of that text would change; without a text it is the
// file on disk. It changes nothing.
func (c *Client) Plan(ctx context.Context, text []byte) (*state.Plan, error) {
	resp, err := c.send(ctx, http.MethodPost, "/v1/plan", nil, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	var p state.Plan
	if err := json.NewDecoder(resp.Body).Decode(&p); err != nil {
		_ = resp.Body.Close()
		return nil, fmt.Errorf("reading the mesh's answer to /v1/plan: %w", err)
	}
	return &p, drain(resp)
}
