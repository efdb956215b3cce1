package tui

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"mesh/runtime/flow"
	"mesh/runtime/flow/export"
	"mesh/supervisor/state"
)

const ms = time.Millisecond

// noon is when everything in the fake mesh happens.
func noon() time.Time { return time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC) }

// fakeMesh is a mesh whose state is set by the test. It may be used from any
// goroutine.
type fakeMesh struct {
	mu       sync.Mutex
	state    *state.Mesh
	lines    []state.Line
	commands []state.Command
	err      error         // what Do gives
	block    chan struct{} // Do waits for it when it is not nil
}

func (f *fakeMesh) State() *state.Mesh {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state
}

func (f *fakeMesh) set(change func(m *state.Mesh)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := *f.state
	next.Version++
	change(&next)
	f.state = &next
}

func (f *fakeMesh) Do(ctx context.Context, c state.Command) error {
	f.mu.Lock()
	f.commands = append(f.commands, c)
	block, err := f.block, f.err
	f.mu.Unlock()
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

func (f *fakeMesh) asked() []state.Command {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.commands)
}

func (f *fakeMesh) Lines(app string, after uint64, limit int) []state.Line {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []state.Line
	for _, l := range f.lines {
		if l.Seq > after && (app == "" || l.App == app || l.Instance == app) {
			out = append(out, l)
		}
	}
	return out[max(0, len(out)-limit):]
}

func (f *fakeMesh) print(instance, stream, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := uint64(len(f.lines) + 1)
	app, _, _ := strings.Cut(instance, "-")
	f.lines = append(f.lines, state.Line{Seq: n, At: noon().Add(time.Duration(n)*170*ms - 10*time.Second), App: app, Instance: instance, Stream: stream, Text: text})
}

// fakeFlows are invocations that were written down by hand.
type fakeFlows struct {
	mu  sync.Mutex
	all []*fakeFlow // as Views gives them
}

type fakeFlow struct {
	view  flow.View
	marks [8][]flow.Mark
	body  [2]flow.Body // what was captured
}

func (f *fakeFlow) put(d flow.Dir, h flow.Hop, at time.Duration, size int) {
	l := &f.marks[int(d)*4+int(h)]
	*l = append(*l, flow.Mark{N: uint64(len(*l)), At: at, Size: size})
}

// block says that a write waits since that time.
func (f *fakeFlow) block(d flow.Dir, h flow.Hop, since time.Duration) {
	f.view.Lanes = append(f.view.Lanes, flow.LaneView{Dir: d, Hop: h, Blocked: since})
}

// now gives the view with lanes counted up.
func (f *fakeFlow) now() flow.View {
	v := f.view
	v.Lanes = nil
	for i, marks := range f.marks {
		l := flow.LaneView{Dir: flow.Dir(i / 4), Hop: flow.Hop(i % 4), Chunks: uint64(len(marks))}
		for j, m := range marks {
			l.Bytes += uint64(m.Size)
			if j > 0 {
				l.Gap = max(l.Gap, m.At-marks[j-1].At)
			}
		}
		if len(marks) > 0 {
			l.First, l.Last = marks[0].At, marks[len(marks)-1].At
		}
		for _, b := range f.view.Lanes {
			if b.Dir == l.Dir && b.Hop == l.Hop {
				l.Blocked = b.Blocked
			}
		}
		if l.Chunks > 0 || l.Blocked > 0 {
			v.Lanes = append(v.Lanes, l)
		}
	}
	return v
}

func (f *fakeFlows) Views(int) []flow.View {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []flow.View
	for _, one := range f.all {
		out = append(out, one.now())
	}
	return out
}

func (f *fakeFlows) Detail(id string, after flow.Cursor) (flow.Detail, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, one := range f.all {
		if one.view.ID != id {
			continue
		}
		d := flow.Detail{View: one.now(), Next: after}
		for i, marks := range one.marks {
			if from := int(after[i]); from < len(marks) {
				d.Marks = append(d.Marks, flow.LaneMarks{Dir: flow.Dir(i / 4), Hop: flow.Hop(i % 4), Marks: slices.Clone(marks[from:])})
				d.Next[i] = uint64(len(marks))
			}
		}
		return d, true
	}
	return flow.Detail{}, false
}

