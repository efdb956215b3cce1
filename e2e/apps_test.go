package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"mesh/supervisor/state"
)

func TestAppsStartInOrderWithTheirSidecarsReady(t *testing.T) {
	t.Parallel()
	p := newProject(t, `
name = "order"
[apps.db]
command = "APP late+server SELF"
port = "auto"
[apps.migrate]
command = "APP outbound+task SELF"
depends_on = ["db"]
[apps.web]
command = "APP outbound+server SELF"
port = "auto"
ready = { log = "serving on" }
depends_on = { migrate = "completed", db = "ready" }
env = { COLOR = "${SHADE:-green}" }
`)
	r := p.up()
	r.ready("db", "web")
	db, migrate, web := r.instance("db"), r.instance("migrate"), r.instance("web")
	if migrate.Phase != state.Done {
		t.Errorf("migrate is %s (%s), want done", migrate.Phase, migrate.Reason)
	}
	if !db.Since.Before(migrate.Started) {
		t.Errorf("migrate was started at %v, before db was ready at %v", migrate.Started, db.Since)
	}
	if !migrate.Since.Before(web.Started) {
		t.Errorf("web was started at %v, before migrate was completed at %v", web.Started, migrate.Since)
	}
	_, env, err := r.get("db", "v1.0/invoke/web/method/env")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"APP_ID=web", fmt.Sprintf("APP_PORT=%d", web.AppPort), fmt.Sprintf("DAPR_HTTP_PORT=%d", web.HTTPPort),
		fmt.Sprintf("DAPR_GRPC_PORT=%d", web.GRPCPort), "COLOR=green", fmt.Sprintf("MESH_DB_PORT=%d", db.AppPort),
	} {
		if !strings.Contains(env, want+"\n") {
			t.Errorf("web's environment lacks %s:\n%s", want, env)
		}
	}
}

func TestCrashIsRestartedShownAndGivenUp(t *testing.T) {
	t.Parallel()
	p := newProject(t, `
[apps.bad]
command = "APP crash SELF"
[apps.never]
command = "APP crash SELF"
restart = "never"
[apps.good]
command = "APP server SELF"
port = "auto"
`)
	r := p.up()
	r.ready("good")
	r.await("never to be given up", func() bool { return r.instance("never").Phase == state.Failed })
	r.await("bad to be started again", func() bool { return r.instance("bad").Restarts >= 2 })
	if reason := r.instance("never").Reason; !strings.Contains(reason, "exited with code 7") {
		t.Errorf("the reason is %q", reason)
	}
	if n := r.notice("crash"); !strings.Contains(n, "about to fail") {
		t.Errorf("the notice lacks the last words of the app: %q", n)
	}
	r.await("the crash on stdout", func() bool { return strings.Contains(r.out.String(), "exited with code 7") })
	if code, _, err := r.get("good", "v1.0/invoke/good/method/who"); code != http.StatusOK || err != nil {
		t.Errorf("another app answers %d, %v", code, err)
	}
}

func TestLongLinesAreKept(t *testing.T) {
	t.Parallel()
	p := newProject(t, `
[apps.long]
command = "APP long+wait SELF"
`)
	r := p.up()
	r.ready("long")
	var got strings.Builder
	r.await("the whole line", func() bool {
		got.Reset()
		for _, l := range r.client.Lines("long", 0, 1000) {
			if l.Stream == "stdout" {
				got.WriteString(l.Text)
			}
		}
		return strings.HasSuffix(got.String(), "end")
	})
	if want := 300_003; got.Len() != want {
		t.Errorf("%d bytes of the line arrived, want %d", got.Len(), want)
	}
}

func TestRestartStopStartScale(t *testing.T) {
	t.Parallel()
	p := newProject(t, `
[apps.web]
command = "APP server SELF"
port = "auto"
[apps.other]
command = "APP server SELF"
port = "auto"
`)
	r := p.up()
	r.ready("web", "other")
	pid, other := r.instance("web").PID, r.instance("other").PID

	if _, errs, code := p.mesh("restart", "web"); code != 0 {
		t.Fatalf("mesh restart: %d %s", code, errs)
	}
	if now := r.instance("web"); now.PID == pid || now.Phase != state.Ready || alive(pid) {
		t.Errorf("after the restart web is %+v, was pid %d", now, pid)
	}
	if _, errs, code := p.mesh("stop", "web"); code != 0 {
		t.Fatalf("mesh stop: %d %s", code, errs)
	}
	if now := r.instance("web"); now.Phase != state.Stopped || now.PID != 0 {
		t.Errorf("after the stop web is %+v", now)
	}
	if code, body, _ := r.get("other", "v1.0/invoke/web/method/who"); code != http.StatusInternalServerError || !strings.Contains(body, "stopped") {
		t.Errorf("calling a stopped app gives %d %s", code, body)
	}
	if _, errs, code := p.mesh("start", "web"); code != 0 {
		t.Fatalf("mesh start: %d %s", code, errs)
	}
	if _, errs, code := p.mesh("scale", "web=3"); code != 0 {
		t.Fatalf("mesh scale: %d %s", code, errs)
	}
	r.ready("web", "web-2", "web-3")
	seen := map[string]bool{}
	for range 12 {
		_, who, err := r.get("other", "v1.0/invoke/web/method/who")
		if err != nil {
			t.Fatal(err)
		}
		name, _, _ := strings.Cut(who, " ")
		seen[name] = true
	}
	if len(seen) != 3 {
		t.Errorf("12 calls reached %v, want all three instances", seen)
	}
	if r.instance("other").PID != other {
		t.Error("an app that nobody touched was restarted")
	}
	if _, errs, code := p.mesh("restart", "webb"); code == 0 || !strings.Contains(errs, "web") {
		t.Errorf("a misspelt name gives %d %q", code, errs)
	}
}

// TestNewInstanceReceivesCalls scales while calls run: the new instance starts
// to receive calls, and none of the calls fails.
func TestNewInstanceReceivesCalls(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"auto", "grpc"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, `
[mesh]
transport = "`+transport+`"
[apps.web]
command = "APP server SELF"
port = "auto"
[apps.client]
command = "APP wait SELF"
`)
			r := p.up()
			r.ready("web", "client")
			scaled := make(chan string, 1)
			seen := map[string]int{}
			pace := time.NewTicker(time.Millisecond)
			defer pace.Stop()
			for i := range 20_000 {
				if i == 50 {
					go func() { // joined by the channel
						_, errs, code := p.mesh("scale", "web=2")
						scaled <- fmt.Sprintf("%d %s", code, errs)
					}()
				}
				code, who, err := r.get("client", "v1.0/invoke/web/method/who")
				if err != nil || code != http.StatusOK {
					t.Fatalf("call %d: %d %s %v", i, code, who, err)
				}
				name, _, _ := strings.Cut(who, " ")
				seen[name]++
				if seen["web-2"] >= 20 {
					break
				}
				if i >= 50 {
					<-pace.C // a call now and then, as long as the instance starts
				}
			}
			if s := <-scaled; !strings.HasPrefix(s, "0") {
				t.Errorf("mesh scale: %s", s)
			}
			if seen["web-2"] < 20 || seen["web"] == 0 {
				t.Errorf("calls reached %v", seen)
			}
		})
	}
}
