package component

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"mesh/runtime/component/servertest"
	"mesh/runtime/resource"
)

// TestRedis holds everything that stands on a Redis to its contract.
func TestRedis(t *testing.T) {
	s := servertest.Redis(t)
	l := running(t, Options{})
	on := func(name, typ string, more ...string) resource.Component {
		return declare(name, typ, append([]string{"redisHost", s.Addr}, more...)...)
	}
	all := []resource.Component{
		on("s", "state.redis"), on("pubsub", "pubsub.redis", "processingTimeout", "1s", "redeliverInterval", "1s"), on("conf", "configuration.redis"), on("lock", "lock.redis"), on("out", "bindings.redis"),
	}
	apply(t, l, all...)
	t.Run("state", func(t *testing.T) { testState(t, l) })
	t.Run("pubsub", func(t *testing.T) { testPubSub(t, l) })
	t.Run("lock", func(t *testing.T) {
		app, other := l.App("app").Locks("lock"), l.App("other").Locks("lock")
		for i, want := range []bool{true, false} {
			if ok, err := app.TryLock(t.Context(), "r", fmt.Sprint("owner", i), 30); err != nil || ok != want {
				t.Errorf("owner %d: %v, %v", i, ok, err)
			}
		}
		if ok, err := other.TryLock(t.Context(), "r", "owner", 30); err != nil || !ok {
			t.Errorf("the lock of another app: %v, %v", ok, err)
		}
		if got, err := app.Unlock(t.Context(), "r", "owner1"); err != nil || got != UnlockOthers {
			t.Errorf("owner1: %v, %v", got, err)
		}
		if got, err := app.Unlock(t.Context(), "r", "owner0"); err != nil || got != UnlockDone {
			t.Errorf("owner0: %v, %v", got, err)
		}
		if got, err := app.Unlock(t.Context(), "r", "owner0"); err != nil || got != UnlockNone {
			t.Errorf("again: %v, %v", got, err)
		}
	})
	t.Run("configuration", func(t *testing.T) {
		set := func(key, value string) {
			t.Helper()
			_, err := l.App("app").Binding("out").Invoke(t.Context(), "create", Payload{Data: []byte(value), Metadata: map[string]string{"key": key}})
			if err != nil {
				t.Fatal(err)
			}
		}
		conf := l.App("app").Configuration("conf")
		set("colour", "red||v1")
		got, err := conf.Get(t.Context(), []string{"colour"}, nil)
		if err != nil || got["colour"].Value != "red" || got["colour"].Version != "v1" {
			t.Errorf("got %v, %v", got, err)
		}

		// A store that is swapped is closed as soon as its watchers have ended.
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var watchers sync.WaitGroup
		var told [2]atomic.Value // what the watcher of one key, and of all, was told last
		for i, keys := range [][]string{{"colour"}, nil} {
			watchers.Go(func() {
				conf.Watch(ctx, keys, nil, func(_ context.Context, all map[string]Value) error {
					if v, ok := all["colour"]; ok {
						told[i].Store(v.Value)
					}
					return nil
				})
			})
		}
		for i := range 10 {
			all[2] = on("conf", "configuration.redis", "redisMinRetryInterval", fmt.Sprintf("%dms", 10+i))
			apply(t, l, all...)
			value := strconv.Itoa(i)
			eventually(t, "both to be told of the change", func() bool {
				set("colour", value+"||v2") // again, until they watch
				return told[0].Load() == value && told[1].Load() == value
			})
		}
		cancel()
		watchers.Wait()
	})
	t.Run("binding", func(t *testing.T) {
		out := l.App("app").Binding("out")
		key := map[string]string{"key": "bound"}
		if _, err := out.Invoke(t.Context(), "create", Payload{Data: []byte("v"), Metadata: key}); err != nil {
			t.Fatal(err)
		}
		if got, err := out.Invoke(t.Context(), "get", Payload{Metadata: key}); err != nil || string(got.Data) != "v" {
			t.Errorf("got %q, %v", got.Data, err)
		}
		small, err := out.Stream(t.Context(), "get", Stream{Metadata: key})
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(small.Body); err != nil || string(text) != "v" || small.Body.Close() != nil {
			t.Errorf("got %q, %v", text, err)
		}
		_, err = out.Stream(t.Context(), "create", Stream{Body: io.NopCloser(&zeros{n: MaxPayload + 1}), Size: -1, Metadata: key})
		if _, ok := errors.AsType[*PayloadError](err); !ok || !strings.Contains(err.Error(), "larger than 64 MiB, the most that out (bindings.redis) takes") {
			t.Errorf("a payload that is too large: %v", err)
		}
	})
}

