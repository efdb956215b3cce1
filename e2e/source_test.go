package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mesh/supervisor/state"
)

const built = `
[apps.web]
command = "export COLOR=$(cat out.bin); APP server SELF"
port = "auto"
build = "echo compiling; grep -q broken src/*.txt && { echo src/main.txt:3: this is broken; exit 2; }; cat src/*.txt > out.bin"
watch = ["src/**", "*.bin"]
ignore = ["*.bin"]
[apps.client]
command = "APP wait SELF"
`

// color asks web for the color with which it was built, through the mesh.
func (r *running) color() string {
	code, who, err := r.get("client", "v1.0/invoke/web/method/who")
	if fields := strings.Fields(who); err == nil && code == http.StatusOK && len(fields) == 3 {
		return fields[1]
	}
	return fmt.Sprintf("%d %s %v", code, who, err)
}

// TestSaveBuildsAndRestarts saves sources while calls run, of which none fails.
func TestSaveBuildsAndRestarts(t *testing.T) {
	t.Parallel()
	p := newProject(t, built)
	p.write("src/main.txt", "red")
	r := p.up()
	r.ready("web", "client")
	if c := r.color(); c != "red" {
		t.Fatalf("before any save the app is %s: it was not built before its first start", c)
	}
	client := fmt.Sprintf("http://127.0.0.1:%d/v1.0/invoke/web/method/who", r.instance("client").HTTPPort)
	stop := make(chan struct{})
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if code, body, err := get(t.Context(), client); code != http.StatusOK || err != nil {
					t.Errorf("a call while it restarts: %d %s %v", code, body, err)
					return
				}
			}
		})
	}
	first := r.instance("web")

	p.write("src/main.txt", "blue") // by renaming over it, as editors do
	r.await("the new color", func() bool { return r.color() == "blue" })
	r.await("the notice to name the file", func() bool { return strings.Contains(r.notice("source"), "src/main.txt") })

	// A build that fails leaves the process alone and shows the compiler's words.
	before := r.instance("web").PID
	p.write("src/main.txt", "broken")
	r.await("the words of the compiler", func() bool {
		n := r.notice("build")
		return strings.Contains(n, "src/main.txt:3: this is broken") && strings.Contains(n, "src/main.txt changed")
	})
	if now := r.instance("web"); now.PID != before || now.Phase != state.Ready {
		t.Errorf("a failing build turned %d into %+v", before, now)
	}

	// A new folder with many new files is one restart.
	starts := r.instance("web").Starts
	p.write("src/main.txt", "green")
	for i := range 20 {
		p.write(fmt.Sprintf("src/deep/er/%d.txt", i), "")
	}
	r.await("the notice to be withdrawn", func() bool { return r.notice("build") == "" })
	r.await("the color of the burst", func() bool { return r.color() == "green" })
	if now := r.instance("web"); now.Starts > starts+2 {
		t.Errorf("a burst of 21 files made %d starts", now.Starts-starts)
	}
	close(stop)
	callers.Wait()
	if now := r.instance("web"); now.HTTPPort != first.HTTPPort || now.AppPort != first.AppPort || now.Restarts != 0 {
		t.Errorf("the restarts turned %+v into %+v", first, now)
	}

	// The file may change what is watched.
	p.write("mesh.toml", strings.Replace(built, `"src/**", `, `"other/*", `, 1))
	r.await("the edit", func() bool { return strings.Contains(r.notice("reload"), "watch") })
	r.await("the other folder to count", func() bool {
		p.write("src/main.txt", "yellow")
		p.write("other/file", time.Now().String())
		return r.color() == "yellow"
	})
}

func TestFirstBuildThatFails(t *testing.T) {
	t.Parallel()
	p := newProject(t, built)
	p.write("src/main.txt", "broken")
	r := p.up()
	r.ready("client")
	r.await("web to be given up", func() bool { return r.instance("web").Phase == state.Failed })
	if n := r.notice("build"); !strings.Contains(n, "this is broken") {
		t.Errorf("the notice is %q", n)
	}
	p.write("src/main.txt", "mended")
	r.ready("web")
	if c := r.color(); c != "mended" {
		t.Errorf("the app is %s", c)
	}
}

// TestBuildThatTriggersItself has a build whose output is watched.
func TestBuildThatTriggersItself(t *testing.T) {
	t.Parallel()
	p := newProject(t, `
[apps.web]
command = "APP server SELF"
port = "auto"
build = "date +%N > src/stamp.gen; echo x >> builds"
watch = ["src/**"]
`)
	p.write("src/main.txt", "1")
	r := p.up()
	r.ready("web")
	p.write("src/main.txt", "2")
	r.await("the loop to be seen", func() bool { return strings.Contains(r.notice("loop"), "src/stamp.gen") })
	builds := func() int {
		b, _ := os.ReadFile(filepath.Join(p.dir, "builds"))
		return len(b) / 2
	}
	n := builds()
	if n > 10 {
		t.Errorf("%d builds until the loop was seen", n)
	}
	p.write("src/main.txt", "3") // counts nevertheless, also beside the last echo
	r.await("another build", func() bool { return builds() > n })
	r.ready("web")
}

// TestEnvFileRestartsWhoSeesIt edits env files of which one app sees a change.
func TestEnvFileRestartsWhoSeesIt(t *testing.T) {
	t.Parallel()
	p := newProject(t, `
[mesh]
env_file = ["all.env"]
[apps.web]
command = "APP server SELF"
port = "auto"
env_file = ["web.env"]
[apps.client]
command = "APP wait SELF"
env = { COLOR = "none" }
`)
	p.write("all.env", "COLOR=red\n")
	p.write("web.env", "SHADE=dark\n")
	r := p.up()
	r.ready("web", "client")
	client := r.instance("client").PID
	p.write("all.env", "COLOR=blue\n") // the client has its own
	r.await("web to be blue", func() bool { return r.color() == "blue" })
	p.write("web.env", "SHADE=dark\nCOLOR=pink\n")
	r.await("web to be pink", func() bool { return r.color() == "pink" })
	if now := r.instance("client").PID; now != client {
		t.Error("an app that sees no change was restarted")
	}
}
