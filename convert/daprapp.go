package convert

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Variables that carry tokens.
const (
	apiTokenVar = "DAPR_API_TOKEN" //nolint:gosec // a name
	appTokenVar = "APP_API_TOKEN"  //nolint:gosec // a name
)

// convert fills the table of an app.
func (d *daprFile) convert(a *daprApp) {
	if command := d.command(a); command != nil {
		d.put(a, "command", command, a.own["command"])
	}
	if dir := below(d.out, a.dir); dir != "." {
		d.put(a, "dir", plain(dir), a.own["appDirPath"])
	}
	d.channel(a)
	if host := d.text(a.own["appChannelAddress"], "appChannelAddress"); host != "" && host != "127.0.0.1" && host != "localhost" && host != "::1" {
		d.note(a.own["appChannelAddress"], "appChannelAddress has no meaning: apps listen on this machine")
	}
	var ports []Entry
	for _, p := range [][2]string{{"daprHTTPPort", "http_port"}, {"daprGRPCPort", "grpc_port"}} {
		if port := d.integer(a.own[p[0]], p[0]); port > 0 {
			ports = append(ports, Entry{Key: p[1], Value: port})
			d.source["apps."+a.id+".sidecar."+p[1]] = a.own[p[0]]
		}
	}
	if len(ports) > 0 {
		a.app.add("sidecar", ports, "")
	}
	if n := d.integer(a.get("appMaxConcurrency"), "appMaxConcurrency"); n > 0 {
		d.put(a, "max_concurrency", n, a.get("appMaxConcurrency"))
	}
	d.size(a, "maxBodySize", "max_body")
	d.size(a, "readBufferSize", "header_limit")
	d.health(a)
	d.env(a)
	d.folderList(a)
}

// command gives the command: a line when the program is the shell with a line.
func (d *daprFile) command(a *daprApp) any {
	n := a.own["command"]
	if v := follow(n); v != nil && v.Kind == yaml.ScalarNode && !empty(v) {
		d.fail(n, "command must be a list", "say command: "+show(strings.Fields(v.Value), 0))
		return nil
	}
	argv := d.texts(n, "command")
	switch {
	case len(argv) == 0:
		return nil
	case argv[0] == "":
		d.fail(n, "command names no program", "")
		return nil
	case len(argv) == 3 && argv[0] == "sh" && argv[1] == "-c" && strings.TrimSpace(argv[2]) != "":
		return argv[2] // the shell expands, mesh does not
	}
	return plains(argv)
}

// channel is the app's port and what it speaks there.
func (d *daprFile) channel(a *daprApp) {
	at := a.own["appPort"]
	port := d.integer(at, "appPort")
	if port > 0 {
		d.put(a, "port", port, at)
	}
	protocol := strings.ToLower(d.text(a.get("appProtocol"), "appProtocol"))
	if d.truth(a.get("appSSL"), "appSSL") {
		secure := map[string]string{"": "https", "http": "https", "grpc": "grpcs"}
		if p := secure[protocol]; p != "" {
			protocol = p
		}
	}
	from := a.get("appProtocol")
	if zero(from) {
		from = a.get("appSSL")
	}
	switch {
	case protocol == "" || protocol == "http":
	case port <= 0:
		if !zero(a.own["appProtocol"]) {
			d.note(a.own["appProtocol"], "appProtocol has no meaning: %s has no appPort", a.id)
		}
	default:
		d.put(a, "protocol", plain(protocol), from)
	}
}

// size takes a size such as 4Mi over.
func (d *daprFile) size(a *daprApp, key, to string) {
	n := a.get(key)
	text := d.text(n, key)
	if text == "" {
		return
	}
	if !regexp.MustCompile(`^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|k|K|M|G)?$`).MatchString(text) {
		d.fail(n, fmt.Sprintf("%s must be a size such as 4Mi, not %q", key, text), "")
		return
	}
	d.put(a, to, text+"B", n)
}