func (f *fakeFlows) Stats() flow.Stats { return flow.Stats{Begun: 5006, Ended: 5002, Forgotten: 906} }

func (f *fakeFlows) Body(id string, d flow.Dir, from, to uint64) (flow.Body, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, one := range f.all {
		if one.view.ID == id {
			b := one.body[d]
			b.Parts = nil
			for _, p := range one.body[d].Parts {
				if data, ok := export.Slice(&flow.Body{Parts: []flow.Part{p}}, from, int(min(to, p.Off+uint64(len(p.Data)))-min(to, from))); ok {
					b.Parts = append(b.Parts, flow.Part{Off: from, Data: data})
				}
			}
			return b, true
		}
	}
	return flow.Body{}, false
}

// shop is a mesh in which most things happen at once.
func shop() (*fakeMesh, *fakeFlows) {
	t := noon()
	inst := func(name string, p state.Phase, n int) state.Instance {
		i := state.Instance{
			Name: name, Phase: p, Since: t.Add(-time.Duration(n) * 61 * time.Second), HTTPPort: 3500 + n, GRPCPort: 50000 + n, PeerPort: 51000 + n,
			AppPort: 8000 + n, CPU: 0.013 * float64(n), Memory: uint64(n) * 21 << 20,
		}
		if p.Live() {
			i.PID = 4000 + n
		}
		return i
	}
	web := inst("web", state.Ready, 3)
	web.Calls = 4
	orders := inst("orders", state.Starting, 1)
	orders.Waiting, orders.Restarts, orders.Reason, orders.Since = 2, 1, "main.go changed", t.Add(-1200*ms)
	bill := inst("bill", state.Backoff, 2)
	bill.Restarts, bill.Reason, bill.Next = 3, "exit code 1 after 120ms\npanic: no such table: invoices", t.Add(2500*ms)
	cart := inst("cart", state.Failed, 2)
	cart.Reason = "gave up after 5 starts: killed by SIGSEGV"
	mail := inst("mail", state.Pending, 1)
	mail.Reason = "waits for orders to be ready"
	migrate := inst("migrate", state.Done, 2)
	m := &state.Mesh{
		Version: 7, Name: "shop", Dir: "/home/ada/shop", File: "/home/ada/shop/mesh.toml", PID: 4000, Started: t.Add(-5 * time.Minute), Transport: "auto",
		Apps: []state.App{
			{ID: "bill", Protocol: "http", Instances: []state.Instance{bill}},
			{ID: "cart", Protocol: "http", Instances: []state.Instance{cart}},
			{ID: "llm", Protocol: "http", Instances: []state.Instance{inst("llm", state.Ready, 5), inst("llm-2", state.Ready, 6)}},
			{ID: "mail", Protocol: "http", DependsOn: []state.Dependency{{App: "orders", Condition: "ready"}}, Instances: []state.Instance{mail}},
			{ID: "migrate", Protocol: "http", Instances: []state.Instance{migrate}},
			{ID: "orders", Protocol: "http", Instances: []state.Instance{orders}},
			{ID: "web", Protocol: "http", DependsOn: []state.Dependency{{App: "llm", Condition: "ready"}}, Instances: []state.Instance{web}},
		},
	}
	m.Components = []state.Component{
		{Name: "invoices", Type: "state.postgresql", Version: "v2", Scopes: []string{"bill", "orders"}, State: "degraded", Reason: "dial tcp 127.0.0.1:5432: connect: connection refused", Since: t.Add(-40 * time.Second), Next: t.Add(3 * time.Second), Place: "/home/ada/shop/components/invoices.yaml:3:7"},
		{Name: "pubsub", Type: "pubsub.in-memory", Version: "v1", State: "ready", Since: t.Add(-5 * time.Minute)},
		{Name: "sessions", Type: "state.redis", Version: "v1", State: "outdated", Reason: "NOAUTH Authentication required", Since: t.Add(-12 * time.Second), Next: t.Add(9 * time.Second), Place: "/home/ada/shop/mesh.toml:41:3"},
		{Name: "statestore", Type: "state.sqlite", Version: "v1", State: "ready", Since: t.Add(-90 * time.Second), Place: "/home/ada/shop/mesh.toml:36:3"},
	}
	m.Edit = &state.Edit{At: t.Add(-90 * time.Second), State: state.EditApplied, Took: 41 * ms, Plan: &state.Plan{Items: []state.PlanItem{
		{Kind: "app", Name: "bill", Action: state.PlanRestart, Why: []string{"env.LOG_LEVEL info → debug", "command ./bill → ./bill -v"}, Streams: 3},
		{Kind: "app", Name: "cart", Action: state.PlanNothing},
		{Kind: "app", Name: "llm", Action: state.PlanScale, Why: []string{"instances 1 → 2"}},
		{Kind: "app", Name: "web", Action: state.PlanSwap, Why: []string{"hold 15s → 30s"}},
		{Kind: "component", Name: "statestore", Action: state.PlanSwap},
	}}}
	mesh := &fakeMesh{state: m}
	for i := range 30 {
		mesh.print("bill", "stdout", fmt.Sprintf("connecting to the database, attempt %d", i+1))
	}
	mesh.print("llm-2", "stdout", "\x1b[32mINFO\x1b[0m loaded \x1b[1m日本語\x1b[0m model in 1.2s")
	mesh.print("web", "stdout", "GET /chat 200 \x1b[33m38ms\x1b[0m user=ada tab=\there \x1b[2J\x07 end")
	mesh.print("web", "stderr", "warning: "+strings.Repeat("a very long line that has to be wrapped somewhere, ", 6)+"and here it ends")
	mesh.print("orders", "mesh", "restarting: main.go changed")
	mesh.print("bill", "stderr", "panic: no such table: invoices")
	return mesh, &fakeFlows{all: []*fakeFlow{chat(), quote(), held(), upload(), done(), reset()}}
}

