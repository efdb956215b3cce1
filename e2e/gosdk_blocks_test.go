package e2e

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/dapr/go-sdk/client"
	"github.com/dapr/go-sdk/service/common"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func (a *goSDK) checkState(ctx context.Context, is verify) {
	const store = "statestore"
	is("saving", true, a.SaveState(ctx, store, "k", []byte("v1"), nil))
	item, err := a.GetStateWithConsistency(ctx, store, "k", nil, client.StateConsistencyStrong)
	is("reading", err == nil && string(item.Value) == "v1" && item.Etag != "", err)
	none, err := a.GetState(ctx, store, "none", nil)
	is("reading nothing", err == nil && len(none.Value) == 0 && none.Etag == "", err)
	if item != nil {
		is("saving with an ETag", true, a.SaveStateWithETag(ctx, store, "k", []byte("v2"), item.Etag, nil))
		err = a.SaveStateWithETag(ctx, store, "k", []byte("v3"), item.Etag, nil)
		is("refusing an old ETag", status.Code(err) == codes.Aborted, nil)
		err = a.DeleteStateWithETag(ctx, store, "k", &client.ETag{Value: item.Etag}, nil, nil)
		is("not deleting with an old ETag", status.Code(err) == codes.Aborted, nil)
	}
	is("saving several", true, a.SaveBulkState(ctx, store, &client.SetStateItem{Key: "b1", Value: []byte("1")}, &client.SetStateItem{
		Key: "b2", Value: []byte("2"), Options: &client.StateOptions{Concurrency: client.StateConcurrencyFirstWrite, Consistency: client.StateConsistencyStrong},
	}))
	is("a transaction", true, a.ExecuteStateTransaction(ctx, store, nil, []*client.StateOperation{
		{Type: client.StateOperationTypeUpsert, Item: &client.SetStateItem{Key: "t", Value: []byte("t")}},
		{Type: client.StateOperationTypeDelete, Item: &client.SetStateItem{Key: "k"}},
	}))
	bulk, err := a.GetBulkState(ctx, store, []string{"t", "k", "b1"}, nil, 2)
	values := map[string]string{}
	for _, i := range bulk {
		values[i.Key] = string(i.Value)
	}
	is("reading several", fmt.Sprint(values) == "map[b1:1 k: t:t]", err)
	is("deleting several", true, a.DeleteBulkState(ctx, store, []string{"b1", "b2"}, nil))
	is("deleting", true, a.DeleteState(ctx, store, "t", nil))
	for _, key := range []string{"t", "b1", "b2"} {
		gone, err := a.GetState(ctx, store, key, nil)
		is("the end of "+key, err == nil && len(gone.Value) == 0, err)
	}
	is("saving for a second", true, a.SaveState(ctx, store, "short", []byte("x"), map[string]string{"ttlInSeconds": "1"}))
	is("the end of a TTL", true, until(ctx, func() bool {
		item, err := a.GetState(ctx, store, "short", nil)
		return err == nil && len(item.Value) == 0
	}))
	err = a.SaveState(ctx, "nope", "k", nil, nil)
	is("a store that is not there", status.Code(err) == codes.InvalidArgument, nil)
}

func (a *goSDK) checkQuery(ctx context.Context, is verify) {
	asJSON := map[string]string{"contentType": "application/json"}
	for n, name := range []string{"Ann", "Bob", "Cid"} {
		is("saving", true, a.SaveState(ctx, "people", name, fmt.Appendf(nil, `{"name":%q,"team":"%s-%d"}`, name, a.id, n/2), asJSON))
	}
	got, err := a.QueryStateAlpha1(ctx, "people", fmt.Sprintf(`{"filter":{"EQ":{"team":"%s-0"}},"sort":[{"key":"name","order":"DESC"}]}`, a.id), nil)
	is("asking", err == nil && len(got.Results) == 2 && got.Results[0].Key == "Bob" && strings.Contains(string(got.Results[1].Value), `"Ann"`), err)
	_, err = a.QueryStateAlpha1(ctx, "statestore", `{}`, nil)
	is("asking a store that cannot", err != nil, nil)
}

