package deliver

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"mesh/runtime/component"
	"mesh/runtime/flow"
	"mesh/runtime/stream"
)

// eventType is the content type of a CloudEvent as JSON.
const eventType = "application/cloudevents+json"

// errDrop says that the app does not want the message.
var errDrop = errors.New("the app dropped the message")

// deliver hands one message to the app. An error makes the broker deliver it
// again.
func (s *session) deliver(ctx context.Context, sub *Subscription, broker *component.PubSub, raw bool, m *component.Message) error {
	err := s.try(ctx, sub, raw, m)
	return s.settle(ctx, sub, broker, m, err)
}

// settle decides what becomes of a message that the app did not take.
func (s *session) settle(ctx context.Context, sub *Subscription, broker *component.PubSub, m *component.Message, err error) error {
	if err == nil {
		return nil
	}
	if s.life.Err() != nil || isUnreachable(err) {
		return err // it is not the message's fault
	}
	if sub.DeadLetter != "" {
		dead := component.Message{Topic: sub.DeadLetter, Data: m.Data, ContentType: m.ContentType, Metadata: m.Metadata}
		if perr := broker.Publish(ctx, &dead); perr != nil {
			return errors.Join(err, fmt.Errorf("sending it to the dead letters: %w", perr))
		}
		return nil
	}
	if errors.Is(err, errDrop) {
		s.o.Log.DebugContext(ctx, "a message was dropped", slog.String("topic", sub.Topic), slog.Any("reason", err))
		return nil
	}
	return err
}

func isUnreachable(err error) bool {
	_, is := errors.AsType[*stream.UnreachableError](err)
	return is
}

// try sends one message to the app and reads what it says to it.
func (s *session) try(ctx context.Context, sub *Subscription, raw bool, m *component.Message) error {
	event, err := m.Open(sub.PubSub, raw)
	if err != nil {
		return fmt.Errorf("%w: %w", errDrop, err)
	}
	if component.Expired(event) {
		return fmt.Errorf("%w: it has expired", errDrop)
	}
	path, ok := sub.route(event)
	if !ok {
		return fmt.Errorf("%w: no route matches it", errDrop)
	}
	body := m.Data
	if raw {
		if body, err = json.Marshal(event); err != nil {
			return fmt.Errorf("%w: %w", errDrop, err)
		}
	}
	status, answer, err := s.post(ctx, sub, path, eventType, body, event, m.Metadata)
	if err != nil {
		return err
	}
	return verdict(status, answer)
}

// post sends a delivery to the app as a flow of its own.
func (s *session) post(ctx context.Context, sub *Subscription, path, contentType string, body []byte, event map[string]any, md map[string]string) (status int, answer []byte, err error) {
	path = strings.TrimLeft(path, "/")
	f := s.o.Flows.Begin(flow.Head{Caller: sub.PubSub, Callee: s.o.AppID, Verb: "delivery", Path: "/" + path, Kind: "delivery"})
	defer func() { f.End(err) }()
	f.Mark(flow.Request, flow.CallerIn, len(body))
	header := http.Header{"Content-Type": {contentType}}
	for k, v := range md {
		setHeader(header, k, v)
	}
	for _, key := range []string{"traceparent", "tracestate"} {
		if v, ok := event[key].(string); ok && v != "" {
			setHeader(header, key, v)
		}
	}
	status, answer, err = s.call(ctx, &stream.Call{
		AppID: s.o.AppID, Verb: http.MethodPost, Path: path, Header: header,
		Body: bytes.NewReader(body), Length: int64(len(body)), Flow: f,
	})
	f.Mark(flow.Reply, flow.CallerOut, len(answer))
	return status, answer, err
}

// setHeader adds metadata to the headers, unless it cannot be a header.
func setHeader(h http.Header, key, value string) {
	switch strings.ToLower(key) {
	case "content-type", "content-length", "host", "transfer-encoding", "connection":
		return
	}
	valid := func(s, bad string) bool {
		return s != "" && !strings.ContainsAny(s, bad) && strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) < 0
	}
	if valid(key, " ()<>@,;:\\\"/[]?={}") && valid(value, "") {
		h.Set(key, value)
	}
}

