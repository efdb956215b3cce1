package deliver

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mesh/runtime/component"
	"mesh/runtime/component/servertest"
	"mesh/runtime/resource"
	"mesh/runtime/stream"
)

// told is a change that an app was told of.
type told struct{ path, body string }

// toldApp is an app that is told of changes.
type toldApp struct {
	app

	fails atomic.Bool
	told  chan told
}

func (a *toldApp) Handle(_ context.Context, c *stream.Call) (*stream.Reply, error) {
	status := http.StatusNotFound
	if c.Verb == http.MethodPost {
		body, err := io.ReadAll(c.Body)
		if err != nil {
			return nil, err
		}
		a.told <- told{c.Path, string(body)}
		if status = http.StatusOK; a.fails.Load() {
			status = http.StatusInternalServerError
		}
	}
	return &stream.Reply{Status: status, Body: io.NopCloser(strings.NewReader("")), Length: 0}, nil
}

// TestConfigurationOverHTTP: an app that asked for keys is told what changes,
// once however often it asked, until it has had enough.
func TestConfigurationOverHTTP(t *testing.T) {
	redis := servertest.Redis(t)
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", redis.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	set := func(key, value string) {
		t.Helper()
		if _, err := io.WriteString(conn, "SET "+key+" "+value+"\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	w := newWorld(t)
	if err := w.live.Apply(w.ctx, component.Desired{Components: []resource.Component{
		{Name: "settings", Type: "configuration.redis", Version: "v1", Metadata: []resource.Property{{Name: "redisHost", Value: redis.Addr}}},
	}}); err != nil {
		t.Fatal(err)
	}
	a := &toldApp{app: app{id: "a"}, told: make(chan told, 100)}
	a.world, a.moved = w, make(chan struct{})
	d := New(Options{AppID: "a", Components: w.live.App("a"), App: a, Gate: a, Log: quiet()})
	id := d.Watch("settings", []string{"color", "size"}, nil) // before Run: it begins with it
	ctx, stop := context.WithCancel(w.ctx)
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	if again := d.Watch("settings", []string{"size", "color"}, nil); again != id {
		t.Error("asking for the same again begins something else")
	}
	other := d.Watch("settings", []string{"shape"}, nil)
	if other == id {
		t.Error("two subscriptions have one name")
	}
	change := func(key, value string) told {
		t.Helper()
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		deadline := time.After(patience)
		for {
			set(key, value)
			select {
			case got := <-a.told:
				return got
			case <-tick.C:
			case <-deadline:
				t.Fatal("the app is not told of a change")
			}
		}
	}
	got := change("color", "red")
	var event struct {
		ID    string
		Items map[string]struct{ Value string }
	}
	if err := json.Unmarshal([]byte(got.body), &event); err != nil {
		t.Fatal(err)
	}
	if got.path != "configuration/settings/color" || event.ID != id || event.Items["color"].Value != "red" {
		t.Errorf("the app is told %+v", got)
	}
	if !d.Unwatch("settings", id) || d.Unwatch("settings", id) || d.Unwatch("elsewhere", other) {
		t.Error("a subscription does not end once, by its name and store")
	}
	// What is told once the other one has been told of something is told of it alone.
	for got.path != "configuration/settings/shape" {
		got = change("shape", "round")
	}
	set("color", "green")
	for range 3 {
		if got = change("shape", "square"); got.path != "configuration/settings/shape" {
			t.Errorf("after the end of its subscription the app is told %+v", got)
		}
	}
	a.fails.Store(true) // which changes nothing
	change("shape", "flat")
	change("shape", "flatter")
}
