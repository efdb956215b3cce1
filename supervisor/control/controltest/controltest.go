// Package controltest gives tests a mesh behind a real control socket: its
// state, its output and its invocations are what the test says, its clients
// cannot tell it from one that runs.
package controltest

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"mesh/runtime/flow"
	"mesh/supervisor/console"
	"mesh/supervisor/control"
	"mesh/supervisor/state"
)

// Mesh is a mesh whose state the test sets.
type Mesh struct {
	mu   sync.Mutex
	now  *state.Mesh
	next chan struct{}
	done []state.Command
	do   func(context.Context, state.Command) error
	plan func(state.Candidate) (*state.Plan, error)
	term func(name string) (*console.Console, error)
}

// NewMesh gives a mesh in that state, with version 1.
func NewMesh(m state.Mesh) *Mesh {
	m.Version = 1
	return &Mesh{now: &m, next: make(chan struct{})}
}

// State gives the present state.
func (m *Mesh) State() *state.Mesh {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

// Wait blocks until the state's version differs from version, or ctx ends.
func (m *Mesh) Wait(ctx context.Context, version uint64) *state.Mesh {
	for {
		m.mu.Lock()
		now, next := m.now, m.next
		m.mu.Unlock()
		if now.Version != version {
			return now
		}
		select {
		case <-next:
		case <-ctx.Done():
			return now
		}
	}
}

// Do notes the command and does what OnDo said.
func (m *Mesh) Do(ctx context.Context, c state.Command) error {
	m.mu.Lock()
	m.done = append(m.done, c)
	do := m.do
	m.mu.Unlock()
	if do != nil {
		return do(ctx, c)
	}
	return nil
}

// OnDo says what a command does.
func (m *Mesh) OnDo(do func(context.Context, state.Command) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.do = do
}

// Plan gives what OnPlan said, else a plan in which nothing happens.
func (m *Mesh) Plan(_ context.Context, c state.Candidate) (*state.Plan, error) {
	m.mu.Lock()
	plan := m.plan
	m.mu.Unlock()
	if plan != nil {
		return plan(c)
	}
	return &state.Plan{Items: []state.PlanItem{}}, nil
}

// OnPlan says what the plan for a file is.
func (m *Mesh) OnPlan(plan func(state.Candidate) (*state.Plan, error)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.plan = plan
}

// Terminal gives what OnTerminal said, else an error.
func (m *Mesh) Terminal(_ context.Context, name string) (*console.Console, error) {
	m.mu.Lock()
	term := m.term
	m.mu.Unlock()
	if term != nil {
		return term(name)
	}
	return nil, errors.New(name + " has no terminal")
}

// OnTerminal says what the terminal of an app is.
func (m *Mesh) OnTerminal(term func(name string) (*console.Console, error)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.term = term
}

// Commands gives the commands that have come so far.
func (m *Mesh) Commands() []state.Command {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.done)
}

// Change publishes a new state: edit gets a copy of the present one, whose
// apps it must replace instead of editing them.
func (m *Mesh) Change(edit func(*state.Mesh)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := *m.now
	now.Version++
	edit(&now)
	m.now = &now
	close(m.next)
	m.next = make(chan struct{})
}

// Logs is output that the test writes. It remembers the latest 100 lines.
type Logs struct {
	mu    sync.Mutex
	seq   uint64
	lines []state.Line
	more  chan struct{}
}

const keepLines = 100

// NewLogs gives output without lines.
func NewLogs() *Logs { return &Logs{more: make(chan struct{})} }

// Print adds a line. Its number and, when it is zero, its time are set here.
func (b *Logs) Print(l state.Line) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seq++
	l.Seq = b.seq
	if l.At.IsZero() {
		l.At = time.Now()
	}
	b.lines = append(b.lines, l)
	b.lines = b.lines[max(0, len(b.lines)-keepLines):]
	close(b.more)
	b.more = make(chan struct{})
}

// Mark adds a line that belongs to no app.
func (b *Logs) Mark(text string) state.Line {
	b.Print(state.Line{Stream: "mark", Text: text})
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lines[len(b.lines)-1]
}

// Lines gives lines as logs.Book does.
func (b *Logs) Lines(app string, after uint64, limit int) []state.Line {
	b.mu.Lock()
	defer b.mu.Unlock()
	var some []state.Line
	for _, l := range b.lines {
		if l.Seq > after && (app == "" || l.App == app || l.Instance == app) {
			some = append(some, l)
		}
	}
	return some[max(0, len(some)-limit):]
}

// Wait blocks until there is a line numbered above after, or ctx ends and
// then gives the cause.
func (b *Logs) Wait(ctx context.Context, after uint64) error {
	for {
		b.mu.Lock()
		seq, more := b.seq, b.more
		b.mu.Unlock()
		if seq > after {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Token is that of the sidecars' APIs.
const Token = "the-token"

// Running is a mesh that clients can reach.
type Running struct {
	Dir    string
	Mesh   *Mesh
	Logs   *Logs
	Flows  *flow.Recorder
	Server *control.Server
	Stop   func() // ends the server and waits for it; the end of the test does so, too
}

// Serve makes a mesh in that state reachable in the folder dir until the test
// ends.
func Serve(t *testing.T, dir string, m state.Mesh) *Running {
	t.Helper()
	r := &Running{Dir: dir, Mesh: NewMesh(m), Logs: NewLogs(), Flows: flow.NewRecorder()}
	var err error
	r.Server, err = control.New(control.Options{Dir: dir, Token: func() string { return Token }, Mesh: r.Mesh, Flows: r.Flows, Logs: r.Logs, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Server.Run(ctx) }() // joined by Stop
	r.Stop = sync.OnceFunc(func() {
		cancel(errors.New("the test has stopped the mesh"))
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("serving the control socket: %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Error("the control socket has not ended")
		}
	})
	t.Cleanup(r.Stop)
	return r
}
