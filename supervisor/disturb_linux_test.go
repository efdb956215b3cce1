package supervisor

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"mesh/runtime/flow"
	"mesh/supervisor/state"
)

// TestFaultsAndCaptureByCommand disturbs the calls of an app that runs, looks
// at what it gets and answers, and lets it be again.
func TestFaultsAndCaptureByCommand(t *testing.T) {
	body := bytes.Repeat([]byte("a long body goes by splice "), 40_000)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Set-Cookie", "id=secret")
		_, _ = io.Copy(w, r.Body)
	}))
	defer app.Close()
	l := start(t, parse(t, t.TempDir(), fmt.Sprintf(`
[screen]
capture = "8KiB"
[apps.echo]
port = %d
[faults.busy]
target = "echo"
abort = 503
off = true
`, portOf(t, app.Listener))))
	defer l.end()
	l.settle()
	defer l.o.Flows.Watch()()
	do := func(c state.Command) {
		t.Helper()
		if err := l.Do(t.Context(), c); err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
	}
	fault := func(text string) {
		t.Helper()
		words := strings.Fields(text)
		c, err := state.ParseFault(words[0], words[1:])
		if err != nil {
			t.Fatal(err)
		}
		do(c)
	}
	call := func(body []byte) (status int, took time.Duration) {
		t.Helper()
		url := fmt.Sprintf("http://127.0.0.1:%d/v1.0/invoke/echo/method/x?token=secret", l.State().Find("echo").Instances[0].HTTPPort)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer secret")
		begun := time.Now()
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		got, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode == http.StatusOK && !bytes.Equal(got, body) {
			t.Fatalf("%d bytes came back, and %v", len(got), err)
		}
		return resp.StatusCode, time.Since(begun)
	}

	if got, _ := call(body); got != http.StatusOK {
		t.Errorf("status %d, although no fault is on", got)
	}
	id := ended(t, l.o.Flows)
	for d := flow.Request; d <= flow.Reply; d++ {
		b, ok := l.o.Flows.Body(id, d, 0, 1<<40)
		if !ok || b.End != uint64(len(body)) || b.Missed != b.End-8<<10 || len(b.Parts) != 2 {
			t.Errorf("%v: captured %d of %d bytes in %d parts", d, b.End-b.Missed, b.End, len(b.Parts))
			continue
		}
		for _, p := range b.Parts {
			if !bytes.Equal(p.Data, body[p.Off:int(p.Off)+len(p.Data)]) {
				t.Errorf("%v: the bytes from %d are not those that passed", d, p.Off)
			}
		}
		if text := fmt.Sprint(b.Header, b.Query); strings.Contains(text, "secret") || !strings.Contains(text, flow.Redacted) {
			t.Errorf("%v: kept %s", d, text)
		}
	}

	fault("busy on")
	if got, _ := call(body[:100]); got != http.StatusServiceUnavailable {
		t.Errorf("status %d with the fault on", got)
	}
	if f := l.State().Faults; len(f) != 1 || !f[0].On || f[0].Hand {
		t.Errorf("shown are %+v", f)
	}
	fault("busy off")
	fault("echo delay=150ms")
	if got, took := call(body); got != http.StatusOK || took < 150*time.Millisecond {
		t.Errorf("status %d after %v, want 200 after 150ms", got, took)
	}
	if f := l.State().Faults; len(f) != 2 || f[0].On || !f[1].On || !f[1].Hand {
		t.Errorf("shown are %+v", f)
	}
	fault("echo off")
	if f := l.State().Faults; len(f) != 1 || f[0].On {
		t.Errorf("after it was switched off, shown are %+v", f)
	}

	do(state.Command{Op: state.SetCapture})
	call(body)
	if b, _ := l.o.Flows.Body(ended(t, l.o.Flows), flow.Request, 0, 1); b.Limit != 0 || l.State().Capture != 0 {
		t.Errorf("captured although that is off: %+v", b)
	}
	do(state.Command{Op: state.SetCapture, On: true})
	if n := l.State().Capture; n != state.DefaultCapture {
		t.Errorf("%d bytes are captured, want the default", n)
	}
	for what, c := range map[string]state.Command{
		"no fault is named": {Op: state.SetFault, Name: "none"},
		"of the name busy":  {Op: state.SetFault, Fault: &state.Fault{Name: "busy", Target: "echo", Abort: 500}},
		`no app "ehco"`:     {Op: state.SetFault, Fault: &state.Fault{Name: "x", Target: "ehco", Abort: 500}},
		"has ended":         {Op: state.SetCapture, Flow: id, On: true},
	} {
		if err := l.Do(t.Context(), c); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%+v: %v, want %q", c, err, what)
		}
	}
}

// ended gives the flow that ended last, once none is live.
func ended(t *testing.T, r *flow.Recorder) string {
	t.Helper()
	for end := time.Now().Add(patience); ; {
		if all := r.Recent(nil, 1); len(r.Live(nil)) == 0 && len(all) == 1 {
			return all[0].ID().String()
		}
		if time.Now().After(end) {
			t.Fatal("the invocation does not end")
		}
		<-time.After(time.Millisecond)
	}
}
