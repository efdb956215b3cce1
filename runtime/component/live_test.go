package component

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mesh/runtime/resource"
)

// wait is how long anything in these tests may take.
const wait = 30 * time.Second

// running starts a Live that ends with the test.
func running(t *testing.T, o Options) *Live {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	l := New(o)
	ctx, cancel := context.WithCancel(context.Background()) //nolint:usetesting // ended in cleanup, after t.Context
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("shutting down: %v", err)
			}
		case <-time.After(2 * wait):
			t.Error("the components do not shut down")
		}
	})
	return l
}

// declare makes a component; metadata are name, value, name, value …
func declare(name, typ string, metadata ...string) resource.Component {
	c := resource.Component{Name: name, Type: typ, Version: "v1"}
	for i := 0; i < len(metadata); i += 2 {
		c.Metadata = append(c.Metadata, resource.Property{Name: metadata[i], Value: metadata[i+1]})
	}
	return c
}

func apply(t *testing.T, l *Live, specs ...resource.Component) {
	t.Helper()
	if err := l.Apply(t.Context(), Desired{Components: specs, Apps: []string{"app", "other"}}); err != nil {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	end := time.Now().Add(wait)
	for !f() {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", wait, what)
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-t.Context().Done():
		}
	}
}

func status(t *testing.T, l *Live, name string) Status {
	t.Helper()
	for _, s := range l.Status() {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no component %s in %v", name, l.Status())
	return Status{}
}

// TestDefaults: with nothing declared there are a store and a broker, and the
// store is still there after a restart.
func TestDefaults(t *testing.T) {
	dir := t.TempDir()
	for run := range 2 {
		l := New(Options{Dir: dir})
		apply(t, l, WithDefaults(nil)...)
		store := l.App("app").State("statestore")
		if run == 0 {
			if err := store.Put(t.Context(), Put{Key: "k", Value: []byte("kept")}); err != nil {
				t.Fatal(err)
			}
		}
		got, err := store.Get(t.Context(), Get{Key: "k"})
		if err != nil || string(got.Value) != "kept" {
			t.Errorf("run %d: got %q, %v", run, got.Value, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := l.Run(ctx); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, ".mesh", "state.db")); err != nil {
		t.Error(err)
	}
	declared := []resource.Component{declare("mine", "state.redis")}
	if all := WithDefaults(declared); len(all) != 2 || all[1].Name != "pubsub" {
		t.Errorf("beside a declared store there are %v", all)
	}
}

func TestScopes(t *testing.T) {
	l := running(t, Options{})
	c := declare("statestore", "state.in-memory")
	c.Scopes = []string{"app"}
	apply(t, l, c)
	if _, err := l.App("app").State("statestore").Get(t.Context(), Get{Key: "k"}); err != nil {
		t.Error(err)
	}
	_, err := l.App("other").State("statestore").Get(t.Context(), Get{Key: "k"})
	if e, ok := errors.AsType[*NotFoundError](err); !ok || !e.None {
		t.Errorf("out of scope: %v", err)
	}
	_, err = l.App("app").State("nostore").Get(t.Context(), Get{Key: "k"})
	if e, ok := errors.AsType[*NotFoundError](err); !ok || e.None {
		t.Errorf("another name: %v", err)
	}
}

// TestSwap: while stores are swapped under load, no call fails.
func TestSwap(t *testing.T) {
	l := running(t, Options{})
	dir := t.TempDir()
	generation := func(n int) resource.Component {
		if n%2 == 0 {
			return declare("statestore", "state.in-memory", "generation", strconv.Itoa(n))
		}
		return declare("statestore", "state.sqlite", "connectionString", filepath.Join(dir, fmt.Sprintf("%d.db", n)))
	}
	apply(t, l, generation(0))
	ctx, cancel := context.WithCancel(t.Context())
	var calls, failed atomic.Int64
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			store := l.App("app").State("statestore")
			for i := 0; ctx.Err() == nil; i++ {
				key := fmt.Sprintf("%d-%d", worker, i%10)
				err := store.Put(t.Context(), Put{Key: key, Value: []byte("v")})
				if err == nil {
					_, err = store.Get(t.Context(), Get{Key: key})
				}
				calls.Add(2)
				if err != nil && failed.Add(1) < 5 {
					t.Error(err)
				}
			}
		})
	}
	for n := 1; n <= 20; n++ {
		apply(t, l, generation(n))
	}
	cancel()
	wg.Wait()
	t.Logf("%d calls during 20 swaps, %d failed", calls.Load(), failed.Load())
	if calls.Load() < 100 {
		t.Errorf("only %d calls were made", calls.Load())
	}
	eventually(t, "all stores but the last to be closed", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.open) == 1
	})
}

