package component

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"

	redisclient "github.com/dapr/components-contrib/common/component/redis"
	"github.com/dapr/components-contrib/configuration"
	confredis "github.com/dapr/components-contrib/configuration/redis"
	"github.com/dapr/components-contrib/metadata"
	"github.com/dapr/kit/logger"
)

// redisConfiguration is contrib's Redis with watchers that are waited for.
// Contrib's closes the connection while its watchers still read from it, and
// one that finds it closed before it has seen that it is to end panics in a
// goroutine of its own, which takes the whole mesh along.
type redisConfiguration struct {
	configuration.Store // reads
	log                 logger.Logger
	client              redisclient.RedisClient // of the watchers
	channel             string                  // where changes of a key are told, without the key

	mu       sync.Mutex
	closed   bool
	watches  map[string]context.CancelFunc // by id
	watching sync.WaitGroup
}

func newRedisConfiguration(log logger.Logger) configuration.Store {
	return &redisConfiguration{Store: confredis.NewRedisConfigurationStore(log), log: log, watches: map[string]context.CancelFunc{}}
}

// Init implements configuration.Store.
func (r *redisConfiguration) Init(ctx context.Context, m configuration.Metadata) error {
	properties := maps.Clone(m.Properties) // reading them changes them
	if err := r.Store.Init(ctx, m); err != nil {
		return err
	}
	client, settings, err := redisclient.ParseClientFromProperties(properties, metadata.ConfigurationStoreType, ctx, &r.log)
	if err != nil {
		return err
	}
	r.client, r.channel = client, fmt.Sprintf("__keyspace@%d__:", settings.DB)
	return nil
}

// Subscribe implements configuration.Store; no keys means all.
func (r *redisConfiguration) Subscribe(ctx context.Context, req *configuration.SubscribeRequest, handler configuration.UpdateHandler) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return "", errors.New("the store is closed")
	}
	id := rand.Text()
	ctx, stop := context.WithCancel(ctx)
	r.watches[id] = stop
	args := redisclient.ConfigurationSubscribeArgs{
		ID: id, Req: req, Handler: handler, RedisChannel: r.channel + "*", IsAllKeysChannel: true, HandleSubscribedChange: r.changed,
	}
	if len(req.Keys) == 0 {
		r.watching.Go(func() { r.client.ConfigurationSubscribe(ctx, &args) })
	}
	for _, key := range req.Keys {
		one := args
		one.RedisChannel, one.IsAllKeysChannel = r.channel+key, false
		r.watching.Go(func() { r.client.ConfigurationSubscribe(ctx, &one) })
	}
	return id, nil
}

// changed tells what a key has become; one that is gone has an empty value.
func (r *redisConfiguration) changed(ctx context.Context, req *configuration.SubscribeRequest, handler configuration.UpdateHandler, channel, id string) {
	key := strings.TrimPrefix(channel, r.channel)
	got, err := r.Get(ctx, &configuration.GetRequest{Keys: []string{key}, Metadata: req.Metadata})
	if err != nil {
		r.log.Errorf("reading %s, which has changed: %v", key, err)
		return
	}
	if len(got.Items) == 0 {
		got.Items = map[string]*configuration.Item{key: {}}
	}
	if err := handler(ctx, &configuration.UpdateEvent{ID: id, Items: got.Items}); err != nil {
		r.log.Errorf("telling of %s, which has changed: %v", key, err)
	}
}

// Unsubscribe implements configuration.Store.
func (r *redisConfiguration) Unsubscribe(_ context.Context, req *configuration.UnsubscribeRequest) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	stop, ok := r.watches[req.ID]
	if !ok {
		return fmt.Errorf("there is no subscription %s", req.ID)
	}
	delete(r.watches, req.ID)
	stop()
	return nil
}

// Close ends the watchers, waits for them, and closes the connections.
func (r *redisConfiguration) Close() error {
	r.mu.Lock()
	r.closed = true
	for _, stop := range r.watches {
		stop()
	}
	r.mu.Unlock()
	r.watching.Wait()
	err := r.Store.Close()
	if r.client != nil {
		err = errors.Join(err, r.client.Close())
	}
	return err
}
