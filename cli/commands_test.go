package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mesh/runtime/flow"
	"mesh/supervisor/control"
	"mesh/supervisor/state"
)

func TestPS(t *testing.T) {
	s := newShell(t)
	r := serve(s)
	want := `NAME       STATE     SINCE  PID   RESTARTS  CPU    MEMORY    PORT  HTTP  GRPC   CALLS  WHY
inventory  failed    1m30s  -     5         -      -         -     3502  -      0      exited with 2: no such table
orders-1   ready     1m30s  4711  0         12.5%  11.7 MiB  8080  3500  50001  2+1 held
orders-2   starting  1m30s  4712  0         0.0%   -         8081  3501  50002  0
`
	got := regexp.MustCompile(`1m3\ds`).ReplaceAllString(s.says(0, words("ps")), "1m30s") // the test may take a second
	if diff := cmp.Diff(trimmed(want), trimmed(got)); diff != "" {
		t.Error(diff)
	}
	if got := s.says(0, words("ps orders-2")); strings.Contains(got, "orders-1") || !strings.Contains(got, "orders-2") {
		t.Errorf("ps of one instance:\n%s", got)
	}
	s.says(1, words("ps ordres"), `finding "ordres": the mesh has no such app`, "did you mean orders?")
	var m state.Mesh
	if err := json.Unmarshal([]byte(s.says(0, words("ps --json"))), &m); err != nil {
		t.Fatal(err)
	}
	if m.Name != "shop" || len(m.Apps) != 2 || m.Apps[1].Instances[0].PID != 4711 {
		t.Errorf("ps --json: %+v", m)
	}
	r.Stop()
	s.says(1, words("ps"), "no mesh runs in "+s.dir)
}

// trimmed drops spaces at the ends of lines.
func trimmed(text string) (lines []string) {
	for l := range strings.Lines(text) {
		lines = append(lines, strings.TrimRight(l, " \n"))
	}
	return lines
}

func TestChanges(t *testing.T) {
	for _, c := range []struct {
		args string
		want []state.Command
	}{
		{"restart orders", []state.Command{{Op: state.Restart, App: "orders"}}},
		{"stop orders-2", []state.Command{{Op: state.Stop, App: "orders-2"}}},
		{"start --all", []state.Command{{Op: state.Start}}},
		{"scale orders=3", []state.Command{{Op: state.Scale, App: "orders", Count: 3}}},
		{"restart orders --no-wait", []state.Command{{Op: state.Restart, App: "orders"}}},
		{"fault orders delay=2s rate=0.5", []state.Command{{Op: state.SetFault, Name: "orders", On: true, Fault: &state.Fault{
			Name: "orders", Target: "orders", Delay: 2 * time.Second, Rate: 0.5, On: true, Hand: true,
		}}}},
		{"fault slow off", []state.Command{{Op: state.SetFault, Name: "slow"}}},
		{"capture on --bytes 1000", []state.Command{{Op: state.SetCapture, Bytes: 1000, On: true}}},
		{"capture off --flow 12ab", []state.Command{{Op: state.SetCapture, Flow: "12ab", Bytes: state.DefaultCapture}}},
		{"down --no-wait", []state.Command{{Op: state.Down}}},
	} {
		s := newShell(t)
		r := serve(s)
		s.says(0, words(c.args))
		soon(t, "the command arrives", func() bool { return len(r.Mesh.Commands()) == len(c.want) })
		if diff := cmp.Diff(c.want, r.Mesh.Commands()); diff != "" {
			t.Errorf("%s:\n%s", c.args, diff)
		}
	}
}

func TestChangesWaitAndReport(t *testing.T) {
	s := newShell(t)
	r := serve(s)
	release := make(chan struct{})
	r.Mesh.OnDo(func(ctx context.Context, c state.Command) error {
		select {
		case <-release:
		case <-ctx.Done():
		}
		return errors.New(c.App + " exited with 1 before it was ready")
	})
	c := s.start("restart", "orders", "inventory")
	soon(t, "both commands run at the same time", func() bool { return len(r.Mesh.Commands()) == 2 })
	select {
	case code := <-c.code:
		t.Fatalf("restart returned (%d) before it was done", code)
	default:
	}
	close(release)
	if code := c.wait(t); code != 1 {
		t.Errorf("a failed restart exits with %d", code)
	}
	for _, app := range words("orders inventory") {
		if want := "restarting " + app + ": " + app + " exited with 1"; !strings.Contains(c.err.String(), want) {
			t.Errorf("stderr does not say %q:\n%s", want, c.err.String())
		}
	}
	s.says(1, words("restart orders inventry"), "did you mean inventory?")
	if n := len(r.Mesh.Commands()); n != 2 {
		t.Errorf("a misspelt name has changed something: %d commands", n)
	}
}