// TestUnchanged: a component that did not change keeps what it holds when
// others do, and when its own scopes do.
func TestUnchanged(t *testing.T) {
	l := running(t, Options{})
	apply(t, l, declare("a", "state.in-memory"), declare("b", "state.in-memory"))
	a := l.App("app").State("a")
	if err := a.Put(t.Context(), Put{Key: "k", Value: []byte("v")}); err != nil {
		t.Fatal(err)
	}
	scoped := declare("a", "state.in-memory")
	scoped.Scopes = []string{"app"}
	apply(t, l, scoped, declare("b", "state.in-memory", "x", "y"))
	got, err := a.Get(t.Context(), Get{Key: "k"})
	if err != nil || string(got.Value) != "v" {
		t.Errorf("got %q, %v", got.Value, err)
	}
}

func TestNeverStarts(t *testing.T) {
	l := running(t, Options{})
	apply(t, l, declare("statestore", "state.in-memory"))
	bad := declare("other", "state.rediss")
	bad.Place = resource.Place{File: "c.yaml", Line: 6, Column: 9}
	err := l.Apply(t.Context(), Desired{Components: []resource.Component{bad}})
	if err == nil || !strings.Contains(err.Error(), `c.yaml:6:9: component other has the unknown type "state.rediss"`) ||
		!strings.Contains(err.Error(), "types are state.in-memory, state.postgresql, state.redis, state.sqlite") {
		t.Errorf("got %v", err)
	}
	if _, err := l.App("app").State("statestore").Get(t.Context(), Get{Key: "k"}); err != nil {
		t.Errorf("what ran before: %v", err)
	}
	for spec, want := range map[string]error{
		"state.redis/v9":      errors.New(`has version "v9"`),
		"State.In-Memory/v1":  nil,
		"state.postgresql/v2": nil,
		"state.postgres/v1":   nil,
		"bindings.cron/v1":    errors.New("which the configuration denies"),
	} {
		c := declare("x", "")
		c.Type, c.Version, _ = strings.Cut(spec, "/")
		err := Check([]resource.Component{c}, []string{"bindings.cron"})
		if (err == nil) != (want == nil) || (err != nil && !strings.Contains(err.Error(), want.Error())) {
			t.Errorf("%s: got %v, want %v", spec, err, want)
		}
	}
}

