package api

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"mesh/runtime/component"
)

// Publish is a message that an app publishes.
type Publish struct {
	PubSub, Topic string
	Data          []byte
	ContentType   string
	Metadata      map[string]string
	TraceParent   string
	TraceState    string
}

// Entry is one message among several.
type Entry struct {
	ID          string
	Data        []byte
	ContentType string
	Metadata    map[string]string
}

// FailedEntry is a message of several that was not published.
type FailedEntry struct {
	ID  string
	Err error
}

// Publish sends a message to a topic, in a CloudEvent unless the metadata
// rawPayload is true.
func (a *API) Publish(ctx context.Context, p Publish) (err error) {
	f := a.record("publish", p.PubSub, "publish", p.Topic, len(p.Data))
	defer func() { f.end(0, err) }()
	broker, err := a.broker(p.PubSub, p.Topic)
	if err != nil {
		return err
	}
	m, err := a.message(broker, p)
	if err != nil {
		return err
	}
	err = a.outbound(ctx, p.PubSub, func(ctx context.Context) error { return broker.Publish(ctx, m) })
	if err != nil {
		return publishError(err, p.PubSub, p.Topic)
	}
	return nil
}

// PublishAll sends several messages to a topic. failed has those that were not
// published, when the error is about them and not about all.
func (a *API) PublishAll(ctx context.Context, p Publish, entries []Entry) (failed []FailedEntry, err error) {
	size := 0
	for i := range entries {
		size += len(entries[i].Data)
	}
	f := a.record("publish", p.PubSub, "bulk publish", p.Topic, size)
	defer func() { f.end(0, err) }()
	broker, err := a.broker(p.PubSub, p.Topic)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	messages := make([]*component.Message, len(entries))
	for i, e := range entries {
		if e.ID == "" || seen[e.ID] {
			err := errors.New("entryId is duplicated or not present for entry") // clients of Dapr know the words
			return nil, a.eventsError(p, "DAPR_PUBSUB_MARSHAL_EVENTS", "error marshaling events to bytes for topic %s pubsub %s. error: %v", err)
		}
		seen[e.ID] = true
		one := p
		one.Data, one.ContentType, one.Metadata = e.Data, e.ContentType, mergeMetadata(p.Metadata, e.Metadata)
		if messages[i], err = a.message(broker, one); err != nil {
			return nil, err
		}
		messages[i].ID = e.ID
	}
	err = a.outbound(ctx, p.PubSub, func(ctx context.Context) error {
		err := broker.PublishAll(ctx, p.Topic, messages, p.Metadata)
		if failed := failures(err); len(failed) > 0 { // a second try is only for those
			messages = slices.DeleteFunc(messages, func(m *component.Message) bool {
				return !slices.ContainsFunc(failed, func(f FailedEntry) bool { return f.ID == m.ID })
			})
		}
		return err
	})
	if err != nil {
		failed := failures(err)
		if len(failed) == 0 {
			for i := range entries {
				failed = append(failed, FailedEntry{entries[i].ID, err})
			}
		}
		return failed, publishError(err, p.PubSub, p.Topic)
	}
	return nil, nil
}

// MayPublish says why the app cannot publish to a topic.
func (a *API) MayPublish(pubsub, topic string) error {
	_, err := a.broker(pubsub, topic)
	return err
}

// UnreadableEvents is the error of several messages that are not what they
// should be.
func (a *API) UnreadableEvents(p Publish, err error) *Error {
	return a.eventsError(p, "DAPR_PUBSUB_UNMARSHAL_EVENTS", "error when unmarshaling the request for topic %s pubsub %s: %v", err)
}

// UnfitEvent is the error of one of several messages that is not of its content
// type.
func (a *API) UnfitEvent(p Publish, err error) *Error {
	return a.eventsError(p, "DAPR_PUBSUB_MARSHAL_ENVELOPE", "error when marshalling cloud event envelope for topic %s pubsub %s: %v", err)
}

// eventsError is an error of several messages; the text has a place for the
// topic, the broker and the reason.
func (a *API) eventsError(p Publish, reason, text string, err error) *Error {
	e := Wrap(ErrPubsubEvents, err, text, p.Topic, p.PubSub, err)
	e.HTTP, e.GRPC = 400, grpcInvalidArgument
	return pubsubError(e, reason, p.PubSub, map[string]string{"appID": a.o.AppID, "error": err.Error()})
}

