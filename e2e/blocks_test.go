package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dapr/go-sdk/client"
	"github.com/dapr/go-sdk/service/common"
	sdkhttp "github.com/dapr/go-sdk/service/http"

	"mesh/runtime/component/servertest"
)

// sdk is an app made with Dapr's Go SDK, service and client, unmodified. What
// it is asked to do at /check it does with the client, over gRPC.
func sdk() int {
	s := sdkhttp.NewService("127.0.0.1:" + os.Getenv("APP_PORT"))
	c, err := client.NewClient()
	if err != nil {
		fmt.Println("no client:", err)
		return 1
	}
	defer c.Close()
	events := make(chan *common.TopicEvent, 100)
	var tries atomic.Int32
	err = errors.Join(
		s.AddTopicEventHandler(&common.Subscription{PubsubName: "pubsub", Topic: "events", Route: "/events"}, func(_ context.Context, e *common.TopicEvent) (bool, error) {
			events <- e
			return false, nil
		}),
		s.AddTopicEventHandler(&common.Subscription{PubsubName: "pubsub", Topic: "again", Route: "/again"}, func(_ context.Context, e *common.TopicEvent) (bool, error) {
			if tries.Add(1) < 3 {
				return true, errors.New("not yet")
			}
			events <- e
			return false, nil
		}),
		s.AddBindingInvocationHandler("/tick", func(context.Context, *common.BindingEvent) ([]byte, error) {
			fmt.Println("the binding ticks")
			return nil, nil
		}),
		s.AddServiceInvocationHandler("/check", func(ctx context.Context, _ *common.InvocationEvent) (*common.Content, error) {
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			return &common.Content{ContentType: "text/plain", Data: []byte(fmt.Sprint(check(ctx, c, events)))}, nil
		}),
	)
	if err != nil {
		fmt.Println("no service:", err)
		return 1
	}
	go func() {
		wait()
		_ = s.GracefulStop()
	}()
	if err := s.Start(); err != nil && !errors.Is(err, http.ErrServerClosed) {
		fmt.Println("serving:", err)
		return 1
	}
	return 0
}

