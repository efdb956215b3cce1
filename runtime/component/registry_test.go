package component

import (
	"log/slog"
	"slices"
	"testing"

	"github.com/dapr/components-contrib/bindings"
	"github.com/dapr/components-contrib/configuration"
	"github.com/dapr/components-contrib/lock"
	"github.com/dapr/components-contrib/pubsub"
	"github.com/dapr/components-contrib/secretstores"
	"github.com/dapr/components-contrib/state"
)

// TestEveryType: each type can be made and is of its kind; none is missing.
func TestEveryType(t *testing.T) {
	for _, typ := range []string{
		"bindings.cron", "bindings.http", "bindings.kafka", "bindings.localstorage", "bindings.redis",
		"configuration.postgresql", "configuration.redis", "lock.redis",
		"pubsub.in-memory", "pubsub.jetstream", "pubsub.kafka", "pubsub.mqtt3", "pubsub.rabbitmq", "pubsub.redis",
		"secretstores.local.env", "secretstores.local.file",
		"state.in-memory", "state.postgresql", "state.redis", "state.sqlite",
	} {
		if !slices.Contains(Types(), typ) {
			t.Errorf("there is no %s", typ)
		}
	}
	for name, m := range makers() {
		b := m.new(contribLog{to: slog.New(slog.DiscardHandler)})
		ok := false
		switch kindOf(name) {
		case KindState:
			_, ok = b.raw.(state.Store)
		case KindPubSub:
			_, ok = b.raw.(pubsub.PubSub)
		case KindBinding:
			_, in := b.raw.(bindings.InputBinding)
			_, out := b.raw.(bindings.OutputBinding)
			ok = in || out
		case KindSecrets:
			_, ok = b.raw.(secretstores.SecretStore)
		case KindConfiguration:
			_, ok = b.raw.(configuration.Store)
		case KindLock:
			_, ok = b.raw.(lock.Store)
		case KindMiddleware:
			ok = b.raw != nil
		}
		if !ok {
			t.Errorf("%s is a %T", name, b.raw)
		}
	}
}