// broker gives the broker that the app may publish to.
func (a *API) broker(name, topic string) (*component.PubSub, error) {
	if name == "" {
		return nil, pubsubError(Errorf(ErrPubsubEmpty, "pubsub name is empty"), "DAPR_PUBSUB_NAME_EMPTY", name, nil)
	}
	broker := a.o.Components.PubSub(name)
	ok, err := broker.MayPublish(topic)
	if err != nil {
		return nil, publishError(err, name, topic)
	}
	if topic == "" {
		return nil, pubsubError(Errorf(ErrTopicNameEmpty, "topic is empty in pubsub %s", name), "DAPR_PUBSUB_TOPIC_NAME_EMPTY", name, nil)
	}
	if !ok {
		e := Errorf(ErrPubsubForbidden, "topic %s is not allowed for app id %s", topic, a.o.AppID)
		return nil, pubsubError(e, "DAPR_PUBSUB_FORBIDDEN", name, map[string]string{"topic": topic, "error": e.Message})
	}
	return broker, nil
}

// message gives what travels for what the app publishes.
func (a *API) message(broker *component.PubSub, p Publish) (*component.Message, error) {
	m := &component.Message{Topic: p.Topic, Data: p.Data, ContentType: p.ContentType, Metadata: p.Metadata}
	raw, err := rawPayload(p.Metadata)
	if err != nil {
		return nil, pubsubError(Wrap(ErrPubsubMetadata, err, "failed deserializing metadata. Error: %v", err), "DAPR_PUBSUB_METADATA_DESERIALIZATION", p.PubSub, p.Metadata)
	}
	if raw {
		return m, nil
	}
	data, err := broker.Event(component.Event{
		Source: a.o.AppID, Topic: p.Topic, Data: p.Data, ContentType: p.ContentType,
		TraceParent: p.TraceParent, TraceState: p.TraceState, Metadata: p.Metadata,
	})
	if err != nil {
		e := Wrap(ErrPubsubEnvelope, err, "cannot create cloudevent: %v", err)
		e.GRPC = grpcInvalidArgument
		return nil, pubsubError(e, "DAPR_PUBSUB_CLOUD_EVENT_CREATION", p.PubSub, map[string]string{"appID": a.o.AppID, "error": err.Error()})
	}
	m.Data, m.ContentType = data, "application/cloudevents+json"
	return m, nil
}

// publishError says an error of a broker with Dapr's codes.
func publishError(err error, name, topic string) *Error {
	if none, ok := absent(err); ok {
		if none {
			e := Wrap(ErrPubsubNotConfigured, err, "pubsub %s is not configured", name)
			e.Details = []Detail{info("DAPR_PUBSUB_NOT_CONFIGURED")}
			return e
		}
		e := Wrap(ErrPubsubNotFound, err, "pubsub %s is not found", name)
		e.Details = []Detail{info("DAPR_PUBSUB_NOT_FOUND")}
		return e
	}
	e := Wrap(ErrPublishMessage, err, "error when publishing to topic %s in pubsub %s: %v", topic, name, err)
	return pubsubError(e, "DAPR_PUBSUB_PUBLISH_MESSAGE", name, map[string]string{"topic": topic, "error": err.Error()})
}

// pubsubError adds the details that Dapr gives to an error of a broker.
func pubsubError(e *Error, reason, name string, metadata map[string]string) *Error {
	about, why := resourceInfo("pubsub", name), info(reason)
	about.Description, why.Metadata = e.Message, metadata
	e.Details = []Detail{about, why}
	return e
}

// rawPayload says whether metadata ask for messages that are no CloudEvents.
func rawPayload(md map[string]string) (bool, error) {
	for k, v := range md {
		if strings.EqualFold(k, "rawPayload") {
			raw, err := strconv.ParseBool(v)
			if err != nil {
				return false, fmt.Errorf("rawPayload value must be a valid boolean: actual is '%s'", v)
			}
			return raw, nil
		}
	}
	return false, nil
}

// failures collects the messages that failed.
func failures(err error) (all []FailedEntry) {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range many.Unwrap() {
			all = append(all, failures(one)...)
		}
		return all
	}
	if one, ok := errors.AsType[*component.MessageError](err); ok {
		return []FailedEntry{{one.ID, one.Err}}
	}
	return nil
}

// truth says whether metadata, whose names have no case, switch something on.
func truth(md map[string]string, name string) bool {
	for k, v := range md {
		if strings.EqualFold(k, name) {
			on, err := strconv.ParseBool(v)
			return err == nil && on
		}
	}
	return false
}

func mergeMetadata(a, b map[string]string) map[string]string {
	all := make(map[string]string, len(a)+len(b))
	for _, m := range []map[string]string{a, b} {
		maps.Copy(all, m)
	}
	return all
}