func (a *goSDK) checkPubSub(ctx context.Context, is verify) {
	publish := func(topic string, data any, o ...client.PublishEventOption) {
		is("publishing to "+topic, true, a.PublishEvent(ctx, "pubsub", a.id+"-"+topic, data, o...))
	}
	arrives := func(route string, ok func(e *common.TopicEvent) bool) {
		e, err := a.next(ctx, route)
		is(fmt.Sprintf("%+v on %s", e, route), err == nil && ok(e), err)
	}
	publish("plain", map[string]int{"n": 1}, client.PublishEventWithContentType("application/json"))
	arrives("plain", func(e *common.TopicEvent) bool {
		return fmt.Sprint(e.Data) == "map[n:1]" && e.Source == a.id && e.Topic == a.id+"-plain" && e.PubsubName == "pubsub" &&
			e.Type == "com.dapr.event.sent" && e.SpecVersion == "1.0" && e.ID != "" && e.DataContentType == "application/json"
	})
	publish("plain", "text")
	arrives("plain", func(e *common.TopicEvent) bool { return e.Data == "text" })
	is("publishing a value", true, a.PublishEventfromCustomContent(ctx, "pubsub", a.id+"-plain", map[string]string{"own": "value"}))
	arrives("plain", func(e *common.TopicEvent) bool { return fmt.Sprint(e.Data) == "map[own:value]" })
	publish("plain", []byte(`{"specversion":"1.0","id":"mine","source":"here","type":"t","datacontenttype":"text/plain","data":"own"}`),
		client.PublishEventWithContentType("application/cloudevents+json"))
	arrives("plain", func(e *common.TopicEvent) bool { return e.ID == "mine" && e.Source == "here" && e.Data == "own" })
	publish("plain", "typed", client.PublishEventWithMetadata(map[string]string{"cloudevent.type": "mine"}))
	arrives("plain", func(e *common.TopicEvent) bool { return e.Type == "mine" && e.Data == "typed" })
	publish("raw", "\x00raw", client.PublishEventWithRawPayload())
	arrives("raw", func(e *common.TopicEvent) bool { return string(e.RawData) == "\x00raw" })
	publish("again", "third try")
	arrives("again", func(e *common.TopicEvent) bool { return e.Data == "third try" })
	publish("dropped", "gone")
	publish("routed", map[string]int{"n": 9}, client.PublishEventWithContentType("application/json"))
	arrives("big", func(e *common.TopicEvent) bool { return fmt.Sprint(e.Data) == "map[n:9]" })
	publish("routed", map[string]int{"n": 1}, client.PublishEventWithContentType("application/json"))
	arrives("small", func(e *common.TopicEvent) bool { return fmt.Sprint(e.Data) == "map[n:1]" })
	err := a.PublishEvent(ctx, "nope", "t", "x")
	is("a broker that is not there", err != nil, nil)
}

func (a *goSDK) checkBulk(ctx context.Context, is verify) {
	res := a.PublishEvents(ctx, "pubsub", a.id+"-plain", []any{"one", map[string]int{"two": 2}, client.PublishEventsEvent{EntryID: "3", Data: []byte("three"), ContentType: "text/plain"}})
	is("publishing several", len(res.FailedEvents) == 0, res.Error)
	var got []string
	for range 3 {
		e, err := a.next(ctx, "plain")
		if is("one of several", err == nil, err); err != nil {
			return
		}
		got = append(got, fmt.Sprint(e.Data))
	}
	slices.Sort(got)
	is(fmt.Sprint(got), fmt.Sprint(got) == "[map[two:2] one three]", nil)
	res = a.PublishEvents(ctx, "nope", "t", []any{"x"})
	is("a broker that is not there", res.Error != nil && len(res.FailedEvents) == 1, nil)
}