func TestDown(t *testing.T) {
	s := newShell(t)
	r := serve(s)
	release := make(chan struct{})
	r.Mesh.OnDo(func(context.Context, state.Command) error {
		<-release
		go r.Stop()
		return nil
	})
	c := s.start("down")
	const who = "still stopping: orders-1, orders-2\n"
	soon(t, "down names who is stopping", func() bool { return c.err.String() == who })
	close(release)
	if code := c.wait(t); code != 0 {
		t.Errorf("down exits with %d: %s", code, c.err.String())
	}
	if _, occupied := control.Occupied(s.dir); occupied {
		t.Error("down returned before the mesh was gone")
	}
	_, stderr, code := s.run("down")
	if code != 0 || !strings.Contains(stderr, "no mesh runs") {
		t.Errorf("down without a mesh exits with %d and says %q", code, stderr)
	}
}

func TestLogs(t *testing.T) {
	s := newShell(t)
	r := serve(s)
	old := time.Now().Add(-time.Hour)
	for _, l := range []state.Line{
		{App: "orders", Instance: "orders-1", Stream: "stdout", Text: "listening", At: old},
		{App: "inventory", Instance: "inventory", Stream: "stderr", Text: "no such \x1b[31mtable\x1b[0m"},
		{App: "orders", Instance: "orders-2", Stream: "stdout", Text: "a long ", Partial: true},
		{App: "orders", Instance: "orders-2", Stream: "stdout", Text: "line \xff"},
		{App: "orders", Instance: "orders-1", Stream: "mesh", Text: "restarting"},
	} {
		r.Logs.Print(l)
	}
	for _, c := range []struct{ args, want string }{
		{"logs", "orders-1  │ listening\ninventory │ no such \x1b[31mtable\x1b[0m\norders-2  │ a long line \xff\norders-1  · restarting\n"},
		{"logs inventory", "inventory │ no such \x1b[31mtable\x1b[0m\n"},
		{"logs orders-1 --no-prefix", "listening\nrestarting\n"},
		{"logs -n 1", "orders-1  · restarting\n"},
		{"logs --since 5m orders-1", "orders-1  · restarting\n"},
		{"logs --grep ^l", "orders-1  │ listening\norders-2  │ line \xff\n"},
		{"logs --grep ^l -n 1", "orders-2  │ line \xff\n"},
		{"logs --since 2001-01-01 --grep nothing", ""},
	} {
		if diff := cmp.Diff(c.want, s.says(0, words(c.args))); diff != "" {
			t.Errorf("%s:\n%s", c.args, diff)
		}
	}
	var l state.Line
	if err := json.Unmarshal([]byte(s.says(0, words("logs --json orders -n 1"))), &l); err != nil || l.Text != "restarting" || l.Seq != 5 {
		t.Errorf("logs --json: %+v, %v", l, err)
	}
	s.says(1, words("logs ordres"), "did you mean orders?")
	s.says(0, []string{"logs", "--mark", "here it begins"})
	for _, args := range []string{"logs -n 1", "logs inventory -n 1", "logs --grep begins"} {
		if got, want := s.says(0, words(args)), "─────────── here it begins\n"; got != want {
			t.Errorf("%s prints %q, want the mark %q", args, got, want)
		}
	}
	for _, text := range []string{"", " ", "two\nlines", "\x1b[2J", strings.Repeat("x", 2000)} {
		s.says(1, []string{"logs", "--mark", text}, "marking the output")
	}

	c := s.start("logs", "-f", "orders", "-n", "1")
	const mark = "─────────── here it begins\n"
	soon(t, "the line that is there", func() bool { return c.out.String() == mark })
	r.Logs.Print(state.Line{App: "inventory", Instance: "inventory", Stream: "stdout", Text: "not asked for"})
	r.Logs.Print(state.Line{App: "orders", Instance: "orders-1", Stream: "stdout", Text: "back"})
	soon(t, "the line to come", func() bool { return c.out.String() == mark+"orders-1  │ back\n" })
	r.Stop()
	if code := c.wait(t); code != 0 {
		t.Errorf("following a mesh that ends exits with %d: %s", code, c.err.String())
	}
}

