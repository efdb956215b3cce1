package e2e

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mesh/supervisor/state"
)

// chaosFile is a mesh in which web serves and everything else comes and goes.
type chaosFile struct {
	color, transport string
	web, other       int // instances
	extra            bool
	victim           int // which version of it
}

func (f chaosFile) String() string {
	text := fmt.Sprintf(`
[mesh]
transport = %q
[apps.client]
command = "APP wait SELF"
[apps.web]
command = "APP server SELF"
port = "auto"
instances = %d
env = { COLOR = %q }
watch = ["src/*"]
build = "cat src/* > built"
[apps.other]
command = "APP server SELF"
port = "auto"
instances = %d
depends_on = ["web"]
[apps.victim]
command = "APP family+wait SELF"
env = { VERSION = "%d" }
stop = { grace = "100ms" }
`, f.transport, f.web, f.color, f.other, f.victim)
	if f.extra {
		text += "[apps.extra]\ncommand = \"APP crash SELF\"\nport = \"auto\"\n"
	}
	return text
}

// TestChaos does at random what people and machines do to a mesh, while calls
// run: none of them may fail, and nothing may be left behind, be it a process or
// a descriptor. It lasts some seconds, and five minutes with E2E_LONG.
func TestChaos(t *testing.T) {
	lasts := 15 * time.Second
	if long() {
		lasts = 5 * time.Minute
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))

	file := chaosFile{color: "red", transport: "auto", web: 1, other: 1, victim: 1}
	p := newProject(t, file.String())
	p.write("src/a", "1")
	r := p.up()
	r.ready("client", "web", "other", "victim")
	rest := descriptors(t, r.cmd.Process.Pid)

	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}
	defer client.CloseIdleConnections()
	url := fmt.Sprintf("http://127.0.0.1:%d/v1.0/invoke/web/method/", r.instance("client").HTTPPort)
	var calls, failed atomic.Int64
	stop := make(chan struct{})
	var callers sync.WaitGroup
	for i := range 8 {
		callers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := chaosCall(t, client, url, i); err != nil && failed.Add(1) < 10 {
					t.Errorf("call %d fails: %v", calls.Load(), err)
				}
				calls.Add(1)
			}
		})
	}

	did := map[string]int{}
	note := func(what string) { did[what]++ }
	for until := time.Now().Add(lasts); time.Now().Before(until) && failed.Load() == 0; {
		switch rnd.IntN(10) {
		case 0:
			note("edit the environment of web")
			file.color = []string{"red", "green", "blue"}[rnd.IntN(3)]
			p.write("mesh.toml", file.String())
		case 1:
			note("scale in the file")
			file.web, file.other = 1+rnd.IntN(3), rnd.IntN(3)
			p.write("mesh.toml", file.String())
		case 2:
			note("change the transport")
			file.transport = []string{"auto", "grpc"}[rnd.IntN(2)]
			p.write("mesh.toml", file.String())
		case 3:
			note("add or remove apps")
			file.extra, file.victim = !file.extra, file.victim+1
			p.write("mesh.toml", file.String())
		case 4:
			note("break the file")
			p.write("mesh.toml", file.String()[:rnd.IntN(len(file.String()))]+"\n[[[")
		case 5:
			note("delete the file")
			_ = os.Remove(p.dir + "/mesh.toml") // it may be gone already
		case 6:
			note("save a source")
			p.write("src/a", strconv.Itoa(rnd.Int()))
		case 7:
			note("restart web")
			_ = r.client.Post(t.Context(), state.Command{Op: state.Restart, App: "web"})
		case 8:
			note("scale by a command")
			_ = r.client.Post(t.Context(), state.Command{Op: state.Scale, App: "web", Count: 1 + rnd.IntN(3)})
		case 9:
			note("kill an app")
			if pid := r.instance("victim").PID; pid > 0 {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		before, pause := calls.Load(), int64(rnd.IntN(200))
		r.await("calls to go on", func() bool { return calls.Load() >= before+pause })
	}
	close(stop)
	callers.Wait()
	client.CloseIdleConnections()
	t.Logf("%d calls, %d failed; %v", calls.Load(), failed.Load(), did)

	// It comes to rest with the last good file as if nothing had been.
	file = chaosFile{color: "black", transport: "auto", web: 1, other: 1, victim: 0}
	p.write("mesh.toml", file.String())
	if err := r.client.Do(t.Context(), state.Command{Op: state.Scale, App: "web", Count: 1}); err != nil {
		t.Error(err)
	}
	r.await("the last file", func() bool {
		return r.color() == "black" && r.instance("web-2").Name == "" && r.instance("extra").Name == ""
	})
	r.ready("web", "other", "victim")
	http.DefaultClient.CloseIdleConnections()
	r.client.Close()
	var still []string
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("descriptors before: %v\nand last: %v", rest, still)
		}
	})
	await(t, "descriptors to be given back", func() bool {
		still = descriptors(t, r.cmd.Process.Pid)
		return len(still) <= len(rest)+2
	})
	if _, errs, code := p.mesh("down"); code != 0 {
		t.Errorf("mesh down: %d %s", code, errs)
	}
	<-r.exited
	for _, pid := range p.pids("pids") {
		if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid)); err == nil && strings.Contains(string(b), p.dir) {
			t.Errorf("process %d has survived", pid)
		}
	}
}

// chaosCall makes one call of some kind.
func chaosCall(t *testing.T, client *http.Client, url string, kind int) error {
	t.Helper()
	var body io.Reader = http.NoBody
	method, path, want := http.MethodGet, "who", ""
	if kind%2 == 1 {
		text := strings.Repeat("x", 1000*kind)
		method, path, body, want = http.MethodPost, "count", strings.NewReader(text), fmt.Sprintf("%d <nil>", len(text))
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url+path, body)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || want != "" && string(text) != want) {
		err = fmt.Errorf("%d %s", resp.StatusCode, text)
	}
	return err
}

// descriptors gives the open files of a process.
func descriptors(t *testing.T, pid int) (open []string) {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		// There is a log for every instance that ever was, as long as the mesh runs.
		if to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, e.Name())); err == nil && !strings.HasSuffix(to, ".log") {
			open = append(open, to)
		}
	}
	return open
}
