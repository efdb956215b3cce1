package export

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"mesh/supervisor/config"
)

// dapr gives the folder with the source of the version of Dapr in go.mod.
func dapr(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/dapr/dapr").Output()
	if err != nil {
		t.Fatalf("finding the source of Dapr: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// schemas gives what Dapr's resource definitions demand, by "version kind".
func schemas(t *testing.T) map[string]map[string]any {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dapr(t), "charts/dapr/crds/*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("Dapr has no resource definitions: %v", err)
	}
	all := map[string]map[string]any{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var crd struct {
			Spec struct {
				Group string
				Names struct{ Kind string }

				Versions []struct {
					Name   string
					Schema struct {
						Schema map[string]any `yaml:"openAPIV3Schema"`
					}
				}
			}
		}
		if err := yaml.Unmarshal(text, &crd); err != nil {
			t.Fatal(err)
		}
		for _, v := range crd.Spec.Versions {
			all[crd.Spec.Group+"/"+v.Name+" "+crd.Spec.Names.Kind] = v.Schema.Schema
		}
	}
	return all
}

// documents gives the YAML documents of a text.
func documents(t *testing.T, text []byte) (docs []map[string]any) {
	t.Helper()
	d := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var doc map[string]any
		err := d.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return docs
		}
		if err != nil {
			t.Fatalf("reading what was exported: %v\n%s", err, text)
		}
		docs = append(docs, doc)
	}
}

// conforms says how a value differs from a schema of OpenAPI; "" when it fits. A
// field that the schema does not have is a difference.
func conforms(schema map[string]any, v any, at string) string {
	if schema["x-kubernetes-preserve-unknown-fields"] == true {
		return ""
	}
	kinds := map[string]bool{}
	switch v := v.(type) {
	case string:
		kinds["string"] = true
	case bool:
		kinds["boolean"] = true
	case int:
		kinds["integer"], kinds["number"] = true, true
	case float64:
		kinds["number"] = true
	case []any:
		kinds["array"] = true
		items, _ := schema["items"].(map[string]any)
		for i, item := range v {
			if why := conforms(items, item, fmt.Sprintf("%s[%d]", at, i)); why != "" {
				return why
			}
		}
	case map[string]any:
		kinds["object"] = true
		properties, closed := schema["properties"].(map[string]any)
		others, _ := schema["additionalProperties"].(map[string]any)
		for key, item := range v {
			known, ok := properties[key].(map[string]any)
			if !ok && others != nil {
				known, ok = others, true
			}
			if !ok && closed {
				return at + "." + key + " is not known"
			}
			if why := conforms(known, item, at+"."+key); why != "" {
				return why
			}
		}
		required, _ := schema["required"].([]any)
		for _, key := range required {
			if _, ok := v[fmt.Sprint(key)]; !ok {
				return fmt.Sprintf("%s.%s is missing", at, key)
			}
		}
	}
	if want, ok := schema["type"].(string); ok && !kinds[want] {
		return fmt.Sprintf("%s is %v, no %s", at, v, want)
	}
	return ""
}

// TestResources: every resource fits the definition that Dapr installs in a
// cluster.
func TestResources(t *testing.T) {
	dir, _, _ := unpack(t, "testdata/shop.txtar")
	definitions := schemas(t)
	seen := map[string]int{}
	for name, text := range everything(t, load(t, dir)) {
		if !strings.Contains(name, "/") {
			continue
		}
		for _, doc := range documents(t, text) {
			version, _ := doc["apiVersion"].(string)
			if !strings.HasPrefix(version, "dapr.io/") {
				continue
			}
			kind := fmt.Sprintf("%s %s", version, doc["kind"])
			seen[kind]++
			schema := definitions[kind]
			if schema == nil {
				t.Errorf("%s has a %s, which Dapr does not know", name, kind)
				continue
			}
			if why := conforms(schema, doc, kind); why != "" {
				t.Errorf("%s does not fit Dapr's definition: %s\n%s", name, why, text)
			}
		}
	}
	for _, kind := range []string{"dapr.io/v1alpha1 Component", "dapr.io/v2alpha1 Subscription", "dapr.io/v1alpha1 Resiliency"} {
		if seen[kind] == 0 {
			t.Errorf("there is no %s", kind)
		}
	}
}