// testPubSub: a broker named pubsub gives every app each message, shares the
// messages of one app among its subscribers, and delivers again what failed.
func testPubSub(t *testing.T, l *Live) {
	t.Helper()
	topic := "orders"
	app := l.App("app").PubSub("pubsub")
	var first, second, other inbox
	var once sync.Once
	fail := func(h Handler) Handler {
		return func(ctx context.Context, m *Message) error {
			first := false
			once.Do(func() { first = true })
			if first {
				return errors.New("the first delivery fails")
			}
			return h(ctx, m)
		}
	}
	subscribe(t, app, topic, fail(first.handle))
	subscribe(t, app, topic, fail(second.handle))
	subscribe(t, l.App("other").PubSub("pubsub"), topic, other.handle)
	var want []string
	for i := range 50 {
		want = append(want, strconv.Itoa(i))
		publish(t, app, topic, strconv.Itoa(i))
	}
	slices.Sort(want)
	distinct := func(in ...*inbox) []string {
		var all []string
		for _, i := range in {
			all = append(all, i.all()...)
		}
		slices.Sort(all)
		return slices.Compact(all)
	}
	eventually(t, "the other app has all", func() bool { return slices.Equal(distinct(&other), want) })
	eventually(t, "both of one app together have all", func() bool { return slices.Equal(distinct(&first, &second), want) })
	if n := len(first.all()) + len(second.all()); n > 60 {
		t.Errorf("the two of one app got %d messages of 50: they do not share", n)
	}
}

func TestJetStream(t *testing.T) {
	s := servertest.NATS(t)
	l := running(t, Options{})
	servertest.JetStreams(t, s, "orders", "crash")
	apply(t, l, declare("pubsub", "pubsub.jetstream", "natsURL", "nats://"+s.Addr, "queueGroupName", "{appID}", "durableName", "{appID}", "ackWait", "2s", "deliverPolicy", "all"))
	testPubSub(t, l)
}

func TestRabbitMQ(t *testing.T) {
	s := servertest.RabbitMQ(t)
	l := running(t, Options{})
	apply(t, l, declare("pubsub", "pubsub.rabbitmq", "connectionString", "amqp://guest:guest@"+s.Addr, "requeueInFailure", "true", "durable", "true", "deliveryMode", "2"))
	t.Run("pubsub", func(t *testing.T) { testPubSub(t, l) })
	t.Run("refuses", func(t *testing.T) { testRabbitMQRefuses(t, s.Addr) })
	t.Run("forgets", func(t *testing.T) { testRabbitMQForgets(t, s.Addr) })
}

// channelTo opens a channel of a RabbitMQ for the length of the test.
func channelTo(t *testing.T, url string) *amqp.Channel {
	t.Helper()
	conn, err := amqp.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	channel, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return channel
}

// testRabbitMQRefuses: a message that the server does not confirm is an error of
// its publisher. The queue of the topic has room for one, and refuses others.
func testRabbitMQRefuses(t *testing.T, addr string) {
	t.Helper()
	l := running(t, Options{})
	url := "amqp://guest:guest@" + addr
	apply(t, l, declare("pubsub", "pubsub.rabbitmq", "connectionString", url, "publisherConfirm", "true"))
	broker := l.App("app").PubSub("pubsub")
	publish := func() error { return broker.Publish(t.Context(), &Message{Topic: "full", Data: []byte("m")}) }
	if err := publish(); err != nil { // makes the exchange; nobody wants the message
		t.Fatal(err)
	}
	channel := channelTo(t, url)
	if _, err := channel.QueueDeclare("small", false, true, false, false, amqp.Table{"x-max-length": 1, "x-overflow": "reject-publish"}); err != nil {
		t.Fatal(err)
	}
	if err := channel.QueueBind("small", "", "full", false, nil); err != nil {
		t.Fatal(err)
	}
	if err := publish(); err != nil {
		t.Errorf("the message that fits: %v", err)
	}
	if err := publish(); !errors.Is(err, errUnconfirmed) {
		t.Errorf("the message that does not fit: %v", err)
	}
}

