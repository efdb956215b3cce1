package deliver

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"mesh/runtime/component"
	"mesh/runtime/resource"
	"mesh/runtime/stream"
)

func TestBulk(t *testing.T) {
	w := newWorld(t)
	bulks := make(chan int, 100)
	a := &app{id: "a"}
	a.reply = func(path string, body []byte) (int, string) {
		var bulk struct {
			Entries []struct{ EntryID string }
		}
		if path != "bulk" || json.NewDecoder(bytes.NewReader(body)).Decode(&bulk) != nil {
			return http.StatusOK, ""
		}
		bulks <- len(bulk.Entries)
		var statuses []string
		for _, e := range bulk.Entries {
			statuses = append(statuses, fmt.Sprintf(`{"entryId":%q,"status":"SUCCESS"}`, e.EntryID))
		}
		return http.StatusOK, `{"statuses":[` + strings.Join(statuses, ",") + `]}`
	}
	w.run(a, resource.Subscription{PubSub: "broker", Topic: "t", Default: "/bulk", Bulk: &resource.Bulk{MaxMessages: 5, MaxAwait: 200 * time.Millisecond}})
	w.first("t", component.Event{Data: []byte("probe")}, a.got)
	for range 5 {
		w.publish("t", component.Event{Data: []byte("x")})
	}
	for {
		select {
		case n := <-bulks:
			if n > 1 {
				return // several at once
			}
		case <-time.After(patience):
			t.Fatal("messages never come together")
		}
	}
}

// TestRawPayload: what is no CloudEvent becomes the data of one, and in a bulk
// stays the bytes that it is.
func TestRawPayload(t *testing.T) {
	w := newWorld(t)
	bodies := make(chan []byte, 100)
	a := &app{id: "a", reply: func(path string, body []byte) (int, string) {
		if path == "one" || path == "many" {
			bodies <- body
		}
		return http.StatusOK, `{"statuses":[]}` // a bulk so answered comes again
	}}
	raw := map[string]string{"rawpayload": "true"} // whatever its case
	d := w.run(a, resource.Subscription{PubSub: "broker", Topic: "one", Default: "/one", Metadata: raw},
		resource.Subscription{PubSub: "broker", Topic: "many", Default: "/many", Metadata: raw, Bulk: &resource.Bulk{MaxMessages: 2, MaxAwait: 10 * time.Millisecond}})
	subscribed(t, d, 2)
	const payload = "\x00not JSON"
	body := func(topic string) []byte {
		t.Helper()
		return repeat(t, func() {
			if err := w.live.App("sender").PubSub("broker").Publish(w.ctx, &component.Message{Topic: topic, Data: []byte(payload)}); err != nil {
				t.Fatal(err)
			}
		}, bodies)
	}
	coded := base64.StdEncoding.EncodeToString([]byte(payload))
	var event map[string]any
	if err := json.Unmarshal(body("one"), &event); err != nil {
		t.Fatal(err)
	}
	if event["data_base64"] != coded || event["datacontenttype"] != "application/octet-stream" || event["topic"] != "one" || event["pubsubname"] != "broker" || event["id"] == "" {
		t.Errorf("a raw message arrives as %v", event)
	}
	var bulk struct {
		Entries []struct{ Event, ContentType string }
	}
	for got := body("many"); ; got = body("many") {
		if err := json.Unmarshal(got, &bulk); err == nil && len(bulk.Entries) > 0 {
			break // what came before was of the other topic
		}
	}
	if e := bulk.Entries[0]; e.Event != coded || e.ContentType != "application/octet-stream" {
		t.Errorf("in a bulk a raw message arrives as %+v", e)
	}
}

// TestBinaryModeEvents: an app gets whole CloudEvents of publishers that put the
// attributes beside the data.
func TestBinaryModeEvents(t *testing.T) {
	t.Parallel()
	sub := &Subscription{Subscription: resource.Subscription{PubSub: "broker", Topic: "t", Default: "/t"}}
	d, err := open(sub, &component.Message{Topic: "t", Data: []byte{0, 1}, ContentType: "application/octet-stream", Metadata: map[string]string{
		"ce_specversion": "1.0", "ce_id": "7", "ce_source": "/mill", "ce_type": "ground",
	}})
	if err != nil {
		t.Fatal(err)
	}
	var body []byte
	speaksHTTP := httpApp{Options{AppID: "a", App: stream.HandlerFunc(func(_ context.Context, c *stream.Call) (*stream.Reply, error) {
		body, _ = io.ReadAll(c.Body)
		return &stream.Reply{Status: http.StatusOK, Body: http.NoBody}, nil
	})}}
	var event map[string]any
	if err := speaksHTTP.message(t.Context(), nil, d); err != nil || json.Unmarshal(body, &event) != nil {
		t.Fatalf("the app gets %q: %v", body, err)
	}
	if event["id"] != "7" || event["type"] != "ground" || event["data_base64"] != "AAE=" || event["pubsubname"] != "broker" {
		t.Errorf("over HTTP the app gets %s", body)
	}
	speaksRPC := newRPCApp("a")
	if err := (grpcApp{Options{AppID: "a", RPC: speaksRPC}}).message(t.Context(), nil, d); err != nil {
		t.Fatal(err)
	}
	if got := <-speaksRPC.events; got.GetId() != "7" || got.GetSource() != "/mill" || string(got.GetData()) != "\x00\x01" || got.GetSpecVersion() != "1.0" {
		t.Errorf("over gRPC the app gets %v", got)
	}
}
