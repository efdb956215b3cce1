//go:build netns && linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// These tests give each of two hosts a network namespace, joined by a veth
// pair. They need root and ip:
//
//	go test -tags netns -run Hosts ./e2e

// host is a network namespace.
type host struct {
	t    *testing.T
	name string
	addr string
}

func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// twoHosts gives two hosts that reach each other, and nothing else.
func twoHosts(t *testing.T) (a, b host) {
	t.Helper()
	tag := fmt.Sprintf("mt%d", os.Getpid()%100_000)
	hosts := []host{{t, tag + "a", "10.231.47.1"}, {t, tag + "b", "10.231.47.2"}}
	for _, h := range hosts {
		ip(t, "netns", "add", h.name)
		t.Cleanup(func() { ip(t, "netns", "del", h.name) })
	}
	ip(t, "link", "add", tag+"x", "netns", hosts[0].name, "type", "veth", "peer", "name", tag+"y", "netns", hosts[1].name)
	for i, h := range hosts {
		link := tag + string("xy"[i])
		ip(t, "-n", h.name, "addr", "add", h.addr+"/24", "dev", link)
		ip(t, "-n", h.name, "link", "set", link, "up")
		ip(t, "-n", h.name, "link", "set", "lo", "up")
	}
	return hosts[0], hosts[1]
}

// sidecar runs a sidecar by itself on the host.
func (h host) sidecar(args ...string) *alone {
	h.t.Helper()
	return h.sidecarIn(h.t.TempDir(), args...)
}

// sidecarIn starts it in a folder.
func (h host) sidecarIn(dir string, args ...string) *alone {
	h.t.Helper()
	return sidecarIn(h.t, dir, "/usr/bin/env", []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"},
		append([]string{"ip", "netns", "exec", h.name, meshBinary, "sidecar"}, args...)...)
}

// app runs an app that plays "server" on the host, at an address of it.
func (h host) app(addr, port string) {
	h.t.Helper()
	cmd := exec.Command("ip", "netns", "exec", h.name, os.Args[0])
	cmd.Env = append(os.Environ(), "E2E_ROLE=server", "APP_HOST="+addr, "APP_PORT="+port, "MESH_INSTANCE="+h.name)
	out := launchHere(h.t, cmd)
	await(h.t, "the app on "+h.name, func() bool { return strings.Contains(out.String(), "serving on") })
}

// fetch gets a URL from the host.
func (h host) fetch(url string) string {
	cmd := exec.Command("ip", "netns", "exec", h.name, os.Args[0])
	cmd.Env = append(os.Environ(), "E2E_ROLE=fetch", "URL="+url)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return err.Error()
	}
	return string(out)
}

// run starts a program on the host.
func (h host) run(env []string, argv ...string) *output {
	h.t.Helper()
	cmd := exec.Command("ip", append([]string{"netns", "exec", h.name}, argv...)...)
	cmd.Env = append(os.Environ(), env...)
	return launchHere(h.t, cmd)
}

// says gives what a program on the host prints.
func (h host) says(env []string, argv ...string) string {
	cmd := exec.Command("ip", append([]string{"netns", "exec", h.name}, argv...)...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return err.Error() + "\n" + string(out)
	}
	return string(out)
}

