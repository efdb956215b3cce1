package component

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

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
// message is not one, but becomes its data. made says that the event is not
// what the message itself says in JSON.
func (m *Message) Open(broker string, raw bool) (event map[string]any, made bool, err error) {
	if raw {
		return pubsub.FromRawPayload(m.Data, m.Topic, broker), true, nil
	}
	if ce := m.binary(broker); ce != nil {
		return ce, true, nil
	}
	if err := decode(m.Data, &event); err != nil {
		return nil, false, fmt.Errorf("reading a message as a CloudEvent: %w", err)
	}
	return event, false, nil
}

// attribute is how the names of a CloudEvent's attributes begin in the metadata
// of a message in binary mode.
const attribute = "ce_"

// binary gives the CloudEvent of a message in binary mode: its attributes are
// metadata, as in headers of Kafka, and the message is its data. nil: it is in
// none.
func (m *Message) binary(broker string) map[string]any {
	ce := map[string]any{"topic": m.Topic, "pubsubname": broker}
	kind := m.ContentType
	for key, value := range m.Metadata {
		key = strings.ToLower(key)
		if name, ok := strings.CutPrefix(key, attribute); ok && name != "" {
			ce[name] = value
		} else if key == "content-type" && kind == "" {
			kind = value
		}
	}
	if ce["specversion"] == nil || strings.HasPrefix(strings.ToLower(kind), "application/cloudevents") {
		return nil
	}
	if kind != "" {
		ce["datacontenttype"] = kind
	}
	var data any
	switch parsed := json.Valid(m.Data) && decode(m.Data, &data) == nil; {
	case isEvent(data): // only sent along with such metadata
		return nil
	case parsed && (kind == "" || isJSON(kind)):
		ce["data"] = data
	case contenttype.IsStringContentType(kind) && utf8.Valid(m.Data):
		ce["data"] = string(m.Data)
	case len(m.Data) > 0:
		ce["data_base64"] = base64.StdEncoding.EncodeToString(m.Data)
	}
	return ce
}

// isEvent says whether a value is a CloudEvent: whether it has what all have.
func isEvent(value any) bool {
	object, _ := value.(map[string]any)
	return object["specversion"] != nil && object["id"] != nil && object["source"] != nil && object["type"] != nil
}

func isJSON(contentType string) bool {
	kind, _, _ := strings.Cut(strings.ToLower(contentType), ";")
	kind = strings.TrimSpace(kind)
	return kind == contenttype.JSONContentType || strings.HasSuffix(kind, "+json")
}

// decode reads JSON without rounding its numbers.
func decode(text []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return d.Decode(to)
}

// Expired says whether a CloudEvent is too old to be delivered.
func Expired(event map[string]any) bool { return pubsub.HasExpired(event) }