// verdict reads what an app says to a message: nil when it took it.
func verdict(status int, answer []byte) error {
	switch {
	case status == http.StatusNotFound:
		return fmt.Errorf("%w: it has no such route (404)", errDrop)
	case status < 200 || status > 299:
		return fmt.Errorf("the app answered %d: %s", status, shorten(answer))
	}
	var said struct {
		Status string `json:"status"`
	}
	if json.Unmarshal(answer, &said) != nil {
		return nil //nolint:nilerr // whatever it says, it took the message
	}
	return word(said.Status)
}

// word gives what a status means.
func word(status string) error {
	switch status {
	case "", "SUCCESS":
		return nil
	case "DROP":
		return errDrop
	case "RETRY":
		return errors.New("the app asks for the message again (RETRY)")
	}
	return fmt.Errorf("the app answered with the unknown status %q", status)
}

func shorten(b []byte) string {
	const most = 200
	if len(b) > most {
		return string(b[:most]) + "…"
	}
	return string(b)
}

// bulkEntry is one message of a bulk as the app gets it.
type bulkEntry struct {
	ID          string            `json:"entryId"`
	Event       any               `json:"event"`
	ContentType string            `json:"contentType"`
	Metadata    map[string]string `json:"metadata"`
}

// deliverAll hands several messages to the app at once, one call for each route.
func (s *session) deliverAll(ctx context.Context, sub *Subscription, broker *component.PubSub, raw bool, all []*component.Message) []error {
	errs := make([]error, len(all))
	byPath := map[string][]int{}
	entries := make([]bulkEntry, len(all))
	for i, m := range all {
		event, err := m.Open(sub.PubSub, raw)
		if err == nil && component.Expired(event) {
			err = errors.New("it has expired")
		}
		if err != nil {
			errs[i] = fmt.Errorf("%w: %w", errDrop, err)
			continue
		}
		path, ok := sub.route(event)
		if !ok {
			errs[i] = fmt.Errorf("%w: no route matches it", errDrop)
			continue
		}
		byPath[path] = append(byPath[path], i)
		entries[i] = bulkEntry{ID: m.ID, Event: event, ContentType: eventType, Metadata: m.Metadata}
		if raw {
			entries[i].Event, entries[i].ContentType = base64.StdEncoding.EncodeToString(m.Data), "application/octet-stream"
		}
	}
	for path, members := range byPath {
		s.tryAll(ctx, sub, path, entries, members, errs)
	}
	for i, m := range all {
		errs[i] = s.settle(ctx, sub, broker, m, errs[i])
	}
	return errs
}

// tryAll sends the members of a bulk that go to one path; what the app says of
// each goes to errs.
func (s *session) tryAll(ctx context.Context, sub *Subscription, path string, entries []bulkEntry, members []int, errs []error) {
	bulk := struct {
		ID      string            `json:"id"`
		Entries []bulkEntry       `json:"entries"`
		Meta    map[string]string `json:"metadata,omitempty"`
		Topic   string            `json:"topic"`
		PubSub  string            `json:"pubsubname"`
		Type    string            `json:"type"`
	}{ID: entries[members[0]].ID, Topic: sub.Topic, PubSub: sub.PubSub, Type: "com.dapr.event.sent.bulk"}
	for _, i := range members {
		bulk.Entries = append(bulk.Entries, entries[i])
	}
	body, err := json.Marshal(bulk)
	var status int
	var answer []byte
	if err == nil {
		status, answer, err = s.post(ctx, sub, path, "application/json", body, nil, nil)
	}
	if err == nil && (status < 200 || status > 299) {
		err = verdict(status, answer)
	}
	var said struct {
		Statuses []struct {
			ID     string `json:"entryId"`
			Status string `json:"status"`
		} `json:"statuses"`
	}
	if err == nil {
		if jerr := json.Unmarshal(answer, &said); jerr != nil {
			err = fmt.Errorf("reading what the app says to a bulk: %w", jerr)
		}
	}
	words := map[string]error{}
	for _, one := range said.Statuses {
		words[one.ID] = word(one.Status)
	}
	for _, i := range members {
		one, ok := words[entries[i].ID]
		switch {
		case err != nil:
			errs[i] = err
		case !ok:
			errs[i] = errors.New("the app says nothing to this message of the bulk")
		default:
			errs[i] = one
		}
	}
}
