// Package cloudevent gives CloudEvents, decoded from JSON, in the forms in which
// apps that speak gRPC take them: one by one, and as entries of a bulk.
package cloudevent

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"
)

// Request gives an event as an app gets it by itself. The caller adds what the
// subscription knows: broker, topic and path.
func Request(event map[string]any) (*runtimev1.TopicEventRequest, error) {
	e, err := Entry(event)
	if err != nil {
		return nil, err
	}
	return &runtimev1.TopicEventRequest{
		Id: e.GetId(), Source: e.GetSource(), Type: e.GetType(), SpecVersion: e.GetSpecVersion(),
		DataContentType: e.GetDataContentType(), Data: e.GetData(), Extensions: e.GetExtensions(),
	}, nil
}

// Entry gives an event as an app gets it among others.
func Entry(event map[string]any) (*runtimev1.TopicEventCERequest, error) {
	data, err := data(event)
	if err != nil {
		return nil, err
	}
	more, err := extensions(event)
	if err != nil {
		return nil, err
	}
	return &runtimev1.TopicEventCERequest{
		Id: text(event, "id"), Source: text(event, "source"), Type: text(event, "type"), SpecVersion: text(event, "specversion"),
		DataContentType: text(event, "datacontenttype"), Data: data, Extensions: more,
	}, nil
}

func text(event map[string]any, key string) string {
	s, _ := event[key].(string)
	return s
}

// data gives the bytes that the publisher sent: text as it is, everything else
// as JSON.
func data(event map[string]any) ([]byte, error) {
	switch coded := event["data_base64"].(type) {
	case nil:
	case string:
		b, err := base64.StdEncoding.DecodeString(coded)
		if err != nil {
			return nil, fmt.Errorf("reading data_base64 of the event: %w", err)
		}
		return b, nil
	default:
		return nil, errors.New("data_base64 of the event is not a string")
	}
	value, ok := event["data"]
	if !ok || value == nil {
		return nil, nil
	}
	if s, ok := value.(string); ok && !isJSON(text(event, "datacontenttype")) {
		return []byte(s), nil
	}
	b, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("writing the data of the event: %w", err)
	}
	return b, nil
}

// isJSON says whether data of a content type is JSON, such as a CloudEvent.
func isJSON(contentType string) bool {
	kind, _, _ := strings.Cut(strings.ToLower(contentType), ";")
	kind = strings.TrimSpace(kind)
	return kind == "application/json" || strings.HasSuffix(kind, "+json")
}

// extensions gives the attributes that the messages have no fields for.
func extensions(event map[string]any) (*structpb.Struct, error) {
	more := map[string]any{}
	for key, value := range event {
		switch key {
		case "id", "source", "type", "specversion", "datacontenttype", "data", "data_base64":
		default:
			more[key] = value
		}
	}
	b, err := json.Marshal(more)
	if err != nil {
		return nil, fmt.Errorf("writing the extensions of the event: %w", err)
	}
	s := &structpb.Struct{}
	if err := protojson.Unmarshal(b, s); err != nil {
		return nil, fmt.Errorf("writing the extensions of the event: %w", err)
	}
	return s, nil
}