func head(caller, callee, verb, path string) flow.Head {
	return flow.Head{Caller: caller, Callee: callee, Verb: verb, Path: path, Kind: "http", Begun: noon().Add(-10 * time.Second)}
}

// chat is a stream of tokens within one process; it pauses for a while.
func chat() *fakeFlow {
	f := &fakeFlow{view: flow.View{
		ID: "8f3c1d2e3f405162", Head: head("web", "llm", "POST", "/chat"), Peer: flow.Peer{Instance: "llm-2", Transport: "local"},
		Live: true, Age: 6200 * ms, Status: 200, Replied: 35 * ms,
	}}
	f.body[flow.Request] = flow.Body{On: true, Limit: 64 << 10, End: 412, Query: "model=small", Header: map[string][]string{
		"Content-Type": {"application/json"}, "Authorization": {flow.Redacted}, "Accept": {"text/event-stream"},
	}, Parts: []flow.Part{{Data: []byte(`{"messages":[{"role":"user","content":"` + strings.Repeat("why? ", 72) + `"}],"n":1234}`)}}}
	var said []byte
	f.put(flow.Request, flow.CallerIn, 1*ms, 412)
	f.put(flow.Request, flow.CalleeOut, 1*ms+90*time.Microsecond, 412)
	at := 38 * ms
	for i := range 180 {
		size := 12 + i*7%48
		f.put(flow.Reply, flow.CalleeIn, at, size)
		f.put(flow.Reply, flow.CallerOut, at+time.Duration(40+i%50)*time.Microsecond, size)
		at += time.Duration(18+i*13%14) * ms
		if i == 90 {
			at += 1700 * ms
		}
		said = append(said, "data: "+strings.Repeat("o", size-9)+"k\n\n"...)
	}
	f.body[flow.Reply] = flow.Body{On: true, Limit: 64 << 10, End: uint64(len(said)), Header: map[string][]string{"Content-Type": {"text/event-stream"}}, Parts: []flow.Part{{Data: said}}}
	return f
}