func launchHere(t *testing.T, cmd *exec.Cmd) *output {
	t.Helper()
	out := &output{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return out
}

// Sidecars of two hosts find each other by mDNS, both ways, also when one is
// started again.
func TestHostsFindEachOther(t *testing.T) {
	a, b := twoHosts(t)
	a.app("127.0.0.1", "8080")
	b.app("127.0.0.1", "8080")
	a.sidecar("--app-id", "here", "--app-port", "8080", "--mdns-interface", "all", "--dapr-http-port", "3500")
	other := b.sidecar("--app-id", "there", "--app-port", "8080", "--mdns-interface", "all", "--dapr-http-port", "3500")
	call := func(h host, id string) bool {
		return strings.HasPrefix(h.fetch("http://127.0.0.1:3500/v1.0/invoke/"+id+"/method/who"), "200 mt")
	}
	await(t, "there to be called from here", func() bool { return call(a, "there") })
	await(t, "here to be called from there", func() bool { return call(b, "here") })
	if got := a.fetch("http://127.0.0.1:3500/v1.0/invoke/there/method/ticks?n=3"); got != "200 tick 0\ntick 1\ntick 2\n <nil>\n" {
		t.Errorf("a stream from the other host: %s", got)
	}
	_ = other.cmd.Process.Signal(os.Interrupt)
	other.end()
	b.sidecar("--app-id", "there", "--app-port", "8080", "--mdns-interface", "all", "--dapr-http-port", "3500")
	await(t, "there to be called after its restart", func() bool { return call(a, "there") })
}

// An app on one host has its sidecar on the other: the sidecar reaches it by its
// address, and it reaches the sidecar at localhost, through a relay.
func TestHostsSatellite(t *testing.T) {
	apps, sidecars := twoHosts(t)
	dir := t.TempDir() // shared by the sidecars
	config := filepath.Join(dir, "config.yaml")
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("config.yaml", "kind: Configuration\nmetadata: {name: names}\nspec:\n  nameResolution:\n    component: sqlite\n    configuration: {connectionString: '"+filepath.Join(t.TempDir(), "names.db")+"'}\n")
	component := "kind: Component\nmetadata: {name: %s}\nspec: {type: state.in-memory, version: v1}\n"
	write("store.yaml", fmt.Sprintf(component, "first"))
	apps.app(apps.addr, "8080")
	flags := []string{"--dapr-listen-addresses", sidecars.addr, "--config", config, "--resources-path", dir}
	sidecars.sidecar(append(flags, "--app-id", "node", "--app-channel-address", apps.addr, "--app-port", "8080", "--dapr-http-port", "3600", "--dapr-grpc-port", "50101")...)
	caller := append(flags, "--app-id", "python", "--dapr-http-port", "3500", "--dapr-grpc-port", "50001")
	first := sidecars.sidecar(caller...)
	relayed := launchHere(t, exec.Command("ip", "netns", "exec", apps.name, meshBinary, "relay", sidecars.addr))
	await(t, "the relay", func() bool { return strings.Contains(relayed.String(), "127.0.0.1:50001 is "+sidecars.addr) })
	call := func() bool {
		return strings.HasPrefix(apps.fetch("http://localhost:3500/v1.0/invoke/node/method/who"), "200 "+apps.name)
	}
	await(t, "a call through both satellites", call)
	if got := apps.fetch("http://localhost:3500/v1.0/invoke/node/method/ticks?n=3"); got != "200 tick 0\ntick 1\ntick 2\n <nil>\n" {
		t.Errorf("a stream through relay and satellites: %s", got)
	}
	write("store.yaml", fmt.Sprintf(component, "second"))
	await(t, "the edited component", func() bool {
		return strings.Contains(apps.fetch("http://localhost:3500/v1.0/metadata"), `"name":"second"`)
	})
	_ = first.cmd.Process.Signal(os.Interrupt)
	first.end()
	sidecars.sidecar(caller...)
	await(t, "a call after the sidecar was started again", call)
}

// Interfaces that come up, go and change their address while sidecars run are
// followed by both.
func TestHostsInterfacesChange(t *testing.T) {
	a, b := twoHosts(t)
	link := strings.TrimSuffix(b.name, "b") + "y"
	ip(t, "-n", b.name, "link", "set", link, "down")
	b.app("127.0.0.1", "8080")
	a.sidecar("--app-id", "here", "--mdns-interface", "all", "--dapr-http-port", "3500")
	b.sidecar("--app-id", "there", "--app-port", "8080", "--mdns-interface", "all", "--dapr-http-port", "3500")
	call := func() bool {
		return strings.HasPrefix(a.fetch("http://127.0.0.1:3500/v1.0/invoke/there/method/who"), "200 "+b.name)
	}
	ready := func() bool { return strings.HasPrefix(b.fetch("http://127.0.0.1:3500/v1.0/healthz"), "204") }
	await(t, "the sidecar without a network", ready)
	if call() {
		t.Fatal("there is called without a network")
	}
	ip(t, "-n", b.name, "link", "set", link, "up")
	await(t, "a call once the interface is up", call)
	ip(t, "-n", b.name, "addr", "del", b.addr+"/24", "dev", link)
	ip(t, "-n", b.name, "addr", "add", "10.231.47.3/24", "dev", link)
	await(t, "a call at the new address", call)
}
