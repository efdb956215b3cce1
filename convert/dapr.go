package convert

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"mesh/runtime/resource"
	"mesh/supervisor/config"
)

// Options say where things are.
type Options struct {
	File string // the file that is read
	Name string // how it is shown; "": File
	Out  string // the mesh.toml that the draft is for: its paths are relative to that folder
	Home string // what ~ stands for
}

// Dapr turns a dapr.yaml into a draft. Mistakes in it come as config.Errors,
// each with its line in the dapr.yaml.
func Dapr(o Options) (*Result, error) {
	text, err := readSmall(o.File)
	if err != nil {
		return nil, fmt.Errorf("reading the run file: %w", err)
	}
	if o.Name == "" {
		o.Name = o.File
	}
	d := &daprFile{
		yamlFile: readYAML(o.Name, text),
		dir:      filepath.Dir(o.File), out: filepath.Dir(o.Out), home: o.Home,
		source: map[string]*yaml.Node{},
	}
	r := d.read()
	if len(d.errs) > 0 {
		return nil, d.errs
	}
	err = r.check(o.Out, func(key string) (config.Error, bool) {
		n := d.source[key]
		if n == nil {
			return config.Error{}, false
		}
		return d.at(n.Line, n.Column), true
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// daprFile is a dapr.yaml that is being read.
type daprFile struct {
	*yamlFile

	dir, out, home string
	source         map[string]*yaml.Node // where the keys of the draft come from
	folders        []string              // of resources, in the order they are met
}

// daprApp is one entry of apps with what common adds.
type daprApp struct {
	node    *yaml.Node
	id, dir string
	own     map[string]*yaml.Node
	common  map[string]*yaml.Node
	folders []string
	app     App
}

// get gives the value that counts: as in Dapr, an app's zero value is none.
func (a *daprApp) get(key string) *yaml.Node {
	if n := a.own[key]; !zero(n) || !slices.Contains(sharedKeys(), key) {
		return n
	}
	return a.common[key]
}

// The keys of a dapr.yaml that may stand below common as well as below an app.
func sharedKeys() []string {
	return []string{
		"configFilePath", "appProtocol", "apiListenAddresses", "enableProfiling", "logLevel", "appMaxConcurrency",
		"placementHostAddress", "schedulerHostAddress", "resourcesPath", "resourcesPaths", "appSSL", "maxBodySize",
		"readBufferSize", "enableAppHealthCheck", "appHealthCheckPath", "appHealthProbeInterval", "appHealthProbeTimeout",
		"appHealthThreshold", "enableApiLogging", "runtimePath", "env", "daprdLogDestination", "appLogDestination",
	}
}

// The keys that may stand below an app only.
func ownKeys() []string {
	return []string{
		"appDirPath", "appID", "appPort", "appChannelAddress", "daprHTTPPort", "daprGRPCPort", "daprInternalGRPCPort",
		"profilePort", "metricsPort", "command", "unixDomainSocket", "containerImage", "containerImagePullPolicy", "createService",
	}
}

// meaningless says why a key that Dapr knows has no counterpart.
func meaningless() map[string]string {
	return map[string]string{
		"apiListenAddresses":       "sidecars serve their API on this machine only",
		"enableProfiling":          "sidecars have no server for profiles",
		"profilePort":              "sidecars have no server for profiles",
		"logLevel":                 "what sidecars have to say is in .mesh/logs/mesh.log",
		"placementHostAddress":     "mesh needs no placement service",
		"schedulerHostAddress":     "mesh needs no scheduler service",
		"enableApiLogging":         "`mesh tap` shows every call",
		"runtimePath":              "mesh is the sidecars: there is no daprd",
		"daprdLogDestination":      "there is no daprd; logs are on the screen and in .mesh/logs",
		"appLogDestination":        "what apps print is on the screen and in .mesh/logs",
		"daprInternalGRPCPort":     "sidecars find each other by name, on ports that are picked",
		"metricsPort":              "the port is picked",
		"unixDomainSocket":         "sidecars serve their API on TCP ports",
		"containerImage":           "apps run as processes; `mesh export kubernetes` writes manifests",
		"containerImagePullPolicy": "apps run as processes; `mesh export kubernetes` writes manifests",
		"createService":            "apps run as processes; `mesh export kubernetes` writes manifests",
	}
}

// keys gives the values of a mapping by key. A misspelt key is a mistake; one
// that nobody knows is remarked.
func (d *daprFile) keys(n *yaml.Node, what string, known []string) map[string]*yaml.Node {
	all := map[string]*yaml.Node{}
	for _, p := range d.pairs(n, what) {
		key := p.key.Value
		if !slices.Contains(known, key) {
			if near := nearest(key, known); near != "" {
				d.fail(p.key, fmt.Sprintf("unknown key %q", key), fmt.Sprintf("did you mean %s?", near))
			} else {
				d.note(p.key, "%s has no meaning, to Dapr neither", key)
			}
			continue
		}
		if why := meaningless()[key]; why != "" && !empty(p.value) {
			d.note(p.key, "%s has no meaning: %s", key, why)
		}
		all[key] = p.value
	}
	return all
}

func (d *daprFile) read() *Result {
	r := &Result{Draft: &Draft{Head: []string{"Made from " + filepath.Base(d.name) + "."}}}
	if d.root == nil && len(d.errs) == 0 {
		d.failAt(1, 1, "the file is empty", "")
	}
	if len(d.errs) > 0 {
		return r
	}
	top := d.keys(d.root, "a run file", []string{"version", "name", "common", "apps"})
	if len(d.errs) > 0 && d.root.Kind != yaml.MappingNode {
		return r
	}
	switch {
	case zero(top["version"]):
		d.fail(d.root, "version is missing", "say version: 1")
	case d.integer(top["version"], "version") != 1:
		d.fail(top["version"], "version must be 1", "")
	}
	r.Draft.Name = d.text(top["name"], "name")
	if !zero(top["name"]) {
		d.source["name"] = top["name"]
	}
	common := d.keys(top["common"], "common", sharedKeys())
	known := slices.Concat(ownKeys(), sharedKeys())
	var apps []*daprApp
	for i, n := range d.items(top["apps"], "apps") {
		a := &daprApp{node: n, own: d.keys(n, fmt.Sprintf("entry %d of apps", i+1), known), common: common}
		if follow(n).Kind == yaml.MappingNode && d.identify(a, apps) {
			apps = append(apps, a)
		}
	}
	if len(apps) == 0 && len(d.errs) == 0 {
		d.fail(d.root, "there are no apps", "say apps: and a list, each entry with appDirPath and command")
	}
	for _, a := range apps {
		d.convert(a)
		r.Draft.Apps = append(r.Draft.Apps, a.app)
	}
	d.tokens(r.Draft, common)
	d.resources(r.Draft, apps)
	d.source["apps"] = top["apps"]
	r.Found = []string{fmt.Sprintf("%s: %s", d.name, count(len(apps), "app"))}
	r.Notes = d.sorted()
	return r
}

// identify finds the folder and the id of an app.
func (d *daprFile) identify(a *daprApp, others []*daprApp) bool {
	path := d.text(a.own["appDirPath"], "appDirPath")
	if path == "" {
		d.fail(a.node, "appDirPath is missing", "say appDirPath: and the folder of the app")
		return false
	}
	a.dir = d.path(a.own["appDirPath"], d.dir, path)
	at := a.own["appID"]
	if a.id = d.text(at, "appID"); a.id == "" {
		a.id, at = filepath.Base(a.dir), a.own["appDirPath"]
	}
	if appID(a.id) != a.id || a.id == "" {
		hint := "ids have letters, digits, - and _"
		if likely := appID(a.id); likely != "" {
			hint = "say appID: " + likely
		}
		d.fail(at, fmt.Sprintf("%q is no id for an app", a.id), hint)
		return false
	}
	for _, other := range others {
		if other.id == a.id {
			d.fail(at, fmt.Sprintf("there is a second app with the id %s, the first is on line %d", a.id, other.node.Line),
				"give it an id of its own; for more instances of one app, keep one here and say instances = 2 in mesh.toml")
			return false
		}
	}
	a.app.ID = a.id
	d.source["apps."+a.id] = at
	return true
}

// path makes a path absolute, and demands that it exists, as Dapr does.
func (d *daprFile) path(n *yaml.Node, base, path string) string {
	if rest, ok := strings.CutPrefix(path, "~"); ok && (rest == "" || rest[0] == '/') && d.home != "" {
		path = filepath.Join(d.home, rest)
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(base, path)
	}
	if _, err := os.Stat(path); err != nil {
		d.fail(n, below(d.dir, path)+" does not exist", "paths of an app start at its appDirPath, those of common at the folder of this file")
	}
	return path
}

// put gives the app a key and remembers where it comes from.
func (d *daprFile) put(a *daprApp, key string, value any, from *yaml.Node) {
	a.app.add(key, value, "")
	d.source["apps."+a.id+"."+key] = from
}

// resources finds the folders of resources. Dapr has them for each app; here
// they are those of the mesh.
func (d *daprFile) resources(draft *Draft, apps []*daprApp) {
	for _, a := range apps {
		for _, folder := range a.folders {
			if !slices.Contains(d.folders, folder) {
				d.folders = append(d.folders, folder)
			}
		}
	}
	for _, a := range apps {
		var unseen []string
		for _, folder := range d.folders {
			if !slices.Contains(a.folders, folder) && len(a.folders) > 0 {
				unseen = append(unseen, below(d.dir, folder))
			}
		}
		if len(unseen) > 0 {
			d.note(a.node, "to Dapr %s does not see %s, here it does: resources belong to the mesh; scopes in their files narrow them", a.id, strings.Join(unseen, ", "))
		}
	}
	for _, a := range apps {
		d.configuration(a)
	}
	if _, err := resource.Load(d.folders...); err != nil {
		for _, e := range err.(resource.Errors) { //nolint:errorlint,errcheck // Load says that it gives these
			text := strings.ReplaceAll(strings.TrimSuffix(e.Msg+"; "+e.Hint, "; "), d.dir+string(filepath.Separator), "")
			d.notes = append(d.notes, Note{File: below(d.dir, e.Place.File), Line: e.Place.Line, Text: text})
		}
	}
	list := make([]string, 0, len(d.folders))
	for _, folder := range d.folders {
		list = append(list, plain(below(d.out, folder)))
	}
	_, err := os.Stat(filepath.Join(d.out, "components"))
	if len(list) > 0 || err == nil { // a folder named components would be read otherwise
		draft.Mesh = append(draft.Mesh, Entry{Key: "resources", Value: list})
	}
}

// configuration sees to the Configuration of an app: it counts when it lies in a
// folder of resources.
func (d *daprFile) configuration(a *daprApp) {
	file, at := filepath.Join(a.dir, ".dapr", "config.yaml"), a.node
	switch own, common := a.own["configFilePath"], a.common["configFilePath"]; {
	case !zero(own):
		file, at = d.path(own, a.dir, d.text(own, "configFilePath")), own
	case exists(file):
	case !zero(common):
		file, at = d.path(common, d.dir, d.text(common, "configFilePath")), common
	default:
		return
	}
	folder := filepath.Dir(file)
	if slices.Contains(d.folders, folder) {
		return
	}
	found, err := resource.Load(folder)
	if err == nil && len(found.Configurations) > 0 {
		d.folders = append(d.folders, folder)
		return
	}
	d.note(at, "%s is not read: copy it into one of the folders of resources", below(d.dir, file))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// count gives "1 app", "2 apps".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