// TestConforms: the check of the definitions finds what is wrong.
func TestConforms(t *testing.T) {
	schema := schemas(t)["dapr.io/v1alpha1 Component"]
	for text, want := range map[string]string{
		"spec: {type: a, version: v1, metadata: []}":               "",
		"spec: {type: a, version: v1}":                             "metadata is missing",
		"spec: {type: 1, version: v1, metadata: []}":               "no string",
		"spec: {type: a, version: v1, metadata: [], odd: 1}":       "odd is not known",
		"spec: {type: a, version: v1, metadata: [{value: x}]}":     "name is missing",
		"{spec: {type: a, version: v1, metadata: []}, scopes: yy}": "no array",
	} {
		if got := conforms(schema, documents(t, []byte(text))[0], ""); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("of %q it says %q, want %q", text, got, want)
		}
	}
}

// TestAnnotations: Dapr's injector knows every annotation, and a workload's
// selector finds its pods.
func TestAnnotations(t *testing.T) {
	source, err := os.ReadFile(filepath.Join(dapr(t), "pkg/injector/annotations/annotations.go"))
	if err != nil {
		t.Fatal(err)
	}
	dir, _, _ := unpack(t, "testdata/shop.txtar")
	r, err := Kubernetes(Options{Mesh: load(t, dir), Out: filepath.Join(dir, "k")})
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, f := range r.Files {
		for _, doc := range documents(t, f.Data) {
			kinds[fmt.Sprint(doc["kind"])]++
			spec, _ := doc["spec"].(map[string]any)
			template, ok := spec["template"].(map[string]any)
			if !ok {
				continue
			}
			meta, _ := template["metadata"].(map[string]any)
			annotations, _ := meta["annotations"].(map[string]any)
			for key, value := range annotations {
				if !bytes.Contains(source, []byte(`"`+key+`"`)) {
					t.Errorf("%s has the annotation %s, which Dapr does not know", f.Name, key)
				}
				if _, ok := value.(string); !ok {
					t.Errorf("%s: the annotation %s is %T, no string", f.Name, key, value)
				}
			}
			if selector, ok := spec["selector"].(map[string]any); ok {
				match, _ := selector["matchLabels"].(map[string]any)
				if labels, _ := meta["labels"].(map[string]any); len(match) == 0 || !maps.Equal(match, labels) {
					t.Errorf("%s: the selector %v does not match the labels %v", f.Name, selector, labels)
				}
			}
		}
	}
	if kinds["Deployment"] != 2 || kinds["Service"] != 2 || kinds["Job"] != 1 {
		t.Errorf("there are %v, want two Deployments, two Services and a Job", kinds)
	}
}

