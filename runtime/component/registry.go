package component

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dapr/components-contrib/bindings"
	"github.com/dapr/components-contrib/bindings/cron"
	bindkafka "github.com/dapr/components-contrib/bindings/kafka"
	bindredis "github.com/dapr/components-contrib/bindings/redis"
	"github.com/dapr/components-contrib/configuration"
	confpostgres "github.com/dapr/components-contrib/configuration/postgres"
	"github.com/dapr/components-contrib/lock"
	lockredis "github.com/dapr/components-contrib/lock/redis"
	"github.com/dapr/components-contrib/metadata"
	"github.com/dapr/components-contrib/pubsub"
	"github.com/dapr/components-contrib/pubsub/jetstream"
	pubkafka "github.com/dapr/components-contrib/pubsub/kafka"
	mqtt "github.com/dapr/components-contrib/pubsub/mqtt3"
	pubredis "github.com/dapr/components-contrib/pubsub/redis"
	"github.com/dapr/components-contrib/secretstores"
	localenv "github.com/dapr/components-contrib/secretstores/local/env"
	localfile "github.com/dapr/components-contrib/secretstores/local/file"
	"github.com/dapr/components-contrib/state"
	postgresv1 "github.com/dapr/components-contrib/state/postgresql/v1"
	postgresv2 "github.com/dapr/components-contrib/state/postgresql/v2"
	stateredis "github.com/dapr/components-contrib/state/redis"
	"github.com/dapr/components-contrib/state/sqlite"
	"github.com/dapr/kit/logger"

	"mesh/runtime/resource"
)

// maker makes components of one type and version.
type maker struct {
	new   func(logger.Logger) backend
	files []string // metadata that are file names, in lower case
	dbs   []string // metadata that name SQLite databases, in lower case
	// shared: subscribers must use the very instance that publishers use.
	shared bool
	// forgets: the component takes a failed delivery for a done one, as long as
	// the context of the delivery has not ended.
	forgets bool
	// closesFirst: ending the last subscription and closing at the same time
	// would make the component write to a map from two goroutines.
	closesFirst bool
	// givesUp: after some time without its server the component does not come
	// back, so that another one takes its place when the server does.
	givesUp bool
	server  where // how its servers are named, for those that cannot be asked
	// mixesUp: two subscriptions that begin at the same time take each other's
	// answers from the server, so that each needs a component of its own.
	mixesUp bool
}

// backend is a component of contrib before and while it runs.
type backend struct {
	raw          any // the interface of its kind: state.Store, pubsub.PubSub …
	init         func(context.Context, metadata.Base) error
	close        func() error
	capabilities func() []string
}

// makers is every type that exists, by type and, where there are several, by
// "type/version".
func makers() map[string]maker {
	all := middlewareMakers()
	maps.Copy(all, map[string]maker{
		"state.in-memory":     {new: stateBackend(newMemoryState)},
		"state.sqlite":        {new: stateBackend(sqlite.NewSQLiteStateStore), dbs: []string{"connectionstring", "url"}},
		"state.redis":         {new: stateBackend(stateredis.NewRedisStateStore)},
		"state.postgresql/v1": {new: stateBackend(postgresv1.NewPostgreSQLStateStore), server: where{"connectionString", "5432"}},
		"state.postgresql/v2": {new: stateBackend(postgresv2.NewPostgreSQLStateStore), server: where{"connectionString", "5432"}},

		"pubsub.in-memory": {new: pubsubBackend(newMemory), shared: true},
		"pubsub.redis":     {new: pubsubBackend(pubredis.NewRedisStreams), forgets: true},
		"pubsub.jetstream": {new: pubsubBackend(jetstream.NewJetStream), givesUp: true, server: where{"natsURL", "4222"}},
		"pubsub.kafka":     {new: pubsubBackend(pubkafka.NewKafka), server: where{"brokers", "9092"}},
		"pubsub.rabbitmq":  {new: pubsubBackend(newRabbit), mixesUp: true, server: where{"connectionString", "5672"}},
		"pubsub.mqtt3":     {new: pubsubBackend(mqtt.NewMQTTPubSub), forgets: true, closesFirst: true, server: where{"url", "1883"}},

		"bindings.cron":         {new: bindingBackend(cron.NewCron)},
		"bindings.http":         {new: bindingBackend(newWeb)},
		"bindings.localstorage": {new: bindingBackend(newFiles), files: []string{"rootpath"}},
		"bindings.redis":        {new: bindingBackend(bindredis.NewRedis)},
		"bindings.kafka":        {new: bindingBackend(bindkafka.NewKafka), server: where{"brokers", "9092"}},

		"secretstores.local.env":  {new: secretsBackend(localenv.NewEnvSecretStore)},
		"secretstores.local.file": {new: secretsBackend(localfile.NewLocalSecretStore), files: []string{"secretsfile"}},

		"configuration.redis":      {new: configurationBackend(newRedisConfiguration), server: where{"redisHost", "6379"}},
		"configuration.postgresql": {new: configurationBackend(confpostgres.NewPostgresConfigurationStore), server: where{"connectionString", "5432"}},

		"lock.redis": {new: lockBackend(lockredis.NewStandaloneRedisLock), server: where{"redisHost", "6379"}},
	})
	return all
}

// aliases are other names of types.
func aliases() map[string]string {
	return map[string]string{"state.postgres": "state.postgresql", "configuration.postgres": "configuration.postgresql"}
}

