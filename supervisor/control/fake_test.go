package control_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"mesh/runtime/flow"
	"mesh/supervisor/control"
	"mesh/supervisor/state"
)

// fakeMesh is a mesh whose state the test sets.
type fakeMesh struct {
	mu   sync.Mutex
	now  *state.Mesh
	next chan struct{}
	done []state.Command
	do   func(context.Context, state.Command) error
}

func newFakeMesh() *fakeMesh {
	return &fakeMesh{next: make(chan struct{}), now: &state.Mesh{
		Version: 1, Name: "shop", PID: 42, File: "mesh.toml",
		Apps: []state.App{
			{ID: "inventory", Instances: []state.Instance{{Name: "inventory", Phase: state.Ready}}},
			{ID: "orders", Instances: []state.Instance{{Name: "orders-1", Phase: state.Ready}, {Name: "orders-2", Phase: state.Starting}}},
		},
	}}
}

func (m *fakeMesh) State() *state.Mesh {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

func (m *fakeMesh) Wait(ctx context.Context, version uint64) *state.Mesh {
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

func (m *fakeMesh) Do(ctx context.Context, c state.Command) error {
	m.mu.Lock()
	m.done = append(m.done, c)
	do := m.do
	m.mu.Unlock()
	if do != nil {
		return do(ctx, c)
	}
	return nil
}

func (m *fakeMesh) commands() []state.Command {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]state.Command(nil), m.done...)
}

// change publishes a new state.
func (m *fakeMesh) change(edit func(*state.Mesh)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := *m.now
	now.Version++
	edit(&now)
	m.now = &now
	close(m.next)
	m.next = make(chan struct{})
}

// fakeLogs remembers the latest keep lines.
type fakeLogs struct {
	mu    sync.Mutex
	keep  int
	seq   uint64
	lines []state.Line
	more  chan struct{}
}

func newFakeLogs(keep int) *fakeLogs { return &fakeLogs{keep: keep, more: make(chan struct{})} }

func (b *fakeLogs) print(app, text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seq++
	b.lines = append(b.lines, state.Line{Seq: b.seq, At: time.Unix(int64(b.seq), 0), App: app, Instance: app, Stream: "stdout", Text: text})
	b.lines = b.lines[max(0, len(b.lines)-b.keep):]
	close(b.more)
	b.more = make(chan struct{})
}

func (b *fakeLogs) Lines(app string, after uint64, limit int) []state.Line {
	b.mu.Lock()
	defer b.mu.Unlock()
	var some []state.Line
	for _, l := range b.lines {
		if l.Seq > after && (app == "" || l.App == app) {
			some = append(some, l)
		}
	}
	return some[max(0, len(some)-limit):]
}

func (b *fakeLogs) Wait(ctx context.Context, after uint64) {
	for {
		b.mu.Lock()
		seq, more := b.seq, b.more
		b.mu.Unlock()
		if seq > after {
			return
		}
		select {
		case <-more:
		case <-ctx.Done():
			return
		}
	}
}

// running is a served mesh and a client of it.
type running struct {
	dir    string
	mesh   *fakeMesh
	logs   *fakeLogs
	flows  *flow.Recorder
	server *control.Server
	client *control.Client
	stop   func()
}

// serve runs a server in a folder of its own until the test ends.
func serve(t *testing.T) *running {
	t.Helper()
	return serveIn(t, t.TempDir())
}

func serveIn(t *testing.T, dir string) *running {
	t.Helper()
	r := &running{dir: dir, mesh: newFakeMesh(), logs: newFakeLogs(100), flows: flow.NewRecorder()}
	var err error
	r.server, err = control.New(control.Options{Dir: dir, Mesh: r.mesh, Flows: r.flows, Logs: r.logs, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.server.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel(errors.New("the test is over"))
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Error("Run did not return")
		}
	})
	t.Cleanup(r.stop)
	r.client, err = control.Dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.client.Close)
	return r
}

// soon fails the test when ok does not become true.
func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("never: %s", what)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func project(dir string, name ...string) string {
	return filepath.Join(append([]string{dir, ".mesh"}, name...)...)
}
