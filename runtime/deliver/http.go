package deliver

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"mesh/runtime/component"
	"mesh/runtime/flow"
	"mesh/runtime/resource"
	"mesh/runtime/stream"
)

// httpApp is an app that speaks HTTP.
type httpApp struct{ o Options }

// eventType is the content type of a CloudEvent as JSON.
const eventType = "application/cloudevents+json"

// maxAnswer bounds what an app may answer to what is delivered.
const maxAnswer = 4 << 20

// asked is a subscription as apps write it.
type asked struct {
	PubSub     string            `json:"pubsubname"`
	Topic      string            `json:"topic"`
	Route      string            `json:"route"`
	Metadata   map[string]string `json:"metadata"`
	DeadLetter string            `json:"deadLetterTopic"`
	Routes     struct {
		Rules   []struct{ Match, Path string } `json:"rules"`
		Default string                         `json:"default"`
	} `json:"routes"`
	Bulk struct {
		Enabled     bool `json:"enabled"`
		MaxMessages int  `json:"maxMessagesCount"`
		MaxAwaitMs  int  `json:"maxAwaitDurationMs"`
	} `json:"bulkSubscribe"`
}

// subscription gives it as files declare them.
func (a *asked) subscription() resource.Subscription {
	r := resource.Subscription{
		PubSub: a.PubSub, Topic: a.Topic, Default: a.Route, DeadLetter: a.DeadLetter, Metadata: a.Metadata,
	}
	if len(a.Routes.Rules) > 0 || a.Routes.Default != "" {
		r.Default = a.Routes.Default
		for _, one := range a.Routes.Rules {
			r.Rules = append(r.Rules, resource.Rule(one))
		}
	}
	if a.Bulk.Enabled {
		r.Bulk = &resource.Bulk{MaxMessages: a.Bulk.MaxMessages, MaxAwait: time.Duration(a.Bulk.MaxAwaitMs) * time.Millisecond}
	}
	return r
}

// subscriptions asks GET /dapr/subscribe.
func (a httpApp) subscriptions(ctx context.Context) (all []resource.Subscription, found bool) {
	status, body, err := a.call(ctx, &stream.Call{
		AppID: a.o.AppID, Verb: http.MethodGet, Path: "dapr/subscribe", Header: http.Header{"Accept": {"application/json"}}, Own: true,
	})
	switch {
	case err != nil:
		if !errors.Is(ctx.Err(), context.Canceled) {
			a.o.Log.WarnContext(ctx, "asking the app for its subscriptions", slog.Any("error", err))
		}
		return nil, false
	case status == http.StatusNotFound:
		return nil, false
	case status != http.StatusOK:
		a.o.Log.WarnContext(ctx, "the app was asked for its subscriptions", slog.Int("status", status))
		return nil, false
	}
	var list []asked
	if err := json.Unmarshal(body, &list); err != nil {
		a.o.Log.WarnContext(ctx, "the app's list of subscriptions is not what it should be", slog.Any("error", err))
		return nil, true
	}
	for i := range list {
		all = append(all, list[i].subscription())
	}
	return all, true
}

// message posts a CloudEvent.
func (a httpApp) message(ctx context.Context, f *flow.Flow, d *delivery) error {
	body := d.m.Data
	if d.made {
		var err error
		if body, err = json.Marshal(d.event); err != nil {
			return fmt.Errorf("%w: %w", errDrop, err)
		}
	}
	header := headers(d)
	header["Content-Type"] = []string{eventType}
	status, answer, err := a.post(ctx, f, d.path, header, body)
	if err != nil {
		return err
	}
	err = verdict(status, answer)
	f.Answered(err)
	return err
}

// bulkEntry is one message of a bulk as the app gets it.
type bulkEntry struct {
	ID          string            `json:"entryId"`
	Event       any               `json:"event"`
	ContentType string            `json:"contentType"`
	Metadata    map[string]string `json:"metadata"`
}