// check uses every building block and says what is not as it should be.
func check(ctx context.Context, c client.Client, events <-chan *common.TopicEvent) error {
	var wrong []error
	expect := func(what string, ok bool, err error) {
		if err != nil || !ok {
			wrong = append(wrong, fmt.Errorf("%s: %v, %w", what, ok, err))
		}
	}
	err := c.SaveState(ctx, "statestore", "k", []byte("v1"), nil)
	expect("saving", true, err)
	item, err := c.GetState(ctx, "statestore", "k", nil)
	expect("reading", err == nil && string(item.Value) == "v1" && item.Etag != "", err)
	if err == nil {
		expect("saving with an ETag", true, c.SaveStateWithETag(ctx, "statestore", "k", []byte("v2"), item.Etag, nil))
		expect("refusing an old ETag", c.SaveStateWithETag(ctx, "statestore", "k", []byte("v3"), item.Etag, nil) != nil, nil)
	}
	expect("a transaction", true, c.ExecuteStateTransaction(ctx, "statestore", nil, []*client.StateOperation{
		{Type: client.StateOperationTypeUpsert, Item: &client.SetStateItem{Key: "t", Value: []byte("t")}},
		{Type: client.StateOperationTypeDelete, Item: &client.SetStateItem{Key: "k"}},
	}))
	bulk, err := c.GetBulkState(ctx, "statestore", []string{"t", "k"}, nil, 2)
	expect("several keys", len(bulk) == 2, err)
	expect("deleting", true, c.DeleteState(ctx, "statestore", "t", nil))

	expect("publishing", true, c.PublishEvent(ctx, "pubsub", "events", map[string]int{"n": 1}, client.PublishEventWithContentType("application/json")))
	e := nextEvent(ctx, events)
	expect("a message", e != nil && e.Topic == "events" && fmt.Sprint(e.Data) == "map[n:1]" && e.Source == "app", nil)
	expect("publishing", true, c.PublishEvent(ctx, "pubsub", "again", "text"))
	e = nextEvent(ctx, events)
	expect("a message at its third try", e != nil && e.Topic == "again" && e.Data == "text", nil)
	res := c.PublishEvents(ctx, "pubsub", "events", []any{"a", "b"})
	expect("publishing several", len(res.FailedEvents) == 0, res.Error)
	for range 2 {
		expect("one of several messages", nextEvent(ctx, events) != nil, nil)
	}

	secret, err := c.GetSecret(ctx, "secrets", "db", nil)
	expect("a secret", secret["db"] == "pw", err)
	all, err := c.GetBulkSecret(ctx, "secrets", nil)
	expect("all secrets", len(all) == 1, err)
	_, err = c.InvokeBinding(ctx, &client.InvokeBindingRequest{Name: "files", Operation: "create", Data: []byte("x"), Metadata: map[string]string{"fileName": "f"}})
	expect("writing a file", true, err)
	file, err := c.InvokeBinding(ctx, &client.InvokeBindingRequest{Name: "files", Operation: "get", Metadata: map[string]string{"fileName": "f"}})
	expect("reading a file", err == nil && string(file.Data) == "x", err)

	lock, err := c.TryLockAlpha1(ctx, "locks", &client.LockRequest{ResourceID: "r", LockOwner: "me", ExpiryInSeconds: 60})
	expect("a lock", err == nil && lock.Success, err)
	lock, err = c.TryLockAlpha1(ctx, "locks", &client.LockRequest{ResourceID: "r", LockOwner: "you", ExpiryInSeconds: 60})
	expect("a lock that someone has", err == nil && !lock.Success, err)
	unlocked, err := c.UnlockAlpha1(ctx, "locks", &client.UnlockRequest{ResourceID: "r", LockOwner: "me"})
	expect("unlocking", err == nil && unlocked.Status == "SUCCESS", err)

	value, err := c.GetConfigurationItem(ctx, "settings", "color")
	expect("a configuration value", err == nil && value != nil && value.Value == "blue", err)
	changed := make(chan string, 10)
	id, err := c.SubscribeConfigurationItems(ctx, "settings", []string{"color"}, func(_ string, items map[string]*client.ConfigurationItem) {
		if i := items["color"]; i != nil {
			changed <- i.Value
		}
	})
	expect("watching the configuration", id != "", err)
	fmt.Println("watching") // the test changes it now, until it is seen
	select {
	case v := <-changed:
		expect("the change of a value", v == "red", nil)
	case <-ctx.Done():
		expect("the change of a value", false, context.Cause(ctx))
	}
	expect("ending to watch", true, c.UnsubscribeConfigurationItems(ctx, "settings", id))

	md, err := c.GetMetadata(ctx)
	expect("metadata", err == nil && md.ID == "app" && len(md.RegisteredComponents) == 7 && len(md.Subscriptions) == 2, err)
	if err == nil && len(md.RegisteredComponents) != 7 {
		b, _ := json.Marshal(md)
		wrong = append(wrong, errors.New(string(b)))
	}
	return errors.Join(wrong...)
}

func nextEvent(ctx context.Context, events <-chan *common.TopicEvent) *common.TopicEvent {
	select {
	case e := <-events:
		return e
	case <-ctx.Done():
		return nil
	}
}

const sdkComponents = `
kind: Component
metadata: { name: secrets }
spec: { type: secretstores.local.file, metadata: [ { name: secretsFile, value: secrets.json } ] }
---
kind: Component
metadata: { name: files }
spec: { type: bindings.localstorage, metadata: [ { name: rootPath, value: . } ] }
---
kind: Component
metadata: { name: tick }
spec: { type: bindings.cron, metadata: [ { name: schedule, value: "@every 200ms" } ] }
---
kind: Component
metadata: { name: locks }
spec: { type: lock.redis, metadata: [ { name: redisHost, value: REDIS } ] }
---
kind: Component
metadata: { name: settings }
spec: { type: configuration.redis, metadata: [ { name: redisHost, value: REDIS } ] }
`

