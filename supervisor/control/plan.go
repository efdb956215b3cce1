package control

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"mesh/supervisor/state"
)

// maxFile is how much of a mesh.toml is read: more than a mesh would.
const maxFile = 2 << 20

// Planner says what a configuration would change, and changes nothing.
type Planner interface {
	Plan(ctx context.Context, c state.Candidate) (*state.Plan, error)
}

// plan answers with what the mesh.toml in the request, or that on disk when the
// request is empty, would change; with ?resources=FOLDER, if those were its
// folders with Dapr YAML.
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
	p, err := planner.Plan(r.Context(), state.Candidate{Text: text, Resources: r.URL.Query()["resources"]})
	if err != nil {
		fail(w, asError(what, err))
		return
	}
	s.answer(w, p)
}

// Plan asks what a configuration would change. It changes nothing.
func (c *Client) Plan(ctx context.Context, is state.Candidate) (*state.Plan, error) {
	resp, err := c.send(ctx, http.MethodPost, "/v1/plan", url.Values{"resources": is.Resources}, bytes.NewReader(is.Text))
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