func TestWait(t *testing.T) {
	s := newShell(t)
	s.file("mesh.toml", "")
	early := s.start("wait", "orders") // before the mesh runs
	r := serve(s)
	s.says(124, words("wait orders --timeout 50ms"), "not within 50ms", "orders-2 is starting")
	s.says(1, words("wait"), "inventory is failed: exited with 2: no such table", "`mesh logs inventory`")
	s.says(1, words("wait ordres"), "did you mean orders?")
	s.says(0, words("wait orders --for started"))
	s.says(124, words("wait orders-1 --for completed --timeout 50ms"), "orders-1 is ready")
	r.Mesh.Change(repair)
	if code := early.wait(t); code != 0 {
		t.Errorf("wait exits with %d: %s", code, early.err.String())
	}
	s.says(0, words("wait"))
	r.Mesh.Change(func(m *state.Mesh) { m.Stopping = true })
	r.Stop()
	s.says(124, words("wait --timeout 60ms"), "the mesh does not run yet")
}

func TestTap(t *testing.T) {
	s := newShell(t)
	r := serve(s)
	defer r.Flows.Watch()()
	invocation := func() {
		f := r.Flows.Begin(flow.Head{Caller: "web", Callee: "orders", Verb: "POST", Path: "/buy"})
		f.Mark(flow.Request, flow.CallerIn, 7)
		f.Route(&flow.Peer{Instance: "orders-1", Transport: "local"})
		f.Replied(503)
		f.End(errors.New("the app has gone"))
		f = r.Flows.Begin(flow.Head{Caller: "orders", Callee: "store", Verb: "get", Path: "/k", Kind: "state"})
		f.Replied(400)
		f.Answered(errors.New("no such store"))
	}
	text := s.start("tap", "app:orders")
	lines := s.start("tap", "--json", "--no-chunks", "status:503")
	nothing := s.start("tap", "from:nobody")
	soon(t, "all taps tell the invocation", func() bool {
		invocation()
		return strings.Contains(text.out.String(), "no such store") && strings.Contains(lines.out.String(), `"event":"end"`)
	})
	r.Stop()
	for _, c := range []*command{text, lines, nothing} {
		if code := c.wait(t); code != 0 {
			t.Errorf("tap exits with %d: %s", code, c.err.String())
		}
	}
	for _, want := range []string{
		"begin   web ▸ orders", "POST /buy", "chunk   ↑ caller.in #0 7 B", "head    503",
		"↑ 7 B ↓ 0 B  web ▸ orders-1 POST /buy (local)  broke off: the app has gone",
		"orders ▸ store get /k  no such store",
	} {
		if !strings.Contains(text.out.String(), want) {
			t.Errorf("tap does not say %q:\n%s", want, text.out.String())
		}
	}
	for line := range strings.Lines(lines.out.String()) {
		var e control.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Callee != "orders" || e.Event == control.Chunk {
			t.Errorf("tap --json --no-chunks printed %s (%v)", line, err)
		}
	}
	if nothing.out.String() != "" {
		t.Errorf("a filter that chooses nothing has printed %q", nothing.out.String())
	}
}

func TestExportOfInvocations(t *testing.T) {
	s := newShell(t)
	r := serve(s)
	defer r.Flows.Watch()()
	r.Flows.Capture(100)
	for _, path := range []string{"/buy", "/sell"} {
		f := r.Flows.Begin(flow.Head{Caller: "orders", Callee: "inventory", Verb: "POST", Path: path, Kind: "http"})
		f.Headers(flow.Request, map[string][]string{"Authorization": {"secret"}}, "")
		f.Pass(flow.Request, flow.CallerIn, []byte("seven"))
		f.Replied(200)
		f.End(nil)
	}
	var file struct {
		Log struct {
			Version string
			Entries []struct{ Request struct{ URL string } }
		}
	}
	if err := json.Unmarshal([]byte(s.says(0, words("tap --export har"))), &file); err != nil {
		t.Fatal(err)
	}
	if e := file.Log.Entries; file.Log.Version != "1.2" || len(e) != 2 || e[0].Request.URL != "http://127.0.0.1:3500/v1.0/invoke/inventory/method/buy" {
		t.Errorf("HAR: %+v", file)
	}
	curl := s.says(0, words("tap --export curl path:/sell"))
	if !strings.Contains(curl, "method/sell") || strings.Contains(curl, "method/buy") || !strings.Contains(curl, "seven") || strings.Contains(curl, "secret") {
		t.Errorf("curl:\n%s", curl)
	}
	if lines := strings.Count(s.says(0, words("tap --export ndjson --last 1")), "\n"); lines != 2 {
		t.Errorf("%d lines of NDJSON, want one for the flow and one for its chunk", lines)
	}
	s.says(2, words("tap --export xml"), "there are har, ndjson, curl")
	s.says(2, words("fault orders slow"), "not part of a fault")
	s.says(0, words("fault"), "no faults")
	s.says(2, words("capture maybe"), "on or off")
}

