package e2e

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
)

// Saving mesh.toml changes how the apps of others are found, while the apps go
// on; `mesh doctor` says who was asked and what he said.
func TestMeshFollowsItsResolvers(t *testing.T) {
	t.Parallel()
	const id = "1" // the last part of an address, for the pattern of names
	far := newProject(t, strings.ReplaceAll(meshWith("auto"), "apps.web", "apps."+id)).up()
	far.ready(id)
	text := func(names string) string { return meshWith("auto") + "[mesh.names]\n" + names }
	r := newProject(t, text("resolvers = [\"sqlite\"]\nsqlite = { connectionString = \"names.db\" }\n")).up()
	r.ready("web", "client")
	pid := r.instance("client").PID
	call := func() (int, string) {
		code, body, err := r.get("client", "v1.0/invoke/"+id+"/method/who")
		if err != nil {
			return 0, err.Error()
		}
		return code, body
	}
	r.await("SQLite to be asked", func() bool { // both sidecars of the mesh make its table, and one waits for the other
		_, body := call()
		return !strings.Contains(body, "cannot be asked")
	})
	if code, body := call(); code != http.StatusInternalServerError || !strings.Contains(body, "sqlite: asking sqlite for "+id) || strings.Contains(body, "mdns") {
		t.Errorf("an app that SQLite does not know: %d %s", code, body)
	}
	if out, _, code := r.p.mesh("doctor", id); code != 1 || !strings.Contains(out, "sqlite: asking sqlite for "+id+": no host found") {
		t.Errorf("doctor exits with %d and says\n%s", code, out)
	}
	if _, err := os.Stat(r.p.dir + "/names.db"); err != nil {
		t.Errorf("the file is not where mesh.toml is: %v", err)
	}

	port := far.instance(id).PeerPort
	at := fmt.Sprintf("127.0.0.1:%d", port)
	r.p.write("mesh.toml", text("resolvers = [\"nameformat\", \"mdns\"]\n"+
		fmt.Sprintf("nameformat = { format = \"127.0.0.{appid}:${NOBODY_SETS_THIS:-%d}\" }\n", port)))
	r.await("a call after mesh.toml was saved", func() bool { code, _ := call(); return code == http.StatusOK })
	out, _, code := r.p.mesh("doctor", id)
	for _, want := range []string{"nameformat: " + id + " is at " + at, "mdns: " + id + " is at " + at, "calls go where "} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("doctor exits with %d and does not say %q:\n%s", code, want, out)
		}
	}
	if _, body, err := r.get("client", "v1.0/metadata"); err != nil || !strings.Contains(body, `"nameResolution":"nameformat, mdns"`) {
		t.Errorf("the metadata does not name the resolvers: %s %v", body, err)
	}
	if now := r.instance("client").PID; now != pid {
		t.Errorf("the app was started again: pid %d, then %d", pid, now)
	}
	if out, _, code := r.p.mesh("doctor", "web"); code != 0 || !strings.Contains(out, "web belongs to the mesh") || !strings.Contains(out, "web is ready") {
		t.Errorf("doctor exits with %d and says of an app of the mesh\n%s", code, out)
	}
}
