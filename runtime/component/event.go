package component

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/dapr/components-contrib/contenttype"
	"github.com/dapr/components-contrib/pubsub"
)

// Event is a message of an app before it is put into a CloudEvent.
type Event struct {
	Source      string // the app
	Topic       string
	Data        []byte
	ContentType string
	TraceParent string
	TraceState  string
	Metadata    map[string]string // cloudevent.* replace attributes, ttlInSeconds limits its life
}

// Event gives the CloudEvent in which an app's message travels. A message that
// is a CloudEvent stays the one that it is, with what it lacks.
func (p *PubSub) Event(e Event) ([]byte, error) {
	var ce map[string]any
	if contenttype.IsCloudEventContentType(e.ContentType) {
		var err error
		if ce, err = pubsub.FromCloudEvent(e.Data, e.Topic, p.name, e.TraceParent, e.TraceState); err != nil {
			return nil, fmt.Errorf("reading the CloudEvent: %w", err)
		}
		if ce["id"] == nil || ce["id"] == "" {
			return nil, errors.New("the CloudEvent has no id")
		}
	} else {
		ce = pubsub.NewCloudEventsEnvelope("", e.Source, "", "", e.Topic, p.name, e.ContentType, e.Data, e.TraceParent, e.TraceState)
	}
	for key, value := range e.Metadata {
		if name, ok := strings.CutPrefix(strings.ToLower(key), "cloudevent."); ok && name != "" {
			ce[name] = value
		}
	}
	pubsub.ApplyMetadata(ce, p.features(), e.Metadata)
	b, err := json.Marshal(ce)
	if err != nil {
		return nil, fmt.Errorf("writing the CloudEvent: %w", err)
	}
	return b, nil
}

// features says what the broker takes care of by itself.
func (p *PubSub) features() []pubsub.Feature {
	broker, _, done, err := use[pubsub.PubSub](p.app, KindPubSub, p.name)
	if err != nil {
		return nil // publishing will say so
	}
	defer done()
	return broker.Features()
}

// Open gives the CloudEvent of a message that arrived; raw says that the
// message is not one, but becomes its data.
func (m *Message) Open(broker string, raw bool) (map[string]any, error) {
	if raw {
		return pubsub.FromRawPayload(m.Data, m.Topic, broker), nil
	}
	var ce map[string]any
	d := json.NewDecoder(bytes.NewReader(m.Data))
	d.UseNumber()
	if err := d.Decode(&ce); err != nil {
		return nil, fmt.Errorf("reading a message as a CloudEvent: %w", err)
	}
	return ce, nil
}

// Expired says whether a CloudEvent is too old to be delivered.
func Expired(event map[string]any) bool { return pubsub.HasExpired(event) }
