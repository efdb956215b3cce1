package cloudevent

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// decoded reads an event as messages are read, numbers left as they are.
func decoded(t *testing.T, text string) map[string]any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var event map[string]any
	if err := d.Decode(&event); err != nil {
		t.Fatal(err)
	}
	return event
}

func TestData(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ event, want string }{
		"text":                 {`{"datacontenttype":"text/plain","data":"hi"}`, `hi`},
		"text of no type":      {`{"data":"hi"}`, `hi`},
		"a string of JSON":     {`{"datacontenttype":"application/json","data":"hi"}`, `"hi"`},
		"an object":            {`{"datacontenttype":"application/json; charset=utf-8","data":{"n":12345678901234567890}}`, `{"n":12345678901234567890}`},
		"an object by suffix":  {`{"datacontenttype":"application/vnd.order+json","data":"x"}`, `"x"`},
		"an event in an event": {`{"datacontenttype":"application/cloudevents+json","data":{"id":"1"}}`, `{"id":"1"}`},
		"bytes":                {`{"datacontenttype":"application/octet-stream","data_base64":"AP8="}`, "\x00\xff"},
		"nothing":              {`{"data":null}`, ``},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one, err := Request(decoded(t, tc.event))
			if err != nil || string(one.GetData()) != tc.want {
				t.Errorf("%q, %v, want %q", one.GetData(), err, tc.want)
			}
			entry, err := Entry(decoded(t, tc.event))
			if err != nil || string(entry.GetData()) != tc.want {
				t.Errorf("in a bulk %q, %v, want %q", entry.GetData(), err, tc.want)
			}
		})
	}
	for _, bad := range []string{`{"data_base64":"%"}`, `{"data_base64":{}}`} {
		if _, err := Request(decoded(t, bad)); err == nil || !strings.Contains(err.Error(), "data_base64") {
			t.Errorf("%s: %v", bad, err)
		}
		if _, err := Entry(decoded(t, bad)); err == nil {
			t.Errorf("%s is taken in a bulk", bad)
		}
	}
}

func TestAttributes(t *testing.T) {
	event := decoded(t, `{"id":"1","source":"s","type":"t","specversion":"1.0","datacontenttype":"text/plain","data":"x","time":"now","n":3,"flag":true}`)
	one, err := Request(event)
	if err != nil {
		t.Fatal(err)
	}
	got := []any{one.GetId(), one.GetSource(), one.GetType(), one.GetSpecVersion(), one.GetDataContentType(), one.GetExtensions().AsMap()}
	want := []any{"1", "s", "t", "1.0", "text/plain", map[string]any{"time": "now", "n": 3.0, "flag": true}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	entry, err := Entry(event)
	if err != nil {
		t.Fatal(err)
	}
	got = []any{entry.GetId(), entry.GetSource(), entry.GetType(), entry.GetSpecVersion(), entry.GetDataContentType(), entry.GetExtensions().AsMap()}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
