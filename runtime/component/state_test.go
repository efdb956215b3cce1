package component

import (
	"encoding/json"
	"errors"
	"testing"

	"mesh/runtime/resource"
)

// stores are the state stores that need no server.
func stores(t *testing.T) map[string]resource.Component {
	t.Helper()
	return map[string]resource.Component{
		"in-memory": declare("s", "state.in-memory"),
		"sqlite":    declare("s", "state.sqlite", "connectionString", "state.db"),
	}
}

// TestState holds every store to the same behaviour.
func TestState(t *testing.T) {
	for name, spec := range stores(t) {
		t.Run(name, func(t *testing.T) {
			l := running(t, Options{})
			apply(t, l, spec)
			testState(t, l)
		})
	}
}

func testState(t *testing.T, l *Live) {
	t.Helper()
	ctx, store := t.Context(), l.App("app").State("s")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(store.Put(ctx, Put{Key: "a", Value: json.RawMessage(`{"n": 1}`)}, Put{Key: "b", Value: "text"}, Put{Key: "c", Value: 3}))
	got, err := store.Get(ctx, Get{Key: "a"})
	must(err)
	if string(got.Value) != `{"n":1}` && string(got.Value) != `{"n": 1}` {
		t.Errorf("a is %s", got.Value)
	}
	if got.ETag == nil {
		t.Fatal("a has no ETag")
	}
	if other, err := l.App("other").State("s").Get(ctx, Get{Key: "a"}); err != nil || other.Value != nil {
		t.Errorf("another app sees %q, %v", other.Value, err)
	}

	wrong := "7777"
	err = store.Put(ctx, Put{Key: "a", Value: 2, ETag: &wrong, Concurrency: "first-write"})
	if e, ok := errors.AsType[*ETagError](err); !ok {
		t.Errorf("a wrong ETag: %v", err)
	} else if e.Err == nil {
		t.Errorf("the error says nothing: %v", err)
	}
	must(store.Put(ctx, Put{Key: "a", Value: 2, ETag: got.ETag}))

	items, err := store.GetAll(ctx, []Get{{Key: "a"}, {Key: "b"}, {Key: "missing"}}, 2)
	must(err)
	values := map[string]string{}
	for _, i := range items {
		values[i.Key] = string(i.Value)
	}
	if len(items) != 3 || values["a"] != "2" || values["b"] != `"text"` || values["missing"] != "" {
		t.Errorf("several: %v", values)
	}

	must(store.Transact(ctx, []Put{{Key: "a", Delete: true}, {Key: "d", Value: []byte("raw")}}, nil))
	if got, err := store.Get(ctx, Get{Key: "a"}); err != nil || got.Value != nil {
		t.Errorf("deleted in a transaction, but %q, %v", got.Value, err)
	}
	if got, err := store.Get(ctx, Get{Key: "d"}); err != nil || string(got.Value) != "raw" {
		t.Errorf("saved in a transaction, but %q, %v", got.Value, err)
	}
	must(store.Put(ctx, Put{Key: "b", Delete: true}, Put{Key: "c", Delete: true}, Put{Key: "never", Delete: true}))
	if got, err := store.Get(ctx, Get{Key: "b"}); err != nil || got.Value != nil {
		t.Errorf("deleted, but %q, %v", got.Value, err)
	}

	must(store.Put(ctx, Put{Key: "short", Value: 1, Metadata: map[string]string{"ttlInSeconds": "1"}}))
	eventually(t, "a key with a time to live goes", func() bool {
		got, err := store.Get(ctx, Get{Key: "short"})
		return err == nil && got.Value == nil
	})

	for _, key := range []string{"", "a||b"} {
		err := store.Put(ctx, Put{Key: key, Value: 1})
		if illegal, ok := errors.AsType[*IllegalKeyError](err); !ok || illegal.Key != key {
			t.Errorf("key %q: %v", key, err)
		}
	}
}

// TestBulkErrors: of several keys, those that failed are named.
func TestBulkErrors(t *testing.T) {
	l := running(t, Options{})
	apply(t, l, declare("s", "state.in-memory"))
	store := l.App("app").State("s")
	wrong := "7777"
	err := store.Put(t.Context(), Put{Key: "good", Value: 1}, Put{Key: "bad", Value: 1, ETag: &wrong}, Put{Key: "fine", Value: 1})
	e, ok := errors.AsType[*KeyError](err)
	if !ok || e.Key != "bad" {
		t.Fatalf("got %v", err)
	}
	if _, ok := errors.AsType[*ETagError](err); !ok {
		t.Errorf("no ETagError in %v", err)
	}
}

// TestKeyPrefix: keys are stored as Dapr stores them, so that data is shared
// with what ran under Dapr.
// TestKeyPrefix: keys stand in a store as a daprd writes them.
func TestKeyPrefix(t *testing.T) {
	for _, tc := range []struct{ namespace, prefix, want string }{
		{"", "", "App||k"},
		{"", "AppID", "App||k"},
		{"", "name", "s||k"},
		{"", "none", "k"},
		{"", "Mine", "mine||k"},
		{"", "{appID}-Mine", "app-mine||k"},
		{"", "namespace", "App||k"},
		{"shop", "namespace", "shop.App||k"},
		{"shop", "appid", "App||k"},
	} {
		t.Run(tc.namespace+" "+tc.prefix, func(t *testing.T) {
			l := running(t, Options{Namespace: tc.namespace})
			prefix, want := tc.prefix, tc.want
			spec := declare("s", "state.sqlite", "connectionString", "state.db")
			if prefix != "" {
				spec.Metadata = append(spec.Metadata, resource.Property{Name: "keyprefix", Value: prefix})
			}
			if err := l.Apply(t.Context(), Desired{Components: []resource.Component{spec}, Apps: []string{"App"}}); err != nil {
				t.Fatal(err)
			}
			if err := l.App("App").State("s").Put(t.Context(), Put{Key: "k", Value: []byte("v")}); err != nil {
				t.Fatal(err)
			}
			_, sl, done, err := use[any](l.App("App"), KindState, "s")
			if err != nil {
				t.Fatal(err)
			}
			defer done()
			keys := storedKeys(t, sl)
			if len(keys) != 1 || keys[0] != want {
				t.Errorf("stored as %v, want %s", keys, want)
			}
		})
	}
}
