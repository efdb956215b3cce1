package deliver

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"

	"mesh/runtime/component"
	"mesh/runtime/flow"
)

// watch is the wish of an app to be told when values of a configuration change.
type watch struct {
	store    string
	keys     []string
	metadata map[string]string
}

func (w *watch) equal(o *watch) bool {
	return w.store == o.store && slices.Equal(w.keys, o.keys) && maps.Equal(w.metadata, o.metadata)
}

// Watch has the app told when keys of a configuration store change, all of them
// when none is named, until Unwatch, and gives the name of that. Who asks for the
// same again, as an app does that has restarted, gets the same name.
func (d *Deliverer) Watch(store string, keys []string, metadata map[string]string) (id string) {
	w := &watch{store: store, keys: slices.Clone(keys), metadata: maps.Clone(metadata)}
	slices.Sort(w.keys)
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, have := range d.watches {
		if have.equal(w) {
			return id
		}
	}
	if d.watches == nil {
		d.watches = map[string]*watch{}
	}
	id = rand.Text()
	d.watches[id] = w
	d.watched()
	return id
}

// Unwatch ends what Watch began and says whether there was such a thing.
func (d *Deliverer) Unwatch(store, id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if w := d.watches[id]; w == nil || w.store != store {
		return false
	}
	delete(d.watches, id)
	d.watched()
	return true
}

// watched tells watchAll to look; the caller has the lock.
func (d *Deliverer) watched() {
	select {
	case d.rewatch <- struct{}{}:
	default:
	}
}

// watchAll watches what is to be watched until ctx ends.
func (d *Deliverer) watchAll(ctx context.Context) {
	running := map[string]*task{}
	defer func() {
		for _, t := range running {
			<-t.done
		}
	}()
	for {
		d.mu.Lock()
		wanted := maps.Clone(d.watches)
		d.mu.Unlock()
		for id, t := range running {
			if wanted[id] == nil {
				t.stop()
				<-t.done
				delete(running, id)
			}
		}
		for id, w := range wanted {
			if running[id] != nil {
				continue
			}
			wctx, stop := context.WithCancel(ctx)
			t := &task{stop: stop, done: make(chan struct{})}
			running[id] = t
			go func() { // joined above
				defer close(t.done)
				defer stop()
				d.o.Components.Configuration(w.store).Watch(wctx, w.keys, w.metadata,
					func(cctx context.Context, changed map[string]component.Value) error {
						return d.tell(cctx, id, w.store, changed)
					})
			}()
		}
		select {
		case <-ctx.Done():
			return
		case <-d.rewatch:
		}
	}
}

// value is one value of a configuration store as apps get it.
type value struct {
	Value    string            `json:"value,omitempty"`
	Version  string            `json:"version,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
}

// tell posts what has changed to the path of each key.
func (d *Deliverer) tell(ctx context.Context, id, store string, changed map[string]component.Value) error {
	event := struct {
		ID    string           `json:"id"`
		Items map[string]value `json:"items"`
	}{ID: id, Items: map[string]value{}}
	for key, v := range changed {
		event.Items[key] = value(v)
	}
	body, err := json.Marshal(event)
	if err != nil {
		return fmt.Errorf("writing what has changed: %w", err)
	}
	for key := range changed {
		if err := d.tellKey(ctx, store, key, body); err != nil && ctx.Err() == nil {
			d.o.Log.WarnContext(ctx, "telling the app that its configuration has changed",
				slog.String("store", store), slog.String("key", key), slog.Any("error", err))
		}
	}
	return nil
}

func (d *Deliverer) tellKey(ctx context.Context, store, key string, body []byte) (err error) {
	path := "configuration/" + store + "/" + key
	f := d.o.Flows.Begin(flow.Head{Caller: store, Callee: d.o.AppID, Verb: "change", Path: "/" + path, Kind: "configuration"})
	defer func() { f.End(err) }()
	f.Mark(flow.Request, flow.CallerIn, len(body))
	status, answer, err := httpApp{d.o}.post(ctx, f, path, http.Header{"Content-Type": {"application/json"}}, body)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("the app answered %d: %s", status, shorten(answer))
		f.Answered(err)
	}
	return err
}
