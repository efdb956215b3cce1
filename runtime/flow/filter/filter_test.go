package filter_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"mesh/runtime/flow"
	"mesh/runtime/flow/filter"
)

func lane(d flow.Dir, h flow.Hop, chunks, bytes uint64, first, last, gap time.Duration) flow.LaneView {
	return flow.LaneView{Dir: d, Hop: h, Chunks: chunks, Bytes: bytes, First: first, Last: last, Gap: gap}
}

const ms = time.Millisecond

// flows gives one flow of each kind, by name.
func flows() map[string]flow.View {
	chat := flow.Head{Caller: "web", Callee: "llm", Verb: "POST", Path: "/chat", Kind: "http"}
	return map[string]flow.View{
		"flowing": {
			ID: "8f3c000000000001", Head: chat, Peer: flow.Peer{Instance: "llm-2", Transport: "local"}, Live: true,
			Age: 4200 * ms, Status: 200, Replied: 30 * ms,
			Lanes: []flow.LaneView{
				lane(flow.Reply, flow.CalleeIn, 412, 61200, 38*ms, 4190*ms, 84*ms),
				lane(flow.Reply, flow.CallerOut, 412, 61200, 38*ms, 4190*ms, 84*ms),
			},
		},
		"stalled": {
			ID: "77a0000000000002", Head: flow.Head{Callee: "bill", Verb: "POST", Path: "/quote", Kind: "grpc"}, Live: true,
			Age: 9900 * ms, Status: 200, Replied: 11 * ms,
			Lanes: []flow.LaneView{
				lane(flow.Request, flow.CallerIn, 18, 2<<20, 1*ms, 7*time.Second, 900*ms),
				{Dir: flow.Request, Hop: flow.CallerOut, Chunks: 17, Bytes: 1 << 20, First: ms, Last: 7 * time.Second, Blocked: 7500 * ms},
				{Dir: flow.Request, Hop: flow.CalleeOut, Chunks: 16, Bytes: 1 << 20, First: ms, Last: 7 * time.Second, Blocked: 7800 * ms},
			},
		},
		"broken":  {ID: "51de000000000003", Head: flow.Head{Caller: "api", Callee: "llm", Verb: "POST", Path: "/embed"}, Age: 120 * ms, Err: "reset by llm"},
		"failed":  {ID: "9900000000000004", Head: chat, Age: 12 * ms, Status: 503, Replied: 11 * ms},
		"refused": {ID: "7700000000000007", Head: flow.Head{Caller: "web", Callee: "statestore", Verb: "get", Path: "/k", Kind: "state"}, Age: 3 * ms, Status: 400, Replied: 3 * ms, Err: "the store is unknown", Answered: true},
		"ok":      {ID: "9900000000000005", Head: flow.Head{Caller: "web", Callee: "orders", Verb: "GET", Path: "/list all"}, Age: 12 * ms, Status: 200, Replied: 11 * ms},
		"holding": {ID: "9900000000000006", Head: flow.Head{Caller: "web", Callee: "orders", Verb: "GET", Path: "/list"}, Live: true, Age: 1200 * ms, Held: 1100 * ms, Holding: true},
	}
}

