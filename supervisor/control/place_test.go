package control_test

import (
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mesh/runtime/flow"
	"mesh/supervisor/control"
	"mesh/supervisor/control/controltest"
)

func options(dir string) control.Options {
	return control.Options{Dir: dir, Mesh: controltest.NewMesh(shop()), Flows: flow.NewRecorder(), Logs: controltest.NewLogs(), Log: slog.New(slog.DiscardHandler)}
}

func TestSocketIsForItsOwnerOnly(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(project(dir), 0o755); err != nil { // made by somebody else
		t.Fatal(err)
	}
	r := serveIn(t, dir)
	for _, path := range []string{r.Server.Path(), project(r.Dir), project(r.Dir, "mesh.pid")} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v: others may use it", path, info.Mode())
		}
	}
	if ignore, err := os.ReadFile(project(r.Dir, ".gitignore")); err != nil || string(ignore) != "*\n" {
		t.Errorf("git would see the mesh's own files: %q, %v", ignore, err)
	}
}

func TestSecondMeshIsRefused(t *testing.T) {
	r := serve(t)
	_, err := control.New(options(r.Dir))
	running, ok := errors.AsType[*control.RunningError](err)
	if !ok || !errors.Is(err, control.ErrRunning) {
		t.Fatalf("New gave %v, want a RunningError", err)
	}
	if running.PID != os.Getpid() {
		t.Errorf("the error names pid %d, want %d", running.PID, os.Getpid())
	}
	if pid, is := control.Occupied(r.Dir); !is || pid != os.Getpid() {
		t.Errorf("Occupied gave %d, %v", pid, is)
	}
	r.Stop()
	if _, is := control.Occupied(r.Dir); is {
		t.Error("the folder is still taken after the mesh has ended")
	}
	if _, err := os.Lstat(r.Server.Path()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
	again := serveIn(t, r.Dir)
	again.Stop()
}

func TestStaleSocketIsReplaced(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(project(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: project(dir, "control.sock"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false) // as if its process had been killed
	ln.Close()
	if err := os.WriteFile(project(dir, "mesh.pid"), []byte("999999\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := control.Dial(t.Context(), dir); !errors.Is(err, control.ErrNotRunning) {
		t.Errorf("Dial on a stale socket gave %v", err)
	}
	serveIn(t, dir) // fails the test unless it can be reached
}

func TestNoMesh(t *testing.T) {
	dir := t.TempDir()
	_, err := control.Dial(t.Context(), dir)
	if !errors.Is(err, control.ErrNotRunning) {
		t.Fatalf("Dial gave %v", err)
	}
	for _, words := range []string{dir, "mesh up"} {
		if !strings.Contains(err.Error(), words) {
			t.Errorf("%q does not say %q", err, words)
		}
	}
	if _, err := os.Lstat(project(dir)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("looking for a mesh has left a folder behind: %v", err)
	}
}

func TestDeepFolder(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", "")
	short, err := os.MkdirTemp("", "m") //nolint:usetesting // the path of t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(short) })
	t.Setenv("TMPDIR", short)
	dir := filepath.Join(t.TempDir(), strings.Repeat("deep/", 30))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	r := serveIn(t, dir)
	if m, err := r.client.Fetch(t.Context()); err != nil || m.Name != "shop" {
		t.Errorf("Fetch gave %v, %v", m, err)
	}
	if strings.HasPrefix(r.Server.Path(), dir) {
		t.Errorf("the socket %s lies in a path that is too long", r.Server.Path())
	}
	if len(r.Server.Path()) > 103 {
		t.Errorf("the path %s does not fit into sun_path", r.Server.Path())
	}
	r.Stop()
	if _, err := os.Lstat(r.Server.Path()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestFolderOfOthersIsRefused(t *testing.T) {
	short := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", short)
	deep := filepath.Join(t.TempDir(), strings.Repeat("deep/", 30))
	if err := os.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	first, err := control.New(options(deep)) // makes the folder
	if err == nil {
		err = first.Close()
	}
	if err != nil && !strings.Contains(err.Error(), "too long") {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(short, "mesh-*"))
	if err != nil || len(found) != 1 {
		t.Fatalf("found %v, %v", found, err)
	}
	if err := os.Chmod(found[0], 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := control.New(options(deep)); err == nil || !strings.Contains(err.Error(), "not ours alone") {
		t.Errorf("New gave %v, want a refusal", err)
	}
}
