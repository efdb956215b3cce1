package supervisor

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mesh/supervisor/config"
	"mesh/supervisor/state"
)

// TestDownCutsEndlessStreams: a stream that nobody ends must not keep the mesh,
// and what is about to be stopped is shown so.
func TestDownCutsEndlessStreams(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "first")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer app.Close()
	port := portOf(t, app.Listener)
	l := start(t, parse(t, t.TempDir(), fmt.Sprintf(`
[apps.endless]
port = %d
[apps.slow]
command = ["sh", "-c", "trap 'sleep 0.3; exit' TERM; while :; do sleep 0.01; done"]
depends_on = ["back"]
[apps.back]
command = "exec sleep 1000"
`, port)))
	l.until("both apps are ready", func(m *state.Mesh) bool { return ready(m.Find("endless")) == 1 && ready(m.Find("slow")) == 1 })
	url := fmt.Sprintf("http://127.0.0.1:%d/v1.0/invoke/endless/method/x", l.State().Find("endless").Instances[0].HTTPPort)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	l.stop()
	l.until("the mesh stops", func(m *state.Mesh) bool { return m.Stopping })
	if i := l.State().Find("back").Instances[0]; i.Phase == state.Ready {
		t.Errorf("%s is shown as %s while the mesh stops", i.Name, i.Phase)
	}
	l.end()
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("stopping took %v", took)
	}
}

// TestAppThatDiesAtOnceIsNotReady: a restart must not claim success for it.
func TestAppThatDiesAtOnceIsNotReady(t *testing.T) {
	l := start(t, parse(t, t.TempDir(), "[apps.web]\ncommand = [\"sh\", \"-c\", \"sleep 0.03; exit 1\"]\nrestart = \"never\"\n"))
	defer l.end()
	for range 3 {
		if err := l.Do(t.Context(), state.Command{Op: state.Restart, App: "web"}); err == nil || !strings.Contains(err.Error(), "code 1") {
			t.Errorf("restarting what dies at once gives %v", err)
		}
	}
}

// TestFileWithoutAppsStopsNothing: an editor may have emptied the file for a moment.
func TestFileWithoutAppsStopsNothing(t *testing.T) {
	dir := t.TempDir()
	file := "[apps.a]\ncommand = \"exec sleep 1000\"\n[apps.b]\ncommand = \"exec sleep 1000\"\n"
	whole, half, empty := parse(t, dir, file), parse(t, dir, file[:strings.Index(file, "[apps.b]")]), parse(t, dir, "")
	looked := make(chan struct{}, 10)
	var files []*config.Mesh // what the next looks find
	load := func() (*config.Mesh, error) {
		m := files[0]
		if len(files) > 1 {
			files = files[1:]
		}
		looked <- struct{}{}
		return m, nil
	}
	l := start(t, whole, func(o *Options) { o.Load = load })
	defer l.end()
	before := l.settle()
	files = []*config.Mesh{empty}
	l.Look()
	said := func(m *state.Mesh) bool {
		for _, n := range m.Notices {
			if strings.Contains(n.Text, "declares no apps; nothing was changed") && n.Level == "error" && strings.Contains(n.Hint, "mesh down") {
				return true
			}
		}
		return false
	}
	l.until("there is a notice", said)
	files = []*config.Mesh{half, whole}
	l.Look()
	l.until("the notice goes", func(m *state.Mesh) bool { return !said(m) })
	if len(looked) < 4 {
		t.Errorf("%d looks, want each file looked at twice", len(looked))
	}
	if now := l.settle(); now != before || l.State().Find("b").Instances[0].Starts != 1 {
		t.Errorf("the mesh was\n%s\nand is\n%s", before, now)
	}
}

// told notes what is announced.
type told struct {
	Names
	names chan string
}

func (n told) Announce(_, instance string, _ int) func() {
	n.names <- instance
	return func() {}
}

// TestFurtherInstancesAreAnnouncedWhenReady: other meshes would wait at them.
func TestFurtherInstancesAreAnnouncedWhenReady(t *testing.T) {
	dir := t.TempDir()
	n := told{names: make(chan string, 10)}
	l := start(t, parse(t, dir, "[apps.web]\ncommand = \"exec sleep 1000\"\ninstances = 2\nready = { exec = \"test -f go\", interval = \"10ms\" }\n"),
		func(o *Options) { o.Names = n })
	defer l.end()
	if first := <-n.names; first != "web" {
		t.Errorf("%s is announced first", first)
	}
	l.until("the second instance starts", func(m *state.Mesh) bool { return m.Find("web").Instances[1].Phase == state.Starting })
	select {
	case early := <-n.names:
		t.Errorf("%s is announced before it is ready", early)
	default:
	}
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	select {
	case second := <-n.names:
		if i := l.State().Find("web").Instances[1]; second != "web-2" || i.Name != "web-2" {
			t.Errorf("%s is announced", second)
		}
	case <-time.After(patience):
		t.Error("the second instance is never announced")
	}
}

// TestIsolatedCopyHasPortsOfItsOwn: another copy of the project holds the port
// that the file gives to the sidecar.
func TestIsolatedCopyHasPortsOfItsOwn(t *testing.T) {
	taken := listen(t)
	file := fmt.Sprintf("[apps.web]\ncommand = \"exec sleep 1000\"\nsidecar = { http_port = %d }\n", taken)
	l := start(t, parse(t, t.TempDir(), file), func(o *Options) { o.Salt = "copy" })
	defer l.end()
	if p := l.State().Find("web").Instances[0].HTTPPort; p == taken || p == 0 {
		t.Errorf("the sidecar is on port %d", p)
	}
}