func TestCheck(t *testing.T) {
	s := newShell(t)
	s.file("mesh.toml", "name = \"shop\"\n\n[apps.orders]\ncommand = \"true\"\ninstances = 2\n")
	s.says(0, words("check"), "mesh.toml is good: 1 app, 2 instances, 0 components")
	s.file("components/store.yaml", "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {name: store}\nspec: {type: state.in-memory, version: v1}\n")
	s.says(0, words("check"), "mesh.toml is good: 1 app, 2 instances, 1 component\n")
	s.file("mesh.toml", "name = \"shop\"\n")
	if _, errs, code := s.run("check"); code != 0 || !strings.Contains(errs, "warning: mesh.toml declares no apps") {
		t.Errorf("a file without apps: %d %q", code, errs)
	}
	s.file("mesh.toml", "name = \"shop\"\n\n[apps.orders]\ncomand = \"true\"\nprotocol = \"htp\"\n")
	s.says(1, words("check"), "mesh.toml:4:1:", `comand = "true"`, "\n  ^", `did you mean "command"?`, "mesh.toml:5:", "2 errors")
	stdout, _, code := s.run("check", "--json")
	var got struct {
		Errors []struct {
			File         string
			Line, Column int
			Key, Message string
		}
	}
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != 1 {
		t.Fatalf("check --json exits with %d: %v", code, err)
	}
	if len(got.Errors) != 2 || got.Errors[0].Line != 4 || got.Errors[0].Column != 1 || got.Errors[0].Message == "" {
		t.Errorf("check --json: %+v", got)
	}
}

func TestDoctor(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s := newShell(t)
	s.file("mesh.toml", "[apps.orders]\ncommand = \"true\"\nport = "+port+"\n")
	stdout, _, code := s.run("doctor", "--json")
	var found []struct{ Level, About, Text string }
	if err := json.Unmarshal([]byte(stdout), &found); err != nil || code != 1 {
		t.Fatalf("doctor --json exits with %d: %v", code, err)
	}
	about := map[string]string{}
	for _, f := range found {
		about[f.About] += f.Level + ": " + f.Text + "\n"
	}
	for _, want := range []struct{ about, says string }{
		{"port", "error: apps.orders.port is " + port + ", which is in use"},
		{"mesh", "ok: none runs in " + s.dir},
		{"file", "declares 1 app"},
		{"limits", "open files"},
		{"mdns", "multicast on the loopback interface"},
		{"program", "go1."},
	} {
		if !strings.Contains(about[want.about], want.says) {
			t.Errorf("doctor says of %s %q, not %q", want.about, about[want.about], want.says)
		}
	}
	running := newShell(t)
	serve(running)
	running.says(0, words("doctor"), "shop runs (pid 42) and answers")
}

func TestVersion(t *testing.T) {
	s := newShell(t)
	s.says(0, words("version"), "mesh ", "go1.")
	s.says(0, words("--version"), "mesh ")
	var b control.Build
	if err := json.Unmarshal([]byte(s.says(0, words("version --json"))), &b); err != nil || b.Go == "" {
		t.Errorf("version --json: %+v, %v", b, err)
	}
}

func TestCompletion(t *testing.T) {
	s := newShell(t)
	r := serve(s)
	s.says(0, words("completion bash"), "mesh")
	if got := s.says(0, words("__complete restart o")); !strings.HasPrefix(got, "orders\n") {
		t.Errorf("completing an app gives %q", got)
	}
	if got := s.says(0, words("__complete scale o")); !strings.HasPrefix(got, "orders=\n") {
		t.Errorf("completing scale gives %q", got)
	}
	r.Stop()
	s.file("mesh.toml", "[apps.outside]\ncommand = \"true\"\n")
	if got := s.says(0, words("__complete restart o")); !strings.HasPrefix(got, "outside\n") {
		t.Errorf("completing an app without a mesh gives %q", got)
	}
}
