package deliver

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"mesh/runtime/component"
	"mesh/runtime/resource"
)

func TestSubscriptionsOfTheApp(t *testing.T) {
	w := newWorld(t)
	a := &app{id: "a", asked: `[
		{"pubsubname":"broker","topic":"plain","route":"/plain"},
		{"pubsubname":"broker","topic":"routed","routes":{"rules":[
			{"match":"event.type == 'big' && event.data.n > 5","path":"/big"},{"match":"event.nope == 1","path":"/never"}],"default":"/small"}},
		{"pubsubname":"broker","topic":"broken","routes":{"rules":[{"match":"((","path":"/x"}]}}]`}
	// What files say of the same topic counts less than what the app says.
	d := w.run(a, resource.Subscription{PubSub: "broker", Topic: "plain", Default: "/declared"},
		resource.Subscription{PubSub: "broker", Topic: "other", Default: "/other"},
		resource.Subscription{PubSub: "broker", Topic: "theirs", Default: "/theirs", Scopes: []string{"b"}})
	subscribed(t, d, 3)
	got := w.first("plain", component.Event{Data: []byte(`{"n":1}`), ContentType: "application/json"}, a.got)
	if got.path != "plain" || got.contentType != "application/cloudevents+json" || got.event["source"] != "sender" ||
		got.event["pubsubname"] != "broker" || got.event["topic"] != "plain" || fmt.Sprint(got.event["data"]) != "map[n:1]" {
		t.Errorf("the message arrives as %+v", got)
	}
	if got := w.first("other", component.Event{Data: []byte("text")}, drained(a.got)); got.path != "other" || got.event["data"] != "text" {
		t.Errorf("the declared subscription gets %+v", got)
	}
	for n, want := range map[int]string{1: "small", 6: "big"} {
		e := component.Event{Data: fmt.Appendf(nil, `{"n":%d}`, n), ContentType: "application/json", Metadata: map[string]string{"cloudevent.type": "big"}}
		if got := w.first("routed", e, drained(a.got)); got.path != want {
			t.Errorf("with n = %d the message goes to %s, want %s", n, got.path, want)
		}
	}
}

// TestAnswers: what the app says to a message decides what becomes of it.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status int
		text   string
		want   string // "taken", "again" or "dead"
	}{
		"nothing":          {200, "", "taken"},
		"words":            {200, "thanks", "taken"},
		"SUCCESS":          {200, `{"status":"SUCCESS"}`, "taken"},
		"RETRY":            {200, `{"status":"RETRY"}`, "again"},
		"an unknown word":  {200, `{"status":"MAYBE"}`, "again"},
		"an error":         {500, "", "again"},
		"DROP":             {200, `{"status":"DROP"}`, "dropped"},
		"no such route":    {404, "", "dropped"},
		"RETRY, dead":      {200, `{"status":"RETRY"}`, "dead"},
		"DROP, dead":       {200, `{"status":"DROP"}`, "dead"},
		"an error, dead":   {500, "", "dead"},
		"taken, not dead!": {200, "", "taken"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a := &app{id: "a"}
			var bad int
			a.reply = func(path string, _ []byte) (int, string) {
				if path == "orders" && bad < 1 {
					bad++
					return tc.status, tc.text
				}
				return http.StatusOK, ""
			}
			sub := resource.Subscription{PubSub: "broker", Topic: "orders", Default: "/orders"}
			if strings.Contains(name, "dead") {
				sub.DeadLetter = "dead"
			}
			w.run(a, sub, resource.Subscription{PubSub: "broker", Topic: "dead", Default: "/dead"}, resource.Subscription{PubSub: "broker", Topic: "probe", Default: "/probe"})
			w.first("dead", component.Event{Data: []byte("probe")}, a.got)
			w.first("probe", component.Event{Data: []byte("probe")}, drained(a.got))
			one := w.first("orders", component.Event{Data: []byte("1")}, onPath(t, a.got, "orders"))
			w.publish("orders", component.Event{Data: []byte("last")})
			id := one.event["id"]
			seen, dead := 0, 0
			for {
				d := next(t, a.got)
				if d.event["id"] == id && d.path == "orders" {
					seen++
				}
				if d.event["id"] == id && d.path == "dead" {
					dead++
				}
				if (tc.want == "again" && seen > 0) || (tc.want == "dead" && dead > 0) {
					return
				}
				if (tc.want == "taken" || tc.want == "dropped") && d.event["data"] == "last" {
					break
				}
			}
			if seen+dead > 0 {
				t.Errorf("the message came again %d times, and %d times as dead letter", seen, dead)
			}
		})
	}
}

func TestInstancesCompeteAndPause(t *testing.T) {
	w := newWorld(t)
	got := make(chan arrival, 100)
	sub := resource.Subscription{PubSub: "broker", Topic: "orders", Default: "/orders"}
	one, two := &app{id: "a", got: got}, &app{id: "a", got: got}
	first, second := w.run(one, sub), w.run(two, sub)
	subscribed(t, first, 1)
	subscribed(t, second, 1)
	w.first("orders", component.Event{Data: []byte("probe")}, got)
	one.set(false)
	subscribed(t, first, 0) // its instance pauses: the other one gets everything
	const n = 20
	for i := range n {
		w.publish("orders", component.Event{Data: fmt.Append(nil, i)})
	}
	seen := map[any]int{}
	for len(seen) < n {
		d := next(t, got)
		if d.event["data"] == "probe" {
			continue
		}
		seen[d.event["data"]]++
	}
	for data, times := range seen {
		if times != 1 {
			t.Errorf("message %v came %d times", data, times)
		}
	}
	two.set(false)
	subscribed(t, second, 0)
	w.publish("orders", component.Event{Data: []byte("kept")})
	one.set(true) // what was published while nobody was ready is not lost
	for {
		if d := next(t, got); d.event["data"] == "kept" {
			if d.instance != one {
				t.Error("an instance that is not ready got a message")
			}
			return
		}
	}
}

func TestCheckNamesTheRule(t *testing.T) {
	errs := Check([]resource.Subscription{{
		Name: "s", Rules: []resource.Rule{{Match: "event.type ==", Path: "/x"}}, Place: resource.Place{File: "s.yaml", Line: 3, Column: 1},
	}})
	if len(errs) != 1 || !strings.Contains(errs.Error(), "s.yaml:3:1") || !strings.Contains(errs.Error(), "event.type ==") {
		t.Errorf("%v", errs)
	}
	if !errors.Is(word("DROP"), errDrop) {
		t.Error("DROP does not drop")
	}
}
