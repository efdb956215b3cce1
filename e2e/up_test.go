package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mesh/supervisor/control"
	"mesh/supervisor/state"
)

func TestDetach(t *testing.T) {
	t.Parallel()
	p := newProject(t, `
[apps.db]
command = "APP late+server SELF"
port = "auto"
[apps.web]
command = "APP server SELF"
port = "auto"
depends_on = ["db"]
`)
	t.Cleanup(p.down)
	out, errs, code := p.mesh("up", "--detach", "--json")
	if code != 0 {
		t.Fatalf("mesh up --detach: %d %s", code, errs)
	}
	var d struct {
		PID         int
		Ready       bool
		Socket, Log string
	}
	if err := json.Unmarshal([]byte(out), &d); err != nil || !d.Ready || !alive(d.PID) {
		t.Fatalf("it prints %s (%v)", out, err)
	}
	c, err := control.Dial(t.Context(), p.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m := c.State()
	if m.PID != d.PID || m.Find("web").Instances[0].Phase != state.Ready {
		t.Errorf("the mesh is %+v", m)
	}
	if _, err := os.Stat(d.Socket); err != nil {
		t.Errorf("the socket: %v", err)
	}
	out, _, _ = p.mesh("ps", "--timing")
	if !strings.Contains(out, "critical path (*): db ") || !strings.Contains(out, "> web ") {
		t.Errorf("mesh ps --timing prints\n%s", out)
	}
	if _, errs, code := p.mesh("up", "--detach"); code == 0 || !strings.Contains(errs, "already runs") {
		t.Errorf("a second one: %d %s", code, errs)
	}
	if _, errs, code := p.mesh("down"); code != 0 {
		t.Errorf("mesh down: %d %s", code, errs)
	}
	await(t, "the mesh to end", func() bool { return !alive(d.PID) })

	// An app that is left to the user is his to start: he is told how.
	if out, errs, code := p.mesh("up", "--detach", "--except", "web"); code != 0 || !strings.Contains(out, "export APP_ID='web'") || !strings.Contains(out, "web.env.sh") {
		t.Errorf("mesh up --detach --except web: %d %s%s", code, out, errs)
	}
}

// down ends the mesh at the end of a test.
func (p *project) down() {
	cmd := exec.Command(meshBinary, "down")
	cmd.Dir = p.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Errorf("mesh down: %v %s", err, out)
	}
}

func TestDetachTellsOfFailure(t *testing.T) {
	t.Parallel()
	p := newProject(t, "[apps.web]\ncommand = \"APP crash SELF\"\nport = \"auto\"\nrestart = \"never\"\n")
	t.Cleanup(p.down)
	_, errs, code := p.mesh("up", "--detach")
	if code != 1 || !strings.Contains(errs, "exited with code 7") {
		t.Errorf("an app that fails: %d %s", code, errs)
	}
	if _, errs, code := p.mesh("ps"); code != 0 {
		t.Errorf("the mesh does not go on: %d %s", code, errs)
	}
	broken := newProject(t, "[apps.web]\ncomand = \"x\"\n")
	if _, errs, code := broken.mesh("up", "--detach"); code != 1 || !strings.Contains(errs, "comand") {
		t.Errorf("a broken file: %d %s", code, errs)
	}
}

// TestExceptHandsOverTheEnvironment starts an app by hand with what mesh gives.
func TestExceptHandsOverTheEnvironment(t *testing.T) {
	t.Parallel()
	p := newProject(t, `
[apps.web]
command = "false"
port = "auto"
app_token = "it's mine"
[apps.client]
command = "APP wait SELF"
`)
	r := p.up("--except", "web")
	r.ready("client")
	r.await("the environment", func() bool { return strings.Contains(r.out.String(), "export APP_ID='web'") })
	cmd := exec.Command("sh", "-c", ". ./.mesh/web.env.sh && exec "+os.Args[0])
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "E2E_ROLE=server")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	r.ready("web")
	_, env, err := r.get("client", "v1.0/invoke/web/method/env")
	if err != nil || !strings.Contains(env, "APP_API_TOKEN=it's mine\n") {
		t.Errorf("the app's environment is %s (%v)", env, err)
	}
}

func TestUndo(t *testing.T) {
	t.Parallel()
	app := func(color string) string {
		return "[apps.web]\ncommand = \"APP server SELF\"\nport = \"auto\"\nenv = { COLOR = \"" + color + "\" }\n[apps.client]\ncommand = \"APP wait SELF\"\n"
	}
	p := newProject(t, app("red"))
	r := p.up()
	r.ready("web", "client")
	p.write("mesh.toml", app("blue"))
	r.await("blue", func() bool { return r.color() == "blue" })

	undo := func() {
		t.Helper()
		if _, errs, code := p.mesh("undo"); code != 0 {
			t.Fatalf("mesh undo: %d %s", code, errs)
		}
	}
	undo()
	r.await("red", func() bool { return r.color() == "red" })
	undo() // takes the first one back
	r.await("blue again", func() bool { return r.color() == "blue" })

	// A broken file, and one that is gone, become what runs.
	p.write("mesh.toml", "[apps.web")
	r.await("the error", func() bool { return r.notice("config") != "" })
	undo()
	r.await("the error to go", func() bool { return r.notice("config") == "" })
	if err := os.Rename(filepath.Join(p.dir, "mesh.toml"), filepath.Join(p.dir, "away.toml")); err != nil {
		t.Fatal(err)
	}
	r.await("the error", func() bool { return strings.Contains(r.notice("config"), "no such file") })
	if c := r.color(); c != "blue" {
		t.Errorf("without its file the mesh is %s", c)
	}
	undo()
	r.await("the error to go", func() bool { return r.notice("config") == "" })
	if c := r.color(); c != "blue" {
		t.Errorf("with its file the mesh is %s", c)
	}
}
