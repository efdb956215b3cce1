package deliver

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"

	"mesh/runtime/component"
	"mesh/runtime/resource"
	"mesh/runtime/stream"
)

// TestBulkAnswers: what the app says to a bulk decides about each of its messages;
// what it says nothing of comes again.
func TestBulkAnswers(t *testing.T) {
	sub := &Subscription{Subscription: resource.Subscription{PubSub: "broker", Topic: "t"}}
	var all []*delivery
	for _, id := range []string{"1", "2", "3"} {
		all = append(all, &delivery{sub: sub, m: &component.Message{ID: id}, path: "bulk"})
	}
	for _, tc := range []struct {
		status       int
		text         string
		want, wantOf string // of the first message, and of the second and third
	}{
		{200, `{"statuses":[{"entryId":"1","status":"SUCCESS"},{"entryId":"2","status":"DROP"},{"entryId":"3","status":"DROP"}]}`, "taken", "dropped"},
		{200, `{"statuses":[{"entryId":"1","status":"SUCCESS"},{"entryId":"2","status":"RETRY"},{"entryId":"3","status":"WHAT"}]}`, "taken", "again"},
		{200, `{"statuses":[{"entryId":"1","status":"SUCCESS"},{"entryId":"2","status":""},{"entryId":"4","status":"SUCCESS"}]}`, "taken", "again"},
		{200, `thanks`, "again", "again"},
		{200, ``, "again", "again"},
		{404, ``, "dropped", "dropped"},
		{500, ``, "again", "again"},
	} {
		a := httpApp{Options{AppID: "a", App: stream.HandlerFunc(func(context.Context, *stream.Call) (*stream.Reply, error) {
			return &stream.Reply{Status: tc.status, Body: io.NopCloser(strings.NewReader(tc.text))}, nil
		})}}
		for i, err := range a.messages(t.Context(), nil, all) {
			got, want := "again", tc.wantOf
			switch {
			case err == nil:
				got = "taken"
			case errors.Is(err, errDrop):
				got = "dropped"
			}
			if i == 0 {
				want = tc.want
			}
			if got != want {
				t.Errorf("%d %s: message %d is %s (%v), want %s", tc.status, tc.text, i+1, got, err, want)
			}
		}
	}
}

// TestLostMessagesAreTold: a message that is dropped though nobody wished so is a
// warning; one that the app drops is none.
func TestLostMessagesAreTold(t *testing.T) {
	w := newWorld(t)
	for _, tc := range []struct {
		data  string
		reply int
		text  string
		want  string
	}{
		{"no event", 200, "", "reading a message as a CloudEvent"},
		{`{"data":1}`, 404, "", "the app has no such route (404)"},
		{`{"data":1}`, 200, `{"status":"DROP"}`, ""},
		{`{"data":1}`, 200, "", ""},
	} {
		var said bytes.Buffer
		log := slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelWarn}))
		app := stream.HandlerFunc(func(context.Context, *stream.Call) (*stream.Reply, error) {
			return &stream.Reply{Status: tc.reply, Body: io.NopCloser(strings.NewReader(tc.text))}, nil
		})
		s := &session{Deliverer: New(Options{AppID: "a", Components: w.live.App("a"), App: app, Log: log}), life: w.ctx}
		sub := &Subscription{Subscription: resource.Subscription{PubSub: "broker", Topic: "orders", Default: "/orders"}}
		if err := s.deliver(w.ctx, sub, w.live.App("a").PubSub("broker"), &component.Message{Topic: "orders", Data: []byte(tc.data)}); err != nil {
			t.Errorf("%s: %v", tc.data, err)
		}
		if got := said.String(); !strings.Contains(got, tc.want) || (tc.want == "") != (got == "") {
			t.Errorf("%s, answered with %d %s: the log says %q, want %q", tc.data, tc.reply, tc.text, got, tc.want)
		}
	}
}