// messages posts a bulk.
func (a httpApp) messages(ctx context.Context, f *flow.Flow, all []*delivery) []error {
	sub := all[0].sub
	bulk := struct {
		ID      string            `json:"id"`
		Entries []bulkEntry       `json:"entries"`
		Meta    map[string]string `json:"metadata,omitempty"`
		Topic   string            `json:"topic"`
		PubSub  string            `json:"pubsubname"`
		Type    string            `json:"type"`
	}{ID: all[0].m.ID, Topic: sub.Topic, PubSub: sub.PubSub, Type: bulkType}
	for _, d := range all {
		e := bulkEntry{ID: d.m.ID, Event: d.event, ContentType: eventType, Metadata: d.m.Metadata}
		if sub.raw() {
			e.Event, e.ContentType = base64.StdEncoding.EncodeToString(d.m.Data), "application/octet-stream"
		}
		bulk.Entries = append(bulk.Entries, e)
	}
	body, err := json.Marshal(bulk)
	if err != nil {
		return alike(len(all), fmt.Errorf("writing a bulk: %w", err))
	}
	status, answer, err := a.post(ctx, f, all[0].path, http.Header{"Content-Type": {"application/json"}}, body)
	answered := err == nil
	if answered && (status < 200 || status > 299) {
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
	if err != nil {
		if answered {
			f.Answered(err)
		}
		return alike(len(all), err)
	}
	words := map[string]error{}
	for _, one := range said.Statuses {
		if words[one.ID] = word(one.Status); one.Status == "" {
			words[one.ID] = errors.New("the app does not say what became of the message") // unlike to a message by itself
		}
	}
	errs := matched(all, words)
	f.Answered(errors.Join(errs...))
	return errs
}

// wants asks with OPTIONS.
func (a httpApp) wants(ctx context.Context, name string) bool {
	const limit = 3 * time.Second
	tctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	status, _, err := a.call(tctx, &stream.Call{
		AppID: a.o.AppID, Verb: http.MethodOptions, Path: bindingPath(a.o.Components, name), Header: http.Header{}, Own: true,
	})
	if err != nil && ctx.Err() == nil {
		a.o.Log.WarnContext(ctx, "asking the app whether it takes an input binding", slog.String("binding", name), slog.Any("error", err))
	}
	return err == nil && (status >= 200 && status <= 299 || status == http.StatusMethodNotAllowed)
}

// event posts the payload, with its metadata as headers.
func (a httpApp) event(ctx context.Context, f *flow.Flow, name string, p component.Payload) ([]byte, error) {
	header := http.Header{"Content-Type": {"application/json"}}
	if p.ContentType != "" {
		header["Content-Type"] = []string{p.ContentType}
	}
	for k, v := range p.Metadata {
		setHeader(header, k, v)
	}
	status, answer, err := a.post(ctx, f, bindingPath(a.o.Components, name), header, p.Data)
	if err == nil && (status < 200 || status > 299) {
		err = fmt.Errorf("the app answered %d: %s", status, shorten(answer))
		f.Answered(err)
	}
	return answer, err
}

func (a httpApp) post(ctx context.Context, f *flow.Flow, path string, header http.Header, body []byte) (status int, answer []byte, err error) {
	status, answer, err = a.call(ctx, &stream.Call{
		AppID: a.o.AppID, Verb: http.MethodPost, Path: strings.TrimLeft(path, "/"), Header: header,
		Body: bytes.NewReader(body), Length: int64(len(body)), Flow: f,
	})
	f.Mark(flow.Reply, flow.CallerOut, len(answer))
	return status, answer, err
}

// call calls the app and reads its whole answer.
func (a httpApp) call(ctx context.Context, c *stream.Call) (status int, body []byte, err error) {
	r, err := a.o.App.Handle(ctx, c)
	if err != nil {
		return 0, nil, err
	}
	defer r.Body.Close()
	body, err = io.ReadAll(io.LimitReader(r.Body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = fmt.Errorf("the app's answer is larger than %d bytes (the limit)", maxAnswer)
	}
	c.Flow.Replied(r.Status)
	return r.Status, body, err
}

// headers gives a message's metadata, broker and trace as headers.
func headers(d *delivery) http.Header {
	h := http.Header{}
	for k, v := range d.m.Metadata {
		setHeader(h, k, v)
	}
	setHeader(h, "pubsubName", d.sub.PubSub)
	for _, key := range []string{"traceparent", "tracestate"} {
		if v, ok := d.event[key].(string); ok && v != "" {
			setHeader(h, key, v)
		}
	}
	return h
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
		return &lostError{errors.New("the app has no such route (404)")}
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
		return errAgain
	}
	return fmt.Errorf("the app answered with the unknown status %q", status)
}