// TestExceptIgnoresLines: nobody reads what an app of the user's own prints.
func TestExceptIgnoresLines(t *testing.T) {
	port := listen(t)
	file := fmt.Sprintf("[apps.web]\ncommand = \"exec sleep 1000\"\nport = %d\nready = { log = \"up\" }\n[apps.mute]\ncommand = \"exec sleep 1000\"\nready = { log = \"up\" }\n", port)
	l := start(t, parse(t, t.TempDir(), file), func(o *Options) { o.Except = []string{"web", "mute"} })
	defer l.end()
	l.until("both are ready", func(m *state.Mesh) bool { return ready(m.Find("web"))+ready(m.Find("mute")) == 2 })
}

// TestUnitThatHasEndedIsNotWaitedFor: its sidecar has failed, so that no command
// can have an effect any more.
func TestUnitThatHasEndedIsNotWaitedFor(t *testing.T) {
	l := start(t, parse(t, t.TempDir(), "[apps.web]\ncommand = \"exec sleep 1000\"\n"))
	defer l.end()
	l.settle()
	var u *unit
	l.do(func() { u = l.of("web")[0] })
	close(u.broken)
	if err := u.settle(t.Context(), 1<<40, false); err == nil || !strings.Contains(err.Error(), "no longer kept") {
		t.Errorf("waiting for it gives %v", err)
	}
}

// TestHealthOfEachInstanceCounts: one that is well again says nothing of another.
func TestHealthOfEachInstanceCounts(t *testing.T) {
	a, b := &unit{app: "web", name: "web", sick: "503"}, &unit{app: "web", name: "web-2", sick: "500"}
	s := &Supervisor{units: []*unit{a, b}}
	s.tellHealth("web")
	b.sick = ""
	s.tellHealth("web")
	if len(s.notices) != 1 || !strings.Contains(s.notices[0].Text, "web fails") || strings.Contains(s.notices[0].Text, "web-2") {
		t.Errorf("%+v", s.notices)
	}
	a.sick = ""
	s.tellHealth("web")
	if len(s.notices) != 0 {
		t.Errorf("all are well, and yet %+v", s.notices)
	}
}

// TestHealthCheckIsEditedWhileItFails: the app gets calls again when it passes the
// new check, or when there is none any more.
func TestHealthCheckIsEditedWhileItFails(t *testing.T) {
	dir := t.TempDir()
	with := func(health string) *config.Mesh {
		return parse(t, dir, "[apps.web]\ncommand = \"exec sleep 1000\"\nport = \"auto\"\nready = { exec = \"true\" }\n"+health)
	}
	asks := func(path string) *config.Mesh {
		return with(fmt.Sprintf("health = { path = %q, interval = \"10ms\", timeout = \"10s\", threshold = 1 }\n", path))
	}
	l := start(t, with(""))
	defer l.end()
	l.until("it is ready", func(m *state.Mesh) bool { return ready(m.Find("web")) == 1 })
	ln, err := net.Listen("tcp", loopback(l.State().Find("web").Instances[0].AppPort))
	if err != nil {
		t.Fatal(err)
	}
	app := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/well" {
			w.WriteHeader(http.StatusNotImplemented)
		}
	})}
	go func() { _ = app.Serve(ln) }() // ends with app
	defer app.Close()
	var u *unit
	l.do(func() { u = l.of("web")[0] })
	for _, edit := range []struct {
		to      *config.Mesh
		reason  string
		passing bool
	}{
		{asks("/ill"), "501", false},
		{asks("/worse"), "/worse answers 501", false},
		{asks("/well"), "", true},
		{asks("/ill"), "501", false},
		{with(""), "", true},
	} {
		if err := l.Apply(t.Context(), edit.to); err != nil {
			t.Fatal(err)
		}
		l.until("its health is "+edit.reason, func(m *state.Mesh) bool {
			i := m.Find("web").Instances[0]
			noticed := slices.ContainsFunc(m.Notices, func(n state.Notice) bool { return n.Code == "health" })
			return i.Phase == state.Ready && strings.Contains(i.Reason, edit.reason) && (i.Reason == "") == edit.passing && noticed != edit.passing
		})
		if u.sidecar.App().Ready() != edit.passing {
			t.Errorf("with the reason %q calls pass: %v", edit.reason, !edit.passing)
		}
	}
	if n := l.State().Find("web").Instances[0].Starts; n != 1 {
		t.Errorf("it was started %d times", n)
	}
}

// TestCallsOutliveNewSidecars: edits that replace the sidecar of an app fail no
// call to it.
func TestCallsOutliveNewSidecars(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer app.Close()
	dir, port := t.TempDir(), portOf(t, app.Listener)
	with := func(more string) *config.Mesh {
		return parse(t, dir, fmt.Sprintf("[apps.front]\ncommand = \"exec sleep 1000\"\n[apps.web]\nport = %d\nhold = \"1m\"\n%s", port, more))
	}
	l := start(t, with(""))
	defer l.end()
	l.until("both are ready", func(m *state.Mesh) bool { return ready(m.Find("front"))+ready(m.Find("web")) == 2 })
	url := fmt.Sprintf("http://127.0.0.1:%d/v1.0/invoke/web/method/x", l.State().Find("front").Instances[0].HTTPPort)
	ctx, cancel := context.WithCancel(t.Context())
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			for ctx.Err() == nil {
				resp, err := http.Get(url)
				if err != nil {
					t.Error(err)
					return
				}
				text, _ := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					t.Errorf("%d %s", resp.StatusCode, text)
					return
				}
			}
		})
	}
	for _, edit := range []string{"app_token = \"a\"", "max_concurrency = 9", "app_token = \"b\"", ""} {
		if err := l.Apply(t.Context(), with(edit)); err != nil {
			t.Error(err)
		}
	}
	cancel()
	callers.Wait()
}
