package component

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// storedKeys reads the keys of a SQLite state store, past the store.
func storedKeys(t *testing.T, s *slot) []string {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(s.opt.Dir, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), "SELECT key FROM state")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var keys []string
	for rows.Next() {
		var key string
		if err := rows.Scan(&key); err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestCron(t *testing.T) {
	l := running(t, Options{})
	apply(t, l, declare("tick", "bindings.cron", "schedule", "@every 1s", "direction", "input"))
	app := l.App("app")
	if got := app.Inputs(); !slices.Equal(got, []string{"tick"}) {
		t.Errorf("inputs are %v", got)
	}
	if _, err := app.Binding("tick").Invoke(t.Context(), "create", Payload{}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("a clock cannot be asked: %v", err)
	}
	ticks := make(chan Payload, 10)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		app.Binding("tick").Read(ctx, func(_ context.Context, p Payload) ([]byte, error) {
			ticks <- p
			return nil, nil
		})
		close(done)
	}()
	for range 2 {
		select {
		case p := <-ticks:
			if p.Metadata["readTimeUTC"] == "" {
				t.Errorf("no time in %v", p.Metadata)
			}
		case <-time.After(wait):
			t.Fatal("no tick")
		}
	}
	cancel()
	<-done
}

// TestInputBindingMoves: an event that an app works on while its binding is
// swapped is worked on to its end, and events go on from the new binding.
func TestInputBindingMoves(t *testing.T) {
	l := running(t, Options{})
	apply(t, l, declare("tick", "bindings.cron", "schedule", "@every 20ms"))
	var ticks atomic.Int64
	got, goOn, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		var first sync.Once
		l.App("app").Binding("tick").Read(ctx, func(ctx context.Context, _ Payload) ([]byte, error) {
			first.Do(func() {
				close(got)
				<-goOn
				ended <- ctx.Err()
			})
			ticks.Add(1)
			return nil, nil
		})
	}()
	<-got
	apply(t, l, declare("tick", "bindings.cron", "schedule", "@every 30ms"))
	close(goOn)
	if err := <-ended; err != nil {
		t.Errorf("the event that was under way was broken off: %v", err)
	}
	before := ticks.Load()
	eventually(t, "events after the swap", func() bool { return ticks.Load() > before+5 })
	cancel()
	<-done
}

func TestOutputBindings(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = w.Write([]byte(r.Method + " " + r.URL.Path))
	}))
	defer srv.Close()
	l := running(t, Options{})
	apply(t, l, declare("web", "bindings.http", "url", srv.URL), declare("files", "bindings.localstorage", "rootPath", "files"))
	app := l.App("app")
	got, err := app.Binding("web").Invoke(t.Context(), "get", Payload{Metadata: map[string]string{"path": "/x"}})
	if err != nil || string(got.Data) != "GET /x" || got.Metadata["statusCode"] != "200" {
		t.Errorf("got %q %v, %v", got.Data, got.Metadata, err)
	}
	files := app.Binding("files")
	name := map[string]string{"fileName": "a/b.txt"}
	if _, err := files.Invoke(t.Context(), "create", Payload{Data: []byte("hello"), Metadata: name}); err != nil {
		t.Fatal(err)
	}
	if got, err := files.Invoke(t.Context(), "get", Payload{Metadata: name}); err != nil || string(got.Data) != "hello" {
		t.Errorf("got %q, %v", got.Data, err)
	}
	if len(app.Inputs()) != 0 {
		t.Errorf("inputs are %v", app.Inputs())
	}
}

func TestNotThere(t *testing.T) {
	app := running(t, Options{}).App("app")
	ctx := t.Context()
	_, secret := app.Secrets("x").Get(ctx, "k", nil)
	_, secrets := app.Secrets("x").All(ctx, nil)
	_, conf := app.Configuration("x").Get(ctx, nil, nil)
	_, locked := app.Locks("x").TryLock(ctx, "r", "o", 1)
	_, unlocked := app.Locks("x").Unlock(ctx, "r", "o")
	_, bound := app.Binding("x").Invoke(ctx, "get", Payload{})
	published := app.PubSub("x").Publish(ctx, &Message{})
	for kind, err := range map[Kind]error{
		KindSecrets: errors.Join(secret, secrets), KindConfiguration: conf, KindLock: errors.Join(locked, unlocked),
		KindBinding: bound, KindPubSub: published,
	} {
		if e, ok := errors.AsType[*NotFoundError](err); !ok || e.Kind != kind || !e.None {
			t.Errorf("%s: %v", kind, err)
		}
	}
}