// TestDegraded: a component whose needs are not met says so, does not stop the
// others, and recovers alone.
func TestDegraded(t *testing.T) {
	var changes atomic.Int64
	dir := t.TempDir()
	l := running(t, Options{Dir: dir, Changed: func() { changes.Add(1) }})
	secrets := declare("local", "secretstores.local.file", "secretsFile", "secrets.json")
	apply(t, l, secrets, declare("statestore", "state.in-memory"))
	if _, err := l.App("app").State("statestore").Get(t.Context(), Get{Key: "k"}); err != nil {
		t.Errorf("the other component: %v", err)
	}
	_, err := l.App("app").Secrets("local").Get(t.Context(), "k", nil)
	if e, ok := errors.AsType[*DegradedError](err); !ok || !strings.Contains(e.Error(), "component local (secretstores.local.file) is not available") {
		t.Errorf("got %v", err)
	}
	if s := status(t, l, "local"); s.Condition != Degraded || s.Tries == 0 || s.Next.IsZero() || s.Reason == "" {
		t.Errorf("status %+v", s)
	}
	before := changes.Load()
	if err := os.WriteFile(filepath.Join(dir, "secrets.json"), []byte(`{"k": "hidden"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the secret store recovers", func() bool { return status(t, l, "local").Condition == Ready })
	got, err := l.App("app").Secrets("local").Get(t.Context(), "k", nil)
	if err != nil || got["k"] != "hidden" {
		t.Errorf("got %v, %v", got, err)
	}
	if changes.Load() == before {
		t.Error("nobody was told of the recovery")
	}
}

// TestOutdated: a changed component that does not start leaves what it was in
// place, until it starts.
func TestOutdated(t *testing.T) {
	dir := t.TempDir()
	l := running(t, Options{Dir: dir})
	apply(t, l, declare("statestore", "state.in-memory"))
	store := l.App("app").State("statestore")
	if err := store.Put(t.Context(), Put{Key: "k", Value: []byte("old")}); err != nil {
		t.Fatal(err)
	}
	blocked := filepath.Join(dir, "blocked")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// No database can be below what is a file.
	apply(t, l, declare("statestore", "state.sqlite", "connectionString", filepath.Join(blocked, "state.db")))
	if s := status(t, l, "statestore"); s.Condition != Outdated || s.Type != "state.sqlite" || s.Reason == "" {
		t.Errorf("status %+v", s)
	}
	got, err := store.Get(t.Context(), Get{Key: "k"})
	if err != nil || string(got.Value) != "old" {
		t.Errorf("the old store: %q, %v", got.Value, err)
	}
	if err := os.Remove(blocked); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(blocked, 0o700); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new store serves", func() bool { return status(t, l, "statestore").Condition == Ready })
	got, err = store.Get(t.Context(), Get{Key: "k"})
	if err != nil || got.Value != nil {
		t.Errorf("the new store: %q, %v", got.Value, err)
	}
}

// TestDatabase: file names are below the project, whatever characters they
// have, and other connection strings stay.
func TestDatabase(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "50% #1")
	for value, want := range map[string]string{
		"a.db":                     "file:" + strings.NewReplacer("%", "%25", "#", "%23").Replace(dir) + "/a.db",
		"file:sub/a.db?cache=x":    "file:" + strings.NewReplacer("%", "%25", "#", "%23").Replace(dir) + "/sub/a.db?cache=x",
		"/tmp/a%20b.db":            "file:/tmp/a%2520b.db",
		"file:/tmp/a%20b.db":       "file:/tmp/a b.db",
		":memory:":                 ":memory:",
		"file:x?mode=memory":       "file:x?mode=memory",
		"file::memory:?cache=priv": "file::memory:?cache=priv",
	} {
		if got, err := database(dir, value); err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", value, got, err, want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "sub")); err != nil {
		t.Error(err)
	}
}

// TestMetadata: values come from secrets and the environment, and may name the
// app.
func TestMetadata(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secrets.json"), []byte(`{"db": {"file": "secret.db"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	l := running(t, Options{Dir: dir, Env: func(name string) (string, bool) { return "env.db", name == "DB_FILE" }})
	secrets := declare("local", "secretstores.local.file", "secretsFile", "secrets.json", "multiValued", "true")
	fromSecret := declare("a", "state.sqlite")
	fromSecret.SecretStore = "local"
	fromSecret.Metadata = []resource.Property{{Name: "connectionString", Secret: resource.SecretRef{Name: "db", Key: "file"}}}
	fromEnv := declare("b", "state.sqlite")
	fromEnv.Metadata = []resource.Property{{Name: "connectionString", Env: "DB_FILE"}}
	perApp := declare("c", "state.sqlite", "connectionString", "{appID}.db", "keyPrefix", "none")
	unset := declare("d", "state.sqlite")
	unset.Metadata = []resource.Property{{Name: "connectionString", Env: "NOWHERE"}}
	forbidden := declare("e", "state.sqlite")
	forbidden.Metadata = []resource.Property{{Name: "connectionString", Env: "DAPR_API_TOKEN"}}
	apply(t, l, fromSecret, fromEnv, perApp, unset, forbidden, secrets)
	for _, file := range []string{"secret.db", "env.db", "app.db", "other.db"} {
		if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
			t.Error(err)
		}
	}
	if err := l.App("app").State("c").Put(t.Context(), Put{Key: "k", Value: []byte("v")}); err != nil {
		t.Error(err)
	}
	if got, err := l.App("other").State("c").Get(t.Context(), Get{Key: "k"}); err != nil || got.Value != nil {
		t.Errorf("each app has its own database, but other got %q, %v", got.Value, err)
	}
	if s := status(t, l, "d"); !strings.Contains(s.Reason, "the environment variable NOWHERE is not set") {
		t.Error(s.Reason)
	}
	if s := status(t, l, "e"); !strings.Contains(s.Reason, "may not be used") {
		t.Error(s.Reason)
	}
	if got := l.App("app").Status(); len(got) != 6 || !slices.Contains(got[0].Capabilities, "ETAG") {
		t.Errorf("app sees %+v", got)
	}
}

// BenchmarkCall is what a call costs on top of the component itself.
func BenchmarkCall(b *testing.B) {
	l := New(Options{Dir: b.TempDir()})
	if err := l.Apply(b.Context(), Desired{Components: []resource.Component{declare("s", "state.in-memory")}}); err != nil {
		b.Fatal(err)
	}
	store := l.App("app").State("s")
	if err := store.Put(b.Context(), Put{Key: "k", Value: []byte("v")}); err != nil {
		b.Fatal(err)
	}
	b.Run("held", func(b *testing.B) {
		for b.Loop() {
			_, _, done, err := use[any](store.app, KindState, "s")
			if err != nil {
				b.Fatal(err)
			}
			done()
		}
	})
	b.Run("get", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := store.Get(b.Context(), Get{Key: "k"}); err != nil {
					b.Error(err)
				}
			}
		})
	})
	ctx, cancel := context.WithCancel(b.Context())
	cancel()
	if err := l.Run(ctx); err != nil {
		b.Error(err)
	}
}