// health is the app health check.
func (d *daprFile) health(a *daprApp) {
	on := d.truth(a.get("enableAppHealthCheck"), "enableAppHealthCheck")
	var check []Entry
	if path := d.text(a.get("appHealthCheckPath"), "appHealthCheckPath"); path != "" {
		check = append(check, Entry{Key: "path", Value: plain(path)})
	}
	if n := d.integer(a.get("appHealthProbeInterval"), "appHealthProbeInterval"); n > 0 {
		check = append(check, Entry{Key: "interval", Value: fmt.Sprintf("%ds", n)})
	}
	if n := d.integer(a.get("appHealthProbeTimeout"), "appHealthProbeTimeout"); n > 0 {
		check = append(check, Entry{Key: "timeout", Value: fmt.Sprintf("%dms", n)})
	}
	if n := d.integer(a.get("appHealthThreshold"), "appHealthThreshold"); n > 0 {
		check = append(check, Entry{Key: "threshold", Value: n})
	}
	switch {
	case on && a.app.find("port") == nil:
		if !zero(a.own["enableAppHealthCheck"]) {
			d.note(a.own["enableAppHealthCheck"], "enableAppHealthCheck has no meaning: %s has no appPort", a.id)
		}
	case on && len(check) == 0:
		d.put(a, "health", []Entry{{Key: "path", Value: "/healthz"}}, a.get("enableAppHealthCheck"))
	case on:
		d.put(a, "health", check, a.get("enableAppHealthCheck"))
	default:
		for _, key := range []string{"appHealthCheckPath", "appHealthProbeInterval", "appHealthProbeTimeout", "appHealthThreshold"} {
			if n := a.own[key]; !zero(n) {
				d.note(n, "%s has no meaning: enableAppHealthCheck is not set", key)
			}
		}
	}
}

// env is the environment: what common says, and what the app says, which wins.
func (d *daprFile) env(a *daprApp) {
	vars := map[string]string{}
	var from *yaml.Node
	for _, n := range []*yaml.Node{a.common["env"], a.own["env"]} {
		for _, p := range d.pairs(n, "env") {
			vars[p.key.Value] = plain(d.text(p.value, "a value of env"))
			from = n
			d.source["apps."+a.id+".env."+p.key.Value] = p.key
		}
	}
	if token := vars[appTokenVar]; token != "" {
		delete(vars, appTokenVar)
		d.put(a, "app_token", token, from)
	}
	if len(vars) > 0 {
		d.put(a, "env", vars, from)
	}
}

// tokens moves the token of the API out of the environments when all apps have
// the same one.
func (d *daprFile) tokens(draft *Draft, common map[string]*yaml.Node) {
	token := ""
	for i, a := range draft.Apps {
		var vars map[string]string
		if e := a.find("env"); e != nil {
			vars, _ = e.Value.(map[string]string)
		}
		if i == 0 {
			token = vars[apiTokenVar]
		}
		if vars[apiTokenVar] != token {
			return
		}
	}
	if token == "" {
		return
	}
	draft.Mesh = append(draft.Mesh, Entry{Key: "api_token", Value: token})
	d.source["mesh.api_token"] = common["env"]
	for i := range draft.Apps {
		a := &draft.Apps[i]
		vars, _ := a.find("env").Value.(map[string]string)
		vars = maps.Clone(vars)
		delete(vars, apiTokenVar)
		a.find("env").Value = vars
		if len(vars) == 0 {
			a.Entries = slices.DeleteFunc(a.Entries, func(e Entry) bool { return e.Key == "env" })
		}
	}
}

// folderList finds the folders with the app's resources, in Dapr's order: its
// own, .dapr/resources in its folder, those of common.
func (d *daprFile) folderList(a *daprApp) {
	list := func(values map[string]*yaml.Node, base string) (folders []string) {
		for _, item := range d.items(values["resourcesPaths"], "resourcesPaths") {
			folders = append(folders, d.path(item, base, d.text(item, "an entry of resourcesPaths")))
		}
		if n := values["resourcesPath"]; !zero(n) {
			folders = append(folders, d.path(n, base, d.text(n, "resourcesPath")))
		}
		return folders
	}
	standard := filepath.Join(a.dir, ".dapr", "resources")
	if a.folders = list(a.own, a.dir); len(a.folders) > 0 {
		return
	}
	if exists(standard) {
		a.folders = []string{standard}
		return
	}
	if a.folders = list(a.common, d.dir); len(a.folders) > 0 {
		return
	}
	if standard = filepath.Join(d.home, ".dapr", "components"); d.home != "" && exists(standard) {
		d.note(a.node, "to Dapr %s sees ~/.dapr/components, here it does not: add it to resources, or use the store and the broker of mesh", a.id)
	}
}

// nearest gives the known key that was likely meant, "" when none is near.
func nearest(key string, known []string) string {
	best, least := "", 3
	for _, k := range known {
		if strings.EqualFold(k, key) {
			return k
		}
		if far := distance(strings.ToLower(k), strings.ToLower(key)); far < least && far < len(k)/2 {
			best, least = k, far
		}
	}
	return best
}

// distance counts the letters to insert, drop or change to get from a to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
