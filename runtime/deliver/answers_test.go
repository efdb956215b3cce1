package deliver

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"mesh/runtime/component"
	"mesh/runtime/flow"
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

// TestAnswersDoNotBreakOff: a delivery that the app refuses shows its answer; only
// one that it does not answer is broken off.
func TestAnswersDoNotBreakOff(t *testing.T) {
	t.Parallel()
	flows := flow.NewRecorder()
	defer flows.Watch()()
	sub := &Subscription{Subscription: resource.Subscription{PubSub: "broker", Topic: "t"}}
	d := &delivery{sub: sub, m: &component.Message{ID: "1"}, event: map[string]any{"id": "1"}, path: "t"}
	for name, tc := range map[string]struct {
		status int // of an app that speaks HTTP; 0: it cannot be reached
		text   string
		said   runtimev1.TopicEventResponse_TopicEventResponseStatus // of one that speaks gRPC
		failed error
		broken bool
	}{
		"refused":     {status: 500, said: runtimev1.TopicEventResponse_RETRY},
		"dropped":     {status: 200, text: `{"status":"DROP"}`, said: runtimev1.TopicEventResponse_DROP},
		"no route":    {status: 404, failed: status.Error(codes.Unimplemented, "no such method")},
		"an error":    {status: 503, failed: status.Error(codes.Internal, "oops")},
		"not reached": {failed: &stream.UnreachableError{Err: errors.New("not there")}, broken: true},
		"broken off":  {failed: status.Error(codes.Unavailable, "reset"), broken: true},
	} {
		speaksRPC := newRPCApp("a")
		speaksRPC.say(tc.said, tc.failed)
		for _, a := range []subscriber{
			httpApp{Options{AppID: "a", App: stream.HandlerFunc(func(context.Context, *stream.Call) (*stream.Reply, error) {
				if tc.status == 0 {
					return nil, tc.failed
				}
				return &stream.Reply{Status: tc.status, Body: io.NopCloser(strings.NewReader(tc.text))}, nil
			})}},
			grpcApp{Options{AppID: "a", RPC: speaksRPC}},
		} {
			f := flows.Begin(flow.Head{Kind: "delivery"})
			err := a.message(t.Context(), f, d)
			f.End(err)
			if v := f.View(); err == nil || v.Err != err.Error() || v.Broken() != tc.broken {
				t.Errorf("%s, %T: %v is recorded as %q, broken off: %v, want %v", name, a, err, v.Err, v.Broken(), tc.broken)
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
