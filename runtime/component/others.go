package component

import (
	"context"
	"fmt"

	"github.com/dapr/components-contrib/configuration"
	"github.com/dapr/components-contrib/lock"
	"github.com/dapr/components-contrib/secretstores"
)

// Secrets is a secret store as an app sees it. Which secrets the app may read
// is for the caller to decide.
type Secrets struct {
	app  *App
	name string
}

// Secrets gives the secret store of a name. That it is there is checked by each
// operation, not here.
func (a *App) Secrets(name string) *Secrets { return &Secrets{app: a, name: name} }

// Get reads one secret, which may have several keys.
func (s *Secrets) Get(ctx context.Context, key string, metadata map[string]string) (map[string]string, error) {
	store, _, done, err := use[secretstores.SecretStore](s.app, KindSecrets, s.name)
	if err != nil {
		return nil, err
	}
	defer done()
	got, err := store.GetSecret(ctx, secretstores.GetSecretRequest{Name: key, Metadata: metadata})
	return got.Data, err
}

// All reads every secret by name.
func (s *Secrets) All(ctx context.Context, metadata map[string]string) (map[string]map[string]string, error) {
	store, _, done, err := use[secretstores.SecretStore](s.app, KindSecrets, s.name)
	if err != nil {
		return nil, err
	}
	defer done()
	got, err := store.BulkGetSecret(ctx, secretstores.BulkGetSecretRequest{Metadata: metadata})
	return got.Data, err
}

// Configuration is a configuration store as an app sees it.
type Configuration struct {
	app  *App
	name string
}

// Configuration gives the configuration store of a name. That it is there is
// checked by each operation, not here.
func (a *App) Configuration(name string) *Configuration { return &Configuration{app: a, name: name} }

// Value is one configuration value.
type Value struct {
	Value, Version string
	Metadata       map[string]string
}

// Get reads keys; none means all of them.
func (c *Configuration) Get(ctx context.Context, keys []string, metadata map[string]string) (map[string]Value, error) {
	store, _, done, err := use[configuration.Store](c.app, KindConfiguration, c.name)
	if err != nil {
		return nil, err
	}
	defer done()
	got, err := store.Get(ctx, &configuration.GetRequest{Keys: keys, Metadata: metadata})
	if err != nil || got == nil {
		return nil, err
	}
	return values(got.Items), nil
}

// Watch calls changed with what changed until ctx ends. It goes on while the
// component is swapped, away, or not there yet, and trouble is logged.
func (c *Configuration) Watch(ctx context.Context, keys []string, metadata map[string]string, changed func(context.Context, map[string]Value) error) {
	c.app.live.follow(ctx, &follower{
		app: c.app.id, kind: KindConfiguration, name: c.name,
		attach: func(ctx context.Context, s *slot) (*unit, func(), error) {
			u, err := s.hold()
			if err != nil {
				return nil, nil, err
			}
			store, ok := u.raw.(configuration.Store)
			if !ok {
				s.release(u)
				return nil, nil, unsupported(c.name, "watching")
			}
			watching, stop := context.WithCancel(ctx)
			id, err := store.Subscribe(watching, &configuration.SubscribeRequest{Keys: keys, Metadata: metadata},
				func(ctx context.Context, e *configuration.UpdateEvent) error { return changed(ctx, values(e.Items)) })
			if err != nil {
				stop()
				s.release(u)
				return nil, nil, fmt.Errorf("watching %s: %w", c.name, err)
			}
			return u, func() {
				limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
				defer cancel()
				_ = store.Unsubscribe(limited, &configuration.UnsubscribeRequest{ID: id}) // it ends with its context in any case
				stop()
				s.release(u)
			}, nil
		},
	})
}

func values(items map[string]*configuration.Item) map[string]Value {
	all := make(map[string]Value, len(items))
	for key, item := range items {
		if item != nil {
			all[key] = Value{Value: item.Value, Version: item.Version, Metadata: item.Metadata}
		}
	}
	return all
}

// Locks is a lock component as an app sees it.
type Locks struct {
	app  *App
	name string
}

// Locks gives the lock component of a name. That it is there is checked by each
// operation, not here.
func (a *App) Locks(name string) *Locks { return &Locks{app: a, name: name} }

// TryLock takes a lock for some seconds, unless someone has it.
func (l *Locks) TryLock(ctx context.Context, resource, owner string, seconds int32) (bool, error) {
	store, sl, done, err := use[lock.Store](l.app, KindLock, l.name)
	if err != nil {
		return false, err
	}
	defer done()
	got, err := store.TryLock(ctx, &lock.TryLockRequest{ResourceID: l.key(sl, resource), LockOwner: owner, ExpiryInSeconds: seconds})
	if err != nil || got == nil {
		return false, err
	}
	return got.Success, nil
}

// Unlocked says how an attempt to give a lock back ended.
type Unlocked int32

// Results of Unlock, numbered as Dapr does.
const (
	UnlockDone   Unlocked = 0
	UnlockNone   Unlocked = 1 // there is no such lock
	UnlockOthers Unlocked = 2 // someone else has it
	UnlockFailed Unlocked = 3
)

// Unlock gives a lock back.
func (l *Locks) Unlock(ctx context.Context, resource, owner string) (Unlocked, error) {
	store, sl, done, err := use[lock.Store](l.app, KindLock, l.name)
	if err != nil {
		return UnlockFailed, err
	}
	defer done()
	got, err := store.Unlock(ctx, &lock.UnlockRequest{ResourceID: l.key(sl, resource), LockOwner: owner})
	if err != nil || got == nil {
		return UnlockFailed, err
	}
	return Unlocked(got.Status), nil
}

// key keeps the locks of apps apart, as the keys of state are.
func (l *Locks) key(sl *slot, resource string) string {
	state := State{app: l.app, name: l.name}
	return "lock" + separator + state.prefix(sl) + resource
}
