package e2e

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

// Saving another interface for mDNS has the sidecars listen there, refuses no call
// meanwhile and starts nothing again; one that does not exist changes nothing.
func TestInterfaceFollowsTheFile(t *testing.T) {
	t.Parallel()
	far := newProject(t, strings.ReplaceAll(meshWith("auto"), "apps.web", "apps.far")).up()
	text := func(iface string) string {
		return fmt.Sprintf("%s\n[mesh.mdns]\ninterface = %q\n", meshWith("auto"), iface)
	}
	r := newProject(t, text("loopback")).up()
	far.ready("far", "client")
	r.ready("web", "client")
	before := r.instance("web")
	beyond := func() bool { // 127.0.0.1 is the only address of the loopback interface that is listened at
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.2:%d", before.PeerPort))
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}
	calls := func(when string) {
		t.Helper()
		for from, app := range map[*running]string{r: "far", far: "web"} {
			if code, body, err := from.get("client", "v1.0/invoke/"+app+"/method/who"); err != nil || code != 200 {
				t.Errorf("%s, a call to %s: %d %s, %v", when, app, code, body, err)
			}
		}
	}
	calls("at first")
	if beyond() {
		t.Error("with the loopback interface, sidecars are reached at other addresses")
	}
	r.p.write("mesh.toml", text("all"))
	r.await("the sidecars listen everywhere", beyond)
	calls("on all interfaces")

	r.p.write("mesh.toml", text("eth99x"))
	r.await("the mistake is shown", func() bool { return strings.Contains(r.notice("reload")+r.notice("config"), `"eth99x"`) })
	if !beyond() {
		t.Error("after an edit that was refused, the sidecars do not listen everywhere")
	}
	calls("after an edit that was refused")

	r.p.write("mesh.toml", text("loopback"))
	r.await("the sidecars listen for this host only", func() bool { return !beyond() })
	calls("on the loopback interface again")
	if now := r.instance("web"); now.PID != before.PID || now.PeerPort != before.PeerPort {
		t.Errorf("%+v has become %+v", before, now)
	}
}