// checkStreams subscribes with a stream: RETRY, DROP to the dead letters, and
// what metadata tell.
func (a *goSDK) checkStreams(ctx context.Context, is verify) {
	topic, dead := a.id+"-streamed", a.id+"-dead"
	sub, err := a.Subscribe(ctx, client.SubscriptionOptions{PubsubName: "pubsub", Topic: topic, DeadLetterTopic: &dead})
	if is("subscribing", err == nil, err); err != nil {
		return
	}
	receive := func(want string) *client.SubscriptionMessage {
		m, err := sub.Receive()
		is("receiving "+want, err == nil && m.Data == want && m.Topic == topic, err)
		return m
	}
	// The broker in memory keeps a message until the subscription reads it only
	// from its first reader on: what is published before that is lost.
	stop := make(chan struct{})
	go func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_ = a.PublishEvent(ctx, "pubsub", topic, "probe")
			case <-stop:
				return
			case <-ctx.Done():
				return
			}
		}
	}()
	first := receive("probe")
	close(stop)
	if first == nil {
		return
	}
	is("answering", true, first.Success())
	is("publishing", true, a.PublishEvent(ctx, "pubsub", topic, "gone"))
	for {
		m, err := sub.Receive()
		if is("receiving", err == nil, err); err != nil {
			return
		}
		if m.Data == "probe" {
			is("answering", true, m.Success())
			continue
		}
		is("dropping", m.Data == "gone", m.Drop())
		break
	}
	e, err := a.next(ctx, "dead")
	is("the dead letter", err == nil && e.Data == "gone", err)
	md, err := a.GetMetadata(ctx)
	is("metadata of the stream", err == nil && slices.ContainsFunc(md.Subscriptions, func(s *client.MetadataSubscription) bool { return s.Topic == topic }), err)
	is("closing", true, sub.Close())
	is("its end in the metadata", true, until(ctx, func() bool {
		md, err := a.GetMetadata(ctx)
		return err == nil && !slices.ContainsFunc(md.Subscriptions, func(s *client.MetadataSubscription) bool { return s.Topic == topic })
	}))

	handled := make(chan any, 1)
	end, err := a.SubscribeWithHandler(ctx, client.SubscriptionOptions{PubsubName: "pubsub", Topic: topic}, func(e *common.TopicEvent) common.SubscriptionResponseStatus {
		select {
		case handled <- e.Data:
			return common.SubscriptionResponseStatusRetry // once
		default:
			return common.SubscriptionResponseStatusSuccess
		}
	})
	if is("subscribing with a handler", err == nil, err); err != nil {
		return
	}
	is("publishing", true, until(ctx, func() bool { return a.PublishEvent(ctx, "pubsub", topic, "again") == nil && len(handled) == 1 }))
	is("ending", true, end())
}

func (a *goSDK) checkInvocation(ctx context.Context, is verify) {
	out, err := a.InvokeMethod(ctx, a.other, "echo?a=1", "get")
	is(fmt.Sprintf("getting %q", out), strings.HasPrefix(string(out), a.other+" GET a=1"), err)
	out, err = a.InvokeMethodWithContent(ctx, a.other, "echo", "post", &client.DataContent{ContentType: "text/plain", Data: []byte("hi")})
	is(fmt.Sprintf("posting %q", out), string(out) == a.other+" POST  text/plain hi", err)
	out, err = a.InvokeMethodWithCustomContent(ctx, a.other, "echo", "put", "application/json", map[string]int{"n": 1})
	is(fmt.Sprintf("putting %q", out), string(out) == a.other+` PUT  application/json {"n":1}`, err)
	_, err = a.InvokeMethod(ctx, "nobody", "echo", "get")
	is("calling nobody", err != nil, nil)
}

func (a *goSDK) checkBindings(ctx context.Context, is verify) {
	name := map[string]string{"fileName": a.id + ".txt"}
	_, err := a.InvokeBinding(ctx, &client.InvokeBindingRequest{Name: "files", Operation: "create", Data: []byte("content"), Metadata: name})
	is("writing a file", true, err)
	file, err := a.InvokeBinding(ctx, &client.InvokeBindingRequest{Name: "files", Operation: "get", Metadata: name})
	is("reading a file", err == nil && string(file.Data) == "content", err)
	is("deleting a file", true, a.InvokeOutputBinding(ctx, &client.InvokeBindingRequest{Name: "files", Operation: "delete", Metadata: name}))
	err = a.InvokeOutputBinding(ctx, &client.InvokeBindingRequest{Name: "files", Operation: "dance"})
	is("an operation that is not there", err != nil, nil)
	select {
	case <-a.ticked:
	case <-ctx.Done():
		is("the cron binding", false, context.Cause(ctx))
	}
}

