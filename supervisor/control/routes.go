package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"time"

	"mesh/runtime/flow"
	"mesh/supervisor/state"
)

const (
	maxCommand   = 64 << 10         // bytes of a command: far more than any has
	flowLease    = 10 * time.Second // how long one question about flows keeps them recorded
	defaultLines = 1000
	defaultFlows = 100
)

// routes gives the handler of everything under /v1. life ends when the server
// is to stop.
func (s *Server) routes(life context.Context) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/version", s.version)
	mux.HandleFunc("GET /v1/token", s.token)
	mux.HandleFunc("GET /v1/state", s.state)
	mux.HandleFunc("POST /v1/command", func(w http.ResponseWriter, r *http.Request) { s.command(life, w, r) })
	mux.HandleFunc("POST /v1/plan", s.plan)
	s.terminalRoutes(mux)
	mux.HandleFunc("GET /v1/names/{app}", s.names)
	mux.HandleFunc("GET /v1/logs", s.logs)
	mux.HandleFunc("POST /v1/logs/mark", s.mark)
	mux.HandleFunc("GET /v1/flows", s.flows)
	mux.HandleFunc("GET /v1/flows/{id}", s.flow)
	mux.HandleFunc("GET /v1/flows/{id}/{dir}", s.body)
	mux.HandleFunc("GET /v1/stats", s.stats)
	mux.HandleFunc("GET /v1/tap", s.tap)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, &Error{
			Code: "not_found", What: r.Method + " " + r.URL.Path, Why: "the mesh has no such request",
			Hint: "docs/control.md lists them; this mesh speaks version 1",
		})
	})
	return mux
}

func (s *Server) version(w http.ResponseWriter, _ *http.Request) {
	s.answer(w, Version{API: APIVersion, Build: ThisBuild(), PID: os.Getpid()})
}

// token is the answer to GET /v1/token.
type token struct {
	Token string `json:"token"`
}

func (s *Server) token(w http.ResponseWriter, _ *http.Request) {
	s.answer(w, token{Token: s.o.Token()})
}

// answer writes one JSON value.
func (s *Server) answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		s.o.Log.Debug("a client left before its answer", slog.Any("error", err))
	}
}

