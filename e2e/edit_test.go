package e2e

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"mesh/supervisor/state"
)

const twoApps = `
[apps.web]
command = "APP server SELF"
port = "auto"
env = { COLOR = "%s" }
[apps.other]
command = "APP server SELF"
port = "auto"
`

func TestLiveEdits(t *testing.T) {
	t.Parallel()
	p := newProject(t, fmt.Sprintf(twoApps, "red"))
	r := p.up()
	r.ready("web", "other")
	web, other := r.instance("web"), r.instance("other")

	// A stream of an app that is not touched goes on through every edit.
	ticks := make(chan string, 1000)
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/v1.0/invoke/other/method/ticks", web.HTTPPort))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	go func() { // ends with the body
		defer close(ticks)
		for s := bufio.NewScanner(resp.Body); s.Scan(); {
			select {
			case ticks <- s.Text():
			default:
			}
		}
	}()
	flows := func(when string) {
		t.Helper()
		for len(ticks) > 0 {
			<-ticks
		}
		select {
		case _, ok := <-ticks:
			if !ok {
				t.Fatalf("the stream of another app broke %s", when)
			}
		case <-time.After(patience):
			t.Fatalf("the stream of another app stands still %s", when)
		}
	}

	// changed: only that app restarts, its ports stay
	p.write("mesh.toml", fmt.Sprintf(twoApps, "blue"))
	r.await("web to be blue", func() bool {
		_, who, _ := r.get("other", "v1.0/invoke/web/method/who")
		return strings.Contains(who, " blue ")
	})
	if now := r.instance("web"); now.PID == web.PID || now.HTTPPort != web.HTTPPort {
		t.Errorf("web went from %+v to %+v", web, now)
	}
	flows("when web was changed")

	// added and scaled
	p.write("mesh.toml", strings.Replace(fmt.Sprintf(twoApps, "blue"), "[apps.web]", "[apps.web]\ninstances = 2", 1)+`
[apps.fresh]
command = "APP server SELF"
port = "auto"
`)
	r.ready("fresh", "web-2")
	if code, _, err := r.get("other", "v1.0/invoke/fresh/method/who"); code != http.StatusOK || err != nil {
		t.Errorf("the new app answers %d, %v", code, err)
	}
	flows("when an app was added")

	// broken: nothing changes, the errors stand
	before := r.instance("web").PID
	p.write("mesh.toml", fmt.Sprintf(twoApps, "blue")+"\n[apps.fresh]\ncomand = \"x\"\nport = 99999999\n")
	r.await("the errors", func() bool { return r.notice("config") != "" })
	text := r.notice("config")
	for _, want := range []string{"mesh.toml:", "comand", "command", "99999999", "^"} {
		if !strings.Contains(text, want) {
			t.Errorf("the notice lacks %q:\n%s", want, text)
		}
	}
	if r.instance("web").PID != before || r.instance("fresh").Phase != state.Ready {
		t.Error("a broken file changed the mesh")
	}
	flows("when the file was broken")

	// mended and removed: the error goes, the app and its process go
	gone := r.instance("fresh").PID
	p.write("mesh.toml", fmt.Sprintf(twoApps, "blue"))
	r.await("the error to be withdrawn", func() bool { return r.notice("config") == "" })
	r.await("fresh and web-2 to be gone", func() bool {
		return r.instance("fresh").Name == "" && r.instance("web-2").Name == "" && !alive(gone)
	})
	if r.instance("web").PID != before {
		t.Error("scaling down restarted the instance that stays")
	}
	if r.instance("other").PID != other.PID {
		t.Error("an app that nobody touched was restarted")
	}
	flows("when an app was removed")
}

func TestEditOfTransportKeepsTheApps(t *testing.T) {
	t.Parallel()
	p := newProject(t, fmt.Sprintf(twoApps, "red"))
	r := p.up()
	r.ready("web", "other")
	pid := r.instance("web").PID
	p.write("mesh.toml", "[mesh]\ntransport = \"grpc\"\n"+fmt.Sprintf(twoApps, "red"))
	r.await("the transport to change", func() bool { return r.client.State().Transport == "grpc" })
	if code, _, err := r.get("other", "v1.0/invoke/web/method/who"); code != http.StatusOK || err != nil {
		t.Errorf("a call after the edit: %d, %v", code, err)
	}
	r.await("a call over the wire", func() bool {
		_, _, _ = r.get("other", "v1.0/invoke/web/method/who")
		for _, v := range r.client.Views(10) {
			if v.Transport == "grpc" {
				return true
			}
		}
		return false
	})
	if r.instance("web").PID != pid {
		t.Error("changing the transport restarted the app")
	}
}

func TestBrokenFileAtTheStart(t *testing.T) {
	t.Parallel()
	p := newProject(t, "[apps.web]\ncomand = \"x\"\nprotocol = \"htp\"\n")
	out, errs, code := p.mesh("up", "--headless")
	if code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	for _, want := range []string{"mesh.toml:2:1", "command", "mesh.toml:3:", "http"} {
		if !strings.Contains(out+errs, want) {
			t.Errorf("the output lacks %q:\n%s%s", want, out, errs)
		}
	}
}

// TestRestartAndScaleInOneEdit: calls under way end well at the instances that
// start anew, and at those that go although they would have to start anew.
func TestRestartAndScaleInOneEdit(t *testing.T) {
	t.Parallel()
	file := `
[apps.client]
command = "APP wait SELF"
[apps.web]
command = "APP server SELF"
port = "auto"
instances = 3
env = { COLOR = "red" }
stop = { signal = "SIGKILL" } # the app itself lets nothing end
`
	p := newProject(t, file)
	r := p.up()
	r.ready("client", "web", "web-2", "web-3")
	const calls, ticks = 6, 150 // 3 s, in which calls are counted at least twice
	ends := make(chan error, calls)
	for range calls {
		go func() {
			code, body, err := r.get("client", fmt.Sprintf("v1.0/invoke/web/method/ticks?n=%d", ticks))
			if n := strings.Count(body, "tick "); err == nil && (code != http.StatusOK || n != ticks) {
				err = fmt.Errorf("%d after %d ticks", code, n)
			}
			ends <- err
		}()
	}
	r.await("two calls at each instance", func() bool {
		return r.instance("web").Calls == 2 && r.instance("web-2").Calls == 2 && r.instance("web-3").Calls == 2
	})
	p.write("mesh.toml", strings.NewReplacer("red", "blue", "instances = 3", "instances = 1").Replace(file))
	r.await("the edit", func() bool {
		return r.color() == "blue" && r.instance("web-2").Name == "" && r.instance("web-3").Name == ""
	})
	for range calls {
		if err := <-ends; err != nil {
			t.Errorf("a call under way: %v", err)
		}
	}
}