// TestFlags: daprd knows every flag that the compose file starts it with.
func TestFlags(t *testing.T) {
	source, err := os.ReadFile(filepath.Join(dapr(t), "cmd/daprd/options/options.go"))
	if err != nil {
		t.Fatal(err)
	}
	dir, _, _ := unpack(t, "testdata/shop.txtar")
	text := everything(t, load(t, dir))["compose/compose.yaml"]
	var file struct {
		Services map[string]struct {
			Command []string
			Mode    string `yaml:"network_mode"`
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	flags := 0
	for name, s := range file.Services {
		app, isSidecar := strings.CutSuffix(name, "-dapr")
		if isSidecar && s.Mode != "service:"+app {
			t.Errorf("%s is in the network %q, not in that of %s", name, s.Mode, app)
		}
		for _, word := range s.Command {
			if flag, ok := strings.CutPrefix(word, "--"); ok && isSidecar {
				flags++
				if !bytes.Contains(source, []byte(`, "`+flag+`",`)) {
					t.Errorf("%s has the flag %s, which daprd does not know", name, word)
				}
			}
		}
	}
	if flags < 10 {
		t.Errorf("there are only %d flags", flags)
	}
}

// daprRunFile has the fields that the dapr CLI reads from a dapr.yaml.
type daprRunFile struct {
	Version int
	Name    string
	Common  daprShared
	Apps    []struct {
		AppDirPath   string            `yaml:"appDirPath"`
		AppID        string            `yaml:"appID"`
		AppPort      int               `yaml:"appPort"`
		DaprHTTPPort int               `yaml:"daprHTTPPort"`
		DaprGRPCPort int               `yaml:"daprGRPCPort"`
		Command      []string          `yaml:"command"`
		Env          map[string]string `yaml:"env"`
		Shared       daprShared        `yaml:",inline"`
	}
}

type daprShared struct {
	AppProtocol            string   `yaml:"appProtocol"`
	AppMaxConcurrency      int      `yaml:"appMaxConcurrency"`
	ResourcesPaths         []string `yaml:"resourcesPaths"`
	MaxBodySize            string   `yaml:"maxBodySize"`
	ReadBufferSize         string   `yaml:"readBufferSize"`
	EnableAppHealthCheck   bool     `yaml:"enableAppHealthCheck"`
	AppHealthCheckPath     string   `yaml:"appHealthCheckPath"`
	AppHealthProbeInterval int      `yaml:"appHealthProbeInterval"`
	AppHealthProbeTimeout  int      `yaml:"appHealthProbeTimeout"`
	AppHealthThreshold     int      `yaml:"appHealthThreshold"`
}

// TestRunFile: a dapr.yaml has fields of Dapr only, and its folders are there.
func TestRunFile(t *testing.T) {
	dir, _, _ := unpack(t, "testdata/shop.txtar")
	out := filepath.Join(dir, "deep", "dapr")
	r, err := Dapr(Options{Mesh: load(t, dir), Out: out})
	if err != nil {
		t.Fatal(err)
	}
	save(t, out, r)
	text, err := os.ReadFile(filepath.Join(out, "dapr.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file daprRunFile
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil {
		t.Fatalf("Dapr would not take it: %v\n%s", err, text)
	}
	started := map[string]bool{}
	for _, a := range file.Apps {
		appDir := filepath.Join(out, a.AppDirPath)
		paths := []string{appDir}
		for _, p := range file.Common.ResourcesPaths {
			paths = append(paths, filepath.Join(out, p))
		}
		for _, p := range a.Shared.ResourcesPaths {
			paths = append(paths, filepath.Join(appDir, p))
		}
		for _, p := range paths {
			if info, err := os.Stat(p); err != nil || !info.IsDir() {
				t.Errorf("%s names %s, which is no folder", a.AppID, p)
			}
		}
		started[a.AppID] = true
		if a.AppID == "orders" && (!started["inventory"] || !started["migrate"]) {
			t.Error("orders is started before what it depends on")
		}
	}
}

func save(t *testing.T, out string, r *Result) {
	t.Helper()
	for _, f := range r.Files {
		write(t, filepath.Join(out, f.Name), f.Data)
	}
}

// TestEveryKey: each key that an app can have is exported, or there is a reason
// why it is not.
func TestEveryKey(t *testing.T) {
	var schema struct {
		Properties struct {
			Apps struct {
				Each struct{ Properties map[string]any } `json:"additionalProperties"`
			}
		}
	}
	if err := json.Unmarshal(config.Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	keys := slices.Sorted(maps.Keys(schema.Properties.Apps.Each.Properties))
	if len(keys) < 20 {
		t.Fatalf("the schema has only %v", keys)
	}
	carried := "command dir port protocol env health max_concurrency max_body header_limit instances "
	for format, c := range map[string]struct {
		carried string
		lost    map[string]string
	}{
		"dapr":       {carried + "sidecar", daprLost()},
		"kubernetes": {carried + "ready live restart stop pty app_token", kubernetesLost()},
		"compose":    {carried + "sidecar env_file depends_on ready restart stop pty app_token", composeLost()},
	} {
		for _, key := range keys {
			_, lost := c.lost[key]
			if kept := slices.Contains(strings.Fields(c.carried), key); kept == lost {
				t.Errorf("%s: the key %s is exported: %t, is said to be lost: %t", format, key, kept, lost)
			}
		}
		for key := range c.lost {
			if !slices.Contains(keys, key) {
				t.Errorf("%s: there is no key %s", format, key)
			}
		}
	}
}

// TestTemporaryPaths: exported files do not name folders of this machine.
func TestTemporaryPaths(t *testing.T) {
	dir, _, _ := unpack(t, "testdata/shop.txtar")
	for name, text := range everything(t, load(t, dir)) {
		if m := regexp.MustCompile(regexp.QuoteMeta(dir) + `\S*`).Find(text); m != nil {
			t.Errorf("%s names %s", name, m)
		}
	}
}