// TestGoSDK: an app made with Dapr's Go SDK uses every building block.
func TestGoSDK(t *testing.T) {
	t.Parallel()
	redis := servertest.Redis(t)
	conn := dialRedis(t, redis.Addr)
	conn("SET color blue")
	p := newProject(t, "[apps.app]\ncommand = \"APP sdk SELF\"\nport = \"auto\"\n")
	p.write("secrets.json", `{"db":"pw"}`)
	p.write("components/all.yaml", strings.ReplaceAll(sdkComponents, "REDIS", redis.Addr))
	r := p.up()
	r.ready("app")
	r.await("the subscriptions", func() bool {
		_, body, err := r.get("app", "v1.0/metadata")
		return err == nil && strings.Count(body, "PROGRAMMATIC") == 2
	})
	result := make(chan string, 1)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		url := fmt.Sprintf("http://127.0.0.1:%d/v1.0/invoke/app/method/check", r.instance("app").HTTPPort)
		result <- post(ctx, url, "")
	}()
	for {
		select {
		case got := <-result:
			if got != "200 <nil>" {
				t.Errorf("the app says:\n%s", got)
			}
			r.await("the cron binding", func() bool { return strings.Contains(r.out.String(), "the binding ticks") })
			return
		case <-time.After(100 * time.Millisecond):
			if strings.Contains(r.out.String(), "watching") {
				conn("SET color red")
			}
		}
	}
}

// post gives status and body of the answer to a POST, or the error.
func post(ctx context.Context, url, body string) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return err.Error()
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	var text strings.Builder
	if err := resp.Write(&text); err != nil {
		return err.Error()
	}
	_, answer, _ := strings.Cut(text.String(), "\r\n\r\n")
	return fmt.Sprintf("%d %s", resp.StatusCode, answer)
}

// TestSwapUnderLoad: while 1,000 calls a second use a store, it is swapped 20
// times, and none of them fails. During a swap two stores write one file, and
// wait for each other as long as busyTimeout.
func TestSwapUnderLoad(t *testing.T) {
	t.Parallel()
	p := newProject(t, "[apps.a]\ncommand = \"APP server SELF\"\nport = \"auto\"\n")
	store := func(i int) {
		p.write("components/store.yaml", fmt.Sprintf(`kind: Component
metadata: { name: store }
spec: { type: state.sqlite, metadata: [ { name: connectionString, value: state.db }, { name: busyTimeout, value: 20s }, { name: timeout, value: "%ds" } ] }
`, 20+i))
	}
	store(0)
	r := p.up()
	r.ready("a")
	r.await("the store", func() bool { return r.component("store").State == "ready" })
	base := fmt.Sprintf("http://127.0.0.1:%d/v1.0/state/store", r.instance("a").HTTPPort)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	const rate, workers = 1000, 20
	work := make(chan int)
	var calls, failed atomic.Int64
	var first atomic.Pointer[string]
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := range work {
				calls.Add(1)
				got := post(t.Context(), base, fmt.Sprintf(`[{"key":"k%d","value":%d}]`, i%100, i))
				if !strings.HasPrefix(got, "204 ") {
					failed.Add(1)
					first.CompareAndSwap(nil, &got)
				}
			}
		})
	}
	began := time.Now()
	wg.Go(func() {
		defer close(work)
		tick := time.NewTicker(time.Second / 100)
		defer tick.Stop()
		for i := 0; ; {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			for due := int(time.Since(began).Seconds() * rate); i < due; i++ {
				work <- i
			}
		}
	})
	for i := 1; i <= 20; i++ {
		before := r.component("store").Since
		store(i)
		r.await("the new store", func() bool { c := r.component("store"); return c.State == "ready" && c.Since.After(before) })
	}
	stop()
	wg.Wait()
	took := time.Since(began)
	t.Logf("%d calls in %v, %d failed", calls.Load(), took.Round(time.Millisecond), failed.Load())
	if failed.Load() > 0 {
		t.Errorf("%d of %d calls failed, the first with %s", failed.Load(), calls.Load(), *first.Load())
	}
}

// dialRedis gives a way to send commands to a Redis.
func dialRedis(t *testing.T, addr string) func(command string) {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	answers := bufio.NewReader(conn)
	return func(command string) {
		t.Helper()
		if _, err := conn.Write([]byte(command + "\r\n")); err != nil {
			t.Fatal(err)
		}
		if line, err := answers.ReadString('\n'); err != nil || strings.HasPrefix(line, "-") {
			t.Fatalf("%s: %q %v", command, line, err)
		}
	}
}
