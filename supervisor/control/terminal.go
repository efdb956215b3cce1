package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"mesh/supervisor/console"
	"mesh/supervisor/state"
)

// maxTyped is how many bytes can be typed at once: a page that is pasted.
const maxTyped = 1 << 20

// Terminals gives what people share of the terminals of apps.
type Terminals interface {
	// Terminal gives that of an instance, or of an app's first one, or says why
	// it has none.
	Terminal(ctx context.Context, name string) (*console.Console, error)
}

// Size is the size of a terminal in characters.
type Size struct {
	Cols uint16 `json:"cols"`
	Rows uint16 `json:"rows"`
}

// terminalRoutes adds what `mesh attach APP` needs.
func (s *Server) terminalRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/terminal/{name}", s.withTerminal(s.watchTerminal))
	mux.HandleFunc("POST /v1/terminal/{name}/input", s.withTerminal(s.typeInto))
	mux.HandleFunc("POST /v1/terminal/{name}/size", s.withTerminal(s.resize))
}

// withTerminal finds the terminal that a request is about.
func (s *Server) withTerminal(do func(http.ResponseWriter, *http.Request, *console.Console)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("name")
		terminals, ok := s.o.Mesh.(Terminals)
		if !ok {
			fail(w, &Error{Code: "not_found", What: "attaching to " + name, Why: "this mesh has no terminals"})
			return
		}
		if unknown := Known(s.o.Mesh.State(), name); unknown != nil {
			fail(w, unknown)
			return
		}
		t, err := terminals.Terminal(r.Context(), name)
		if err != nil {
			fail(w, asError("attaching to "+name, err))
			return
		}
		do(w, r, t)
	}
}

// watchTerminal answers with what the present process has shown, the last one
// when there is none, and with what it and those after it show, until the
// instance has ended for good.
func (s *Server) watchTerminal(w http.ResponseWriter, r *http.Request, t *console.Console) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "no-store")
	rc := http.NewResponseController(w)
	if rc.Flush() != nil {
		return // the client has gone
	}
	ctx, end := context.WithCancel(r.Context())
	defer end()
	over := make(chan struct{})
	go func() { // ends with ctx
		defer close(over)
		s.awaitEnd(ctx, r.PathValue("name"))
		end()
	}()
	defer func() { end(); <-over }()
	for at := t.Recent(); ; {
		p, next, err := t.Read(ctx, at)
		if err != nil {
			return // the client or the process has gone, and all of it has been shown
		}
		if _, err := w.Write(p); err != nil || rc.Flush() != nil {
			return
		}
		at = next
	}
}

// awaitEnd blocks until an instance, or an app's first one, has no process and
// is not to get one, or ctx ends.
func (s *Server) awaitEnd(ctx context.Context, name string) {
	for m := s.o.Mesh.State(); ; {
		i := Instance(m, name)
		if i == nil || over(i.Phase) {
			return
		}
		version := m.Version
		if m = s.o.Mesh.Wait(ctx, version); m.Version == version {
			return
		}
	}
}

// over says whether an instance in that phase runs no process until somebody
// asks for one.
func over(p state.Phase) bool {
	return p == state.Stopped || p == state.Done || p == state.Failed
}

// Instance gives the instance of that name, or the first one of the app of that
// name; nil when there is none.
func Instance(m *state.Mesh, name string) *state.Instance {
	for i := range m.Apps {
		for j := range m.Apps[i].Instances {
			if in := &m.Apps[i].Instances[j]; in.Name == name || m.Apps[i].ID == name {
				return in
			}
		}
	}
	return nil
}

func (s *Server) typeInto(w http.ResponseWriter, r *http.Request, t *console.Console) {
	what := "typing into " + r.PathValue("name")
	typed, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxTyped))
	if err != nil {
		fail(w, badRequest(what, "it cannot be read: %v", err))
		return
	}
	switch err := t.Type(r.Context(), typed); {
	case errors.Is(err, console.ErrNotRunning):
		fail(w, &Error{Code: "stopped", What: what, Why: err.Error(), Hint: "what was typed is lost"})
	case err != nil:
		fail(w, asError(what, err))
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func (s *Server) resize(w http.ResponseWriter, r *http.Request, t *console.Console) {
	what := "resizing the terminal of " + r.PathValue("name")
	var size Size
	d := json.NewDecoder(io.LimitReader(r.Body, maxCommand))
	d.DisallowUnknownFields()
	if err := d.Decode(&size); err != nil || size.Cols == 0 || size.Rows == 0 {
		fail(w, badRequest(what, "it is not a size such as {\"cols\":80,\"rows\":24}"))
		return
	}
	if err := t.Resize(size.Cols, size.Rows); err != nil {
		fail(w, asError(what, err))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// Terminal gives what the terminal of an instance, or of an app's first one,
// has shown last and shows from now on. It ends when the instance has ended for
// good. The caller closes it.
func (c *Client) Terminal(ctx context.Context, name string) (io.ReadCloser, error) {
	resp, err := c.send(ctx, http.MethodGet, "/v1/terminal/"+url.PathEscape(name), nil, nil)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// Type writes into the terminal of an instance as if it were typed. It blocks
// while the process takes no more. ErrNoProcess says that there is none.
func (c *Client) Type(ctx context.Context, name string, p []byte) error {
	resp, err := c.send(ctx, http.MethodPost, "/v1/terminal/"+url.PathEscape(name)+"/input", nil, bytes.NewReader(p))
	if e, ok := errors.AsType[*Error](err); ok && e.Code == "stopped" {
		return fmt.Errorf("%w: %w", ErrNoProcess, err)
	}
	if err != nil {
		return err
	}
	return drain(resp)
}

// ErrNoProcess says that an instance has no process now.
var ErrNoProcess = errors.New("no process runs")

// Resize tells the process of an instance the size of its terminal.
func (c *Client) Resize(ctx context.Context, name string, to Size) error {
	body, err := json.Marshal(to)
	if err != nil {
		return fmt.Errorf("writing the size: %w", err)
	}
	resp, err := c.send(ctx, http.MethodPost, "/v1/terminal/"+url.PathEscape(name)+"/size", nil, bytes.NewReader(body))
	if err != nil {
		return err
	}
	return drain(resp)
}