func (a *goSDK) checkSecrets(ctx context.Context, is verify) {
	secret, err := a.GetSecret(ctx, "secrets", "db", nil)
	is("a secret", secret["db"] == "pw", err)
	all, err := a.GetBulkSecret(ctx, "secrets", nil)
	is("all secrets but the hidden", len(all) == 1 && all["db"]["db"] == "pw", err)
	_, err = a.GetSecret(ctx, "secrets", "hidden", nil)
	is("a hidden secret", status.Code(err) == codes.PermissionDenied, nil)
	_, err = a.GetSecret(ctx, "nope", "db", nil)
	is("a store that is not there", status.Code(err) == codes.InvalidArgument, nil)
}

func (a *goSDK) checkConfiguration(ctx context.Context, is verify) {
	value, err := a.GetConfigurationItem(ctx, "settings", "color")
	is("a value", err == nil && value != nil && (value.Value == "blue" || value.Value == "red"), err)
	several, err := a.GetConfigurationItems(ctx, "settings", []string{"color", "none"})
	is("values", len(several) == 1, err)
	changed := make(chan string, 100)
	id, err := a.SubscribeConfigurationItems(ctx, "settings", []string{"color"}, func(_ string, items map[string]*client.ConfigurationItem) {
		if i := items["color"]; i != nil {
			changed <- i.Value
		}
	})
	is("watching", id != "", err)
	is("asking for a change", true, os.WriteFile("change", nil, 0o600)) // the test changes it while the file is there
	select {
	case v := <-changed:
		is("the change of a value", v == "red", nil)
	case <-ctx.Done():
		is("the change of a value", false, context.Cause(ctx))
	}
	is("ending to watch", true, a.UnsubscribeConfigurationItems(ctx, "settings", id))
}

func (a *goSDK) checkLocks(ctx context.Context, is verify) {
	lock := func(owner string) (bool, error) {
		got, err := a.TryLockAlpha1(ctx, "locks", &client.LockRequest{ResourceID: a.id, LockOwner: owner, ExpiryInSeconds: 60})
		return err == nil && got.Success, err
	}
	unlock := func(owner string) (string, error) {
		got, err := a.UnlockAlpha1(ctx, "locks", &client.UnlockRequest{ResourceID: a.id, LockOwner: owner})
		if err != nil {
			return "", err
		}
		return got.Status, nil
	}
	got, err := lock("me")
	is("a lock", got, err)
	got, err = lock("you")
	is("a lock that someone has", !got, err)
	said, err := unlock("you")
	is("another's lock", said == "LOCK_BELONGS_TO_OTHERS", err)
	said, err = unlock("me")
	is("unlocking", said == "SUCCESS", err)
	said, err = unlock("me")
	is("no lock", said == "LOCK_DOES_NOT_EXIST", err)
}

func (a *goSDK) checkMetadata(ctx context.Context, is verify) {
	is("waiting for the sidecar", true, a.Wait(ctx, patience))
	is("setting", true, a.SetMetadata(ctx, "mood", "good"))
	md, err := a.GetMetadata(ctx)
	if is("reading", err == nil && md.ID == a.id, err); err != nil {
		return
	}
	var names []string
	for _, c := range md.RegisteredComponents {
		names = append(names, c.Name)
	}
	slices.Sort(names)
	is(fmt.Sprint(names), fmt.Sprint(names) == "[files locks people pubsub secrets settings statestore tick]", nil)
	is("what was set", md.ExtendedMetadata["mood"] == "good", nil)
	is("subscriptions", len(md.Subscriptions) >= 6, nil)
}