// quote crosses the wire; its callee stops reading twice.
func quote() *fakeFlow {
	f := &fakeFlow{view: flow.View{
		ID: "77a0000000000002", Head: head("web", "bill", "POST", "/quote"), Peer: flow.Peer{Instance: "bill", Transport: "grpc", Addr: "127.0.0.1:51002"},
		Live: true, Age: 9900 * ms, Status: 200, Replied: 11 * ms,
	}}
	at := 2 * ms
	for i := range 40 {
		size := 16 << 10
		if i%5 == 4 {
			size = 3 << 10
		}
		f.put(flow.Request, flow.CallerIn, at, size)
		f.put(flow.Request, flow.CallerOut, at+80*time.Microsecond, size)
		f.put(flow.Request, flow.CalleeIn, at+200*time.Microsecond, size)
		hold := 300 * time.Microsecond
		if i == 20 {
			hold = 1900 * ms
		}
		at += hold
		f.put(flow.Request, flow.CalleeOut, at, size)
		at += 140 * ms
	}
	f.put(flow.Request, flow.CallerIn, 7700*ms, 16<<10)
	f.put(flow.Request, flow.CallerOut, 7700*ms+90*time.Microsecond, 16<<10)
	f.put(flow.Request, flow.CalleeIn, 7701*ms, 16<<10)
	f.block(flow.Request, flow.CalleeOut, 7701*ms)
	for _, hop := range []flow.Hop{flow.CalleeIn, flow.CalleeOut, flow.CallerIn, flow.CallerOut} {
		f.put(flow.Reply, hop, 11*ms+time.Duration(hop)*100*time.Microsecond, 200)
	}
	return f
}

// held waits for an app that is starting.
func held() *fakeFlow {
	return &fakeFlow{view: flow.View{
		ID: "a100000000000003", Head: head("web", "orders", "GET", "/orders"), Live: true, Age: 1200 * ms, Held: 1200 * ms, Holding: true,
	}}
}

// upload is one way, from outside, and idle.
func upload() *fakeFlow {
	f := &fakeFlow{view: flow.View{ID: "b200000000000004", Head: head("", "web", "PUT", "/files/größe-日本.bin"), Peer: flow.Peer{Instance: "web", Transport: "local"}, Live: true, Age: 65 * time.Second}}
	for i := range 300 {
		f.put(flow.Request, flow.CallerIn, time.Duration(i)*200*ms, 64<<10)
		f.put(flow.Request, flow.CalleeOut, time.Duration(i)*200*ms+ms, 32<<10)
		f.put(flow.Request, flow.CalleeOut, time.Duration(i)*200*ms+2*ms, 32<<10)
	}
	return f
}

func done() *fakeFlow {
	f := &fakeFlow{view: flow.View{ID: "c300000000000005", Head: head("web", "orders", "GET", "/orders/17"), Peer: flow.Peer{Instance: "orders", Transport: "unary", Addr: "127.0.0.1:51001"}, Age: 12 * ms, Status: 200, Replied: 11 * ms}}
	f.put(flow.Reply, flow.CallerIn, 11*ms, 900)
	f.put(flow.Reply, flow.CallerOut, 11500*time.Microsecond, 900)
	return f
}

func reset() *fakeFlow {
	f := &fakeFlow{view: flow.View{ID: "d400000000000006", Head: head("api", "llm", "POST", "/embed"), Peer: flow.Peer{Instance: "llm", Transport: "local"}, Age: 420 * ms, Status: 200, Replied: 20 * ms, Err: "llm went away in the middle of the reply: read: connection reset by peer"}}
	for i := range 16 {
		f.put(flow.Reply, flow.CalleeIn, time.Duration(21+i*24)*ms, 4096)
		f.put(flow.Reply, flow.CallerOut, time.Duration(21+i*24)*ms+200*time.Microsecond, 4096)
	}
	return f
}

var errFake = errors.New("the app orders is not in this mesh")