// state answers with the mesh, at once or when it differs from ?after, or with
// ?watch as a stream of every change that the client is fast enough to see.
func (s *Server) state(w http.ResponseWriter, r *http.Request) {
	after, err := number(r, "after", 0)
	if err != nil {
		fail(w, err)
		return
	}
	m := s.o.Mesh.State()
	if !r.URL.Query().Has("watch") {
		if after != 0 && m.Version == after {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		s.answer(w, m)
		return
	}
	out := newFeed(w)
	for {
		if m.Version != after && (out.send(m) != nil || out.flush() != nil) {
			return
		}
		after = m.Version
		m = s.o.Mesh.Wait(r.Context(), after)
		if m.Version == after { // the client or the mesh has gone
			return
		}
	}
}

// command carries out a command and answers when it is done, or at once when
// ?wait=false.
func (s *Server) command(life context.Context, w http.ResponseWriter, r *http.Request) {
	c, bad := readCommand(r.Body)
	if bad == nil && c.App != "" {
		bad = Known(s.o.Mesh.State(), c.App)
	}
	if bad != nil {
		fail(w, bad)
		return
	}
	what := describe(c)
	if r.URL.Query().Get("wait") == "false" {
		s.tasks.Go(func() {
			if err := s.o.Mesh.Do(life, c); err != nil {
				s.o.Log.WarnContext(life, "a command that nobody waited for has failed", slog.String("command", what), slog.Any("error", err))
			}
		})
		w.WriteHeader(http.StatusAccepted)
		return
	}
	if err := s.o.Mesh.Do(r.Context(), c); err != nil { //nolint:contextcheck // a command lasts as long as its client waits, not as long as the server
		fail(w, asError(what, err))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func readCommand(body io.Reader) (state.Command, *Error) {
	const what = "reading the command"
	var c state.Command
	d := json.NewDecoder(io.LimitReader(body, maxCommand))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return c, badRequest(what, "it is not the JSON of a command: %v", err)
	}
	switch c.Op {
	case state.Restart, state.Stop, state.Start:
	case state.Down:
		if c.App != "" {
			return c, badRequest(what, "down ends the whole mesh and takes no app: use stop")
		}
	case state.Review, state.Apply:
		if c.App != "" {
			return c, badRequest(what, "%s is about mesh.toml as a whole and takes no app", c.Op)
		}
	case state.Scale:
		if c.App == "" || c.Count < 0 || c.Count > 1000 {
			return c, badRequest(what, "scale needs an app and a count from 0 to 1000")
		}
	case state.SetFault, state.SetCapture:
		if err := checkRecording(&c); err != nil {
			return c, badRequest(what, "%v", err)
		}
	default:
		return c, badRequest(what, "there is no operation %q; there are restart, stop, start, scale, fault, capture, down, review and apply", c.Op)
	}
	return c, nil
}

// describe says in words what a command does.
func describe(c state.Command) string {
	who := c.App
	if who == "" {
		who = "every app"
	}
	switch c.Op {
	case state.Restart:
		return "restarting " + who
	case state.Stop:
		return "stopping " + who
	case state.Start:
		return "starting " + who
	case state.Scale:
		return fmt.Sprintf("scaling %s to %d", who, c.Count)
	case state.Down:
		return "ending the mesh"
	case state.SetFault:
		return "disturbing calls"
	case state.SetCapture:
		return "capturing bodies"
	case state.Review:
		return "making edits wait"
	case state.Apply:
		return "applying mesh.toml"
	}
	return string(c.Op)
}

// flows answers with the live flows and some ended ones.
func (s *Server) flows(w http.ResponseWriter, r *http.Request) {
	recent, err := number(r, "recent", defaultFlows)
	if err != nil {
		fail(w, err)
		return
	}
	s.watch.renew()
	s.answer(w, s.o.Flows.Views(int(min(recent, 1<<20))))
}

// flow answers with one flow and the marks after a cursor.
func (s *Server) flow(w http.ResponseWriter, r *http.Request) {
	after, bad := cursor(r.URL.Query().Get("after"))
	if bad != nil {
		fail(w, bad)
		return
	}
	s.watch.renew()
	id := r.PathValue("id")
	d, ok := s.o.Flows.Detail(id, after)
	if !ok {
		fail(w, unknownFlow(id))
		return
	}
	s.answer(w, d)
}

// number reads a query parameter that is a number; "all" is the largest one.
func number(r *http.Request, key string, missing uint64) (uint64, *Error) {
	text := r.URL.Query().Get(key)
	switch text {
	case "":
		return missing, nil
	case "all":
		return 1<<63 - 1, nil
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, badRequest("reading the parameter "+key, "%q is not a number of 0 or more", text)
	}
	return n, nil
}

// cursor reads what formatCursor wrote.
func cursor(text string) (c flow.Cursor, bad *Error) {
	if text == "" {
		return c, nil
	}
	if err := json.Unmarshal([]byte("["+text+"]"), &c); err != nil {
		return c, badRequest("reading the parameter after", "a cursor is %d numbers with commas between them, not %q", len(c), text)
	}
	return c, nil
}

// feed writes an NDJSON stream. Lines are gathered until flush, which blocks
// for as long as the client does not read.
type feed struct {
	enc *json.Encoder
	rc  *http.ResponseController
	bad error
}

func newFeed(w http.ResponseWriter) *feed {
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	f := &feed{enc: enc, rc: http.NewResponseController(w)}
	f.bad = f.flush() // the client learns at once that the stream stands
	return f
}

func (f *feed) send(v any) error {
	if f.bad == nil {
		f.bad = f.enc.Encode(v)
	}
	return f.bad
}

func (f *feed) flush() error {
	if f.bad == nil {
		f.bad = f.rc.Flush()
		if errors.Is(f.bad, http.ErrNotSupported) {
			f.bad = nil
		}
	}
	return f.bad
}