func stateBackend[T state.Store](create func(logger.Logger) T) func(logger.Logger) backend {
	return func(log logger.Logger) backend {
		c := create(log)
		return backend{
			raw:   state.Store(c),
			close: c.Close,
			init: func(ctx context.Context, m metadata.Base) error {
				return c.Init(ctx, state.Metadata{Base: m})
			},
			capabilities: func() []string {
				all := names(c.Features())
				if slices.Contains(all, string(state.FeatureETag)) && slices.Contains(all, string(state.FeatureTransactional)) {
					all = append(all, "ACTOR")
				}
				return all
			},
		}
	}
}

func pubsubBackend[T pubsub.PubSub](create func(logger.Logger) T) func(logger.Logger) backend {
	return func(log logger.Logger) backend {
		c := create(log)
		return backend{
			raw:          pubsub.PubSub(c),
			close:        c.Close,
			init:         func(ctx context.Context, m metadata.Base) error { return c.Init(ctx, pubsub.Metadata{Base: m}) },
			capabilities: func() []string { return names(c.Features()) },
		}
	}
}

// binding is what input and output bindings have in common.
type binding interface {
	Init(ctx context.Context, m bindings.Metadata) error
	Close() error
}

func bindingBackend[T binding](create func(logger.Logger) T) func(logger.Logger) backend {
	return func(log logger.Logger) backend {
		c := create(log)
		return backend{
			raw:   binding(c),
			close: c.Close,
			init:  func(ctx context.Context, m metadata.Base) error { return c.Init(ctx, bindings.Metadata{Base: m}) },
			capabilities: func() []string {
				var all []string
				if _, ok := any(c).(bindings.InputBinding); ok {
					all = append(all, "INPUT_BINDING")
				}
				if _, ok := any(c).(bindings.OutputBinding); ok {
					all = append(all, "OUTPUT_BINDING")
				}
				return all
			},
		}
	}
}

func secretsBackend[T secretstores.SecretStore](create func(logger.Logger) T) func(logger.Logger) backend {
	return func(log logger.Logger) backend {
		c := create(log)
		return backend{
			raw:          secretstores.SecretStore(c),
			close:        c.Close,
			init:         func(ctx context.Context, m metadata.Base) error { return c.Init(ctx, secretstores.Metadata{Base: m}) },
			capabilities: func() []string { return names(c.Features()) },
		}
	}
}

func configurationBackend[T configuration.Store](create func(logger.Logger) T) func(logger.Logger) backend {
	return func(log logger.Logger) backend {
		c := create(log)
		return backend{
			raw:          configuration.Store(c),
			close:        c.Close,
			init:         func(ctx context.Context, m metadata.Base) error { return c.Init(ctx, configuration.Metadata{Base: m}) },
			capabilities: func() []string { return nil },
		}
	}
}

func lockBackend[T lock.Store](create func(logger.Logger) T) func(logger.Logger) backend {
	return func(log logger.Logger) backend {
		c := create(log)
		return backend{
			raw:          lock.Store(c),
			close:        c.Close,
			init:         func(ctx context.Context, m metadata.Base) error { return c.InitLockStore(ctx, lock.Metadata{Base: m}) },
			capabilities: func() []string { return nil },
		}
	}
}

func names[T ~string](features []T) []string {
	all := make([]string, len(features))
	for i, f := range features {
		all[i] = string(f)
	}
	return all
}

// lookup finds the maker of a type and version.
func lookup(types map[string]maker, typ, version string) (maker, bool) {
	typ = strings.ToLower(typ)
	if a, ok := aliases()[typ]; ok {
		typ = a
	}
	version = strings.ToLower(version)
	if m, ok := types[typ+"/"+version]; ok {
		return m, true
	}
	m, ok := types[typ]
	return m, ok && (version == "" || version == "v0" || version == "v1")
}

// kindOf gives the building block of a type.
func kindOf(typ string) Kind {
	kind, _, _ := strings.Cut(strings.ToLower(typ), ".")
	return Kind(kind)
}

// Types lists the types of components that exist, sorted.
func Types() []string {
	var all []string
	for name := range maps.Keys(makers()) {
		typ, _, _ := strings.Cut(name, "/")
		all = append(all, typ)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Check reports, as resource.Errors, components that can never start: of types
// that do not exist or that are denied.
func Check(specs []resource.Component, denied []string) error {
	var errs resource.Errors
	types := makers()
	for i := range specs {
		c := &specs[i]
		e := &resource.Error{Place: c.Place}
		switch _, ok := lookup(types, c.Type, c.Version); {
		case slices.Contains(denied, strings.ToLower(c.Type)), slices.Contains(denied, strings.ToLower(c.Type+"/"+c.Version)):
			e.Msg = fmt.Sprintf("component %s has the type %s, which the configuration denies", c.Name, c.Type)
		case ok:
			continue
		case slices.Contains(Types(), strings.ToLower(c.Type)):
			e.Msg = fmt.Sprintf("component %s has version %q, which does not exist for %s", c.Name, c.Version, c.Type)
		default:
			e.Msg = fmt.Sprintf("component %s has the unknown type %q", c.Name, c.Type)
			e.Hint = "types are " + strings.Join(similar(c.Type), ", ")
		}
		errs = append(errs, e)
	}
	if len(errs) > 0 {
		return errs
	}
	return nil
}

// similar gives the types of the same kind, or all when the kind is unknown.
func similar(typ string) []string {
	var some []string
	for _, t := range Types() {
		if kindOf(t) == kindOf(typ) {
			some = append(some, t)
		}
	}
	if some == nil {
		return Types()
	}
	return some
}
