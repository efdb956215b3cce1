//go:build daprd

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"testing"
)

// A mesh and a real daprd find each other by Consul only: each registers as it
// is told to by the same settings.
func TestDaprdByConsul(t *testing.T) {
	agent := startConsul(t)
	p := freePorts(t, 5)
	d := &daprd{t: t, id: "real", http: p[1]}
	server := exec.Command(os.Args[0])
	server.Env = append(os.Environ(), "E2E_ROLE=server", fmt.Sprintf("APP_PORT=%d", p[0]), "MESH_INSTANCE="+d.id)
	launch(t, server)
	d.run(p, "--config", agent.configuration(advanced))
	r := newProject(t, meshWith("auto")+`
[mesh.names]
resolvers = ["consul"]
[mesh.names.consul]
client = { address = "`+agent.addr+`" }
daprPortMetaKey = "DAPR_PORT"
advancedRegistration = { id = "${APP_ID}-here", name = "${APP_ID}", port = "${APP_PORT}", address = "${HOST_ADDRESS}", meta = { DAPR_PORT = "${DAPR_PORT}" } }
`).up()
	r.ready("web", "client")
	for way, p := range map[string]pairing{
		"daprd to mesh": {d.url(""), "web"},
		"mesh to daprd": {fmt.Sprintf("http://127.0.0.1:%d/", r.instance("client").HTTPPort), d.id},
	} {
		await(t, way, func() bool {
			code, _, err := get(t.Context(), p.url("who"))
			return err == nil && code == http.StatusOK
		})
		if code, body, err := get(t.Context(), p.url("ticks?n=3")); code != http.StatusOK || body != "tick 0\ntick 1\ntick 2\n" || err != nil {
			t.Errorf("%s, a stream: %d %q %v", way, code, body, err)
		}
	}
}