func TestMatch(t *testing.T) {
	all := []string{"broken", "failed", "flowing", "holding", "ok", "refused", "stalled"}
	for text, want := range map[string][]string{
		"":                              all,
		"to:llm":                        {"broken", "failed", "flowing"},
		"to:llm-2":                      {"flowing"},
		"to:l*":                         {"broken", "failed", "flowing"},
		"to:orders,bill":                {"holding", "ok", "stalled"},
		"from:client":                   {"stalled"},
		"to!=llm live":                  {"holding", "stalled"},
		"status:5xx":                    {"failed"},
		"status:200-299 done":           {"ok"},
		"status>=400":                   {"failed", "refused"},
		"ttfb>20ms":                     {"flowing", "holding"},
		"gap>1s":                        {"stalled"},
		"stalled":                       {"stalled"},
		"holding or stalled":            {"holding", "stalled"},
		"error":                         {"broken", "failed"},
		"error~RESET":                   {"broken"},
		"error~unknown":                 {"refused"}, // but it is no error, as any 400
		"path~/chat !live":              {"failed"},
		`path:"/list all"`:              {"ok"},
		"path:/*":                       all,
		"not (to:llm | from:client)":    {"holding", "ok", "refused"},
		"to:llm and status:503":         {"failed"},
		"bytes>1MiB":                    {"stalled"},
		"chunks>=412":                   {"flowing"},
		"embed":                         {"broken"},
		"8f3c":                          {"flowing"},
		"id:99* ok":                     {"ok"},
		"verb:post kind:grpc held=0s":   {"stalled"},
		`"live"`:                        {},
		"to:llm (live | status:503) !x": {"failed", "flowing"},
	} {
		f, err := filter.Parse(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		got := []string{}
		for name, v := range flows() {
			if f.Match(&v) {
				got = append(got, name)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%q chooses %v, want %v", text, got, want)
		}
	}
}

func TestErrorsPoint(t *testing.T) {
	for text, want := range map[string]struct{ caret, says string }{
		"live too:orders":    {"     ^^^", "did you mean to?"},
		"ttfb>200":           {"     ^^^", "a time needs a unit; such as 200ms"},
		"(live":              {"^", "not closed"},
		"live)":              {"    ^", "closes nothing"},
		"live or":            {"       ^", "missing"},
		"status:abc":         {"       ^^^", "status:5xx"},
		"to:":                {"   ^", "such as to:orders"},
		"to>orders":          {"   ^^^^^^", "compares numbers only"},
		"größe:1":            {"^^^^^", "no field"},
		"path~\"(\"":         {"     ^^^", "regular expression"},
		"bytes>1qb":          {"      ^^^", "such as 100"},
		"live or | done":     {"        ^", "missing before |"},
		"a b c gapp>1s live": {"      ^^^^", "did you mean gap?"},
	} {
		_, err := filter.Parse(text)
		e, ok := errors.AsType[*filter.Error](err)
		if !ok {
			t.Errorf("%q: got %v, want a *filter.Error", text, err)
			continue
		}
		if e.Caret() != want.caret || !strings.Contains(e.Error(), want.says) {
			t.Errorf("%q:\n%s\n%s %s\nwant\n%s … %s", text, e.Text, e.Caret(), e.Error(), want.caret, want.says)
		}
	}
}

func TestFirstByteIsTheCallers(t *testing.T) {
	v := flow.View{
		Peer: flow.Peer{Transport: "unary"}, Age: 900 * ms, Status: 200, Replied: 5 * ms, // the callee's side saw the head
		Lanes: []flow.LaneView{
			lane(flow.Reply, flow.CalleeIn, 10, 2000, 6*ms, 790*ms, 90*ms),
			lane(flow.Reply, flow.CallerOut, 1, 2000, 800*ms, 800*ms, 0),
		},
	}
	slow, err := filter.Parse("ttfb>500ms")
	if err != nil {
		t.Fatal(err)
	}
	if d, ok := filter.TTFB(&v); d != 800*ms || !ok || !slow.Match(&v) {
		t.Errorf("the first byte came after %v (%v), ttfb>500ms matches: %v; want 800ms", d, ok, slow.Match(&v))
	}
	v.Lanes = v.Lanes[:1]
	if d, ok := filter.TTFB(&v); d != 5*ms || !ok {
		t.Errorf("without a body at the caller the first byte came after %v (%v), want the head's 5ms", d, ok)
	}
	if d, ok := filter.TTFB(&flow.View{Age: 70 * ms, Live: true}); d != 70*ms || ok {
		t.Errorf("without a reply the first byte came after %v (%v), want none in 70ms", d, ok)
	}
}

func TestDiagnosisInWords(t *testing.T) {
	for name, want := range map[string]string{
		"flowing": "flowing",
		"stalled": "stalled: bill not reading 2.1s", // the hop nearest to the reader, though another waits longer
		"broken":  "broken off: reset by llm",
		"failed":  "503 in 12ms",
		"refused": "400 in 3.0ms: the store is unknown",
		"holding": "holding 1.1s: orders is not ready",
	} {
		v := flows()[name]
		if got := filter.Diagnose(&v).Words(&v); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	v := flows()["flowing"]
	v.Age += 2 * time.Second
	if got, want := filter.Diagnose(&v).Words(&v), "idle 2.0s: llm-2 sends nothing"; got != want {
		t.Errorf("silent: %q, want %q", got, want)
	}
}

func TestStallsAreAttributed(t *testing.T) {
	v := flow.View{
		Head: flow.Head{Caller: "web", Callee: "bill", Kind: "http"}, Peer: flow.Peer{Transport: "grpc"}, Live: true, Age: 5 * time.Second,
		Lanes: []flow.LaneView{
			lane(flow.Request, flow.CallerIn, 9, 900, ms, 3*time.Second, 0),
			{Dir: flow.Request, Hop: flow.CallerOut, Chunks: 8, Bytes: 800, First: ms, Last: 2 * time.Second, Blocked: 3 * time.Second},
			lane(flow.Request, flow.CalleeIn, 8, 800, ms, 2*time.Second, 0),
			{Dir: flow.Request, Hop: flow.CalleeOut, Chunks: 7, Bytes: 700, First: ms, Last: 2 * time.Second, Blocked: 2500 * ms},
		},
	}
	want := func(why filter.Cause, words string) {
		t.Helper()
		d := filter.Diagnose(&v)
		if got := d.Words(&v); d.State != filter.Stalled || d.Why != why || got != words {
			t.Errorf("%q (%v, %v), want %q", got, d.State, d.Why, words)
		}
	}
	want(filter.Unread, "stalled: bill not reading 2.5s")
	v.Lanes[3].Blocked, v.Lanes[3].Bytes = 0, 800
	want(filter.Window, "stalled: window to bill's sidecar used up 2.0s")
	v.Lanes[1].Blocked = 0
	want(filter.Queued, "stalled: held in web's sidecar 3.0s")
	v.Lanes[3].Bytes, v.Lanes[1].Bytes = 700, 900
	want(filter.Queued, "stalled: held in bill's sidecar 3.0s")
	v.Lanes[3].Bytes = 800
	if d := filter.Diagnose(&v); d.State != filter.Waiting || d.Who != "bill" {
		t.Errorf("with all bytes at the app it is %+v, want waiting for bill", d)
	}
	// What follows a request that has ended is up to the app.
	v.Replied = 4 * ms
	if d := filter.Diagnose(&v); d.State != filter.Idle || d.Who != "web" {
		t.Errorf("a request that pauses is %+v, want idle for web", d)
	}
	v.Lanes[0].Done = 3 * time.Second
	if d := filter.Diagnose(&v); d.State != filter.Idle || d.Who != "bill" {
		t.Errorf("after the end of the request it is %+v, want idle for bill", d)
	}
}

func TestComplete(t *testing.T) {
	known := []flow.View{flows()["flowing"], flows()["ok"]}
	for text, want := range map[string]struct {
		from int
		some string
	}{
		"live t":    {5, "to:"},
		"to:o":      {0, "to:orders"},
		"!from:":    {1, "from:web"},
		"sta":       {0, "stalled"},
		"(path~/c":  {1, "path~/chat"},
		"status:":   {0, "status:5xx"},
		"to:llm o":  {7, "ok"},
		"to:orders": {0, ""},
	} {
		c := filter.Flows().Complete(text, known)
		if c.From != want.from || (want.some != "" && !slices.Contains(c.Options, want.some)) || (want.some == "" && len(c.Options) > 0) {
			t.Errorf("%q: %d %v, want %d with %q", text, c.From, c.Options, want.from, want.some)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`to:orders (status:5xx | ttfb>200ms) !"x`)
	f.Add("a\x00:\xff)(")
	v := flows()["stalled"]
	f.Fuzz(func(t *testing.T, text string) {
		got, err := filter.Parse(text)
		if err != nil {
			if e, ok := errors.AsType[*filter.Error](err); !ok || e.Error() == "" || e.Caret() == "" {
				t.Errorf("%q: %v does not point", text, err)
			}
		} else {
			got.Match(&v)
		}
		filter.Flows().Complete(text, []flow.View{v})
	})
}