func TestPostgres(t *testing.T) {
	s := servertest.Postgres(t)
	conn := fmt.Sprintf("host=127.0.0.1 port=%d user=mesh dbname=mesh", s.Port)
	for _, version := range []string{"v1", "v2"} {
		t.Run(version, func(t *testing.T) {
			l := running(t, Options{})
			c := declare("s", "state.postgresql", "connectionString", conn, "tablePrefix", version+"_", "tableName", "state"+version, "metadataTableName", "meta"+version)
			c.Version = version
			apply(t, l, c)
			testState(t, l)
		})
	}
}

// TestServerDown: while a store's server is away, calls say so; they succeed
// when it is back, and the condition follows.
func TestServerDown(t *testing.T) {
	s := servertest.Redis(t)
	l := running(t, Options{})
	redis := declare("s", "state.redis", "redisHost", s.Addr, "redisMaxRetries", "0")
	apply(t, l, redis)
	store := l.App("app").State("s")
	if err := store.Put(t.Context(), Put{Key: "k", Value: []byte("v")}); err != nil {
		t.Fatal(err)
	}
	s.Kill(t)
	if _, err := store.Get(t.Context(), Get{Key: "k"}); err == nil {
		t.Error("a dead server answered")
	}
	eventually(t, "the component is degraded", func() bool { return status(t, l, "s").Condition == Degraded })
	s.Start(t)
	eventually(t, "the component is ready again", func() bool { return status(t, l, "s").Condition == Ready })
	got, err := store.Get(t.Context(), Get{Key: "k"})
	if err != nil || string(got.Value) != "v" {
		t.Errorf("got %q, %v", got.Value, err)
	}
}

// TestCrash: a broker that is killed under load and comes back loses nothing
// that it accepted, and subscriptions go on by themselves.
func TestCrash(t *testing.T) {
	s := servertest.Redis(t)
	l := running(t, Options{})
	apply(t, l, declare("pubsub", "pubsub.redis", "redisHost", s.Addr, "processingTimeout", "2s", "redeliverInterval", "1s"))
	p := l.App("app").PubSub("pubsub")
	var in inbox
	subscribe(t, p, "crash", in.handle)
	ctx, cancel := context.WithCancel(t.Context())
	var accepted []string
	refused := 0
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for i := 0; ctx.Err() == nil; i++ {
			err := p.Publish(ctx, &Message{Topic: "crash", Data: []byte(strconv.Itoa(i))})
			if err == nil {
				accepted = append(accepted, strconv.Itoa(i))
			} else {
				refused++
			}
		}
	}()
	for range 2 {
		had := len(in.all())
		eventually(t, "messages flow", func() bool { return len(in.all()) > had+500 })
		s.Kill(t)
		s.Start(t)
	}
	had := len(in.all())
	eventually(t, "messages flow again", func() bool { return len(in.all()) > had+500 })
	cancel()
	<-sent
	missing := accepted
	eventually(t, "all that was accepted arrives", func() bool {
		got := map[string]bool{}
		for _, m := range in.all() {
			got[m] = true
		}
		missing = slices.DeleteFunc(slices.Clone(accepted), func(m string) bool { return got[m] })
		return len(missing) == 0
	})
	t.Logf("%d accepted, %d refused while the broker was away, %d delivered, %d missing", len(accepted), refused, len(in.all()), len(missing))
}

// TestSwapToServer: a store in memory gives way to one on a server, whose file
// is added while calls run, and back.
func TestSwapToServer(t *testing.T) {
	s := servertest.Redis(t)
	l := running(t, Options{})
	apply(t, l, WithDefaults(nil)...)
	var in inbox
	p := l.App("app").PubSub("pubsub")
	subscribe(t, p, "t", in.handle)
	publish(t, p, "t", "1")
	apply(t, l, WithDefaults([]resource.Component{declare("pubsub", "pubsub.redis", "redisHost", s.Addr), declare("statestore", "state.redis", "redisHost", s.Addr)})...)
	publish(t, p, "t", "2")
	store := l.App("app").State("statestore")
	if err := store.Put(t.Context(), Put{Key: "k", Value: []byte("v")}); err != nil {
		t.Error(err)
	}
	in.has(t, "1", "2")
	apply(t, l, WithDefaults(nil)...)
	publish(t, p, "t", "3")
	in.has(t, "1", "2", "3")
	if got, err := store.Get(t.Context(), Get{Key: "k"}); err != nil || got.Value != nil {
		t.Errorf("the default store has %q, %v", got.Value, err)
	}
}
