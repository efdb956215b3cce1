package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mesh/latency"
	"mesh/supervisor/state"
)

func TestBenchTargets(t *testing.T) {
	m := &state.Mesh{Apps: []state.App{
		{ID: "caller", Instances: []state.Instance{{Name: "caller", HTTPPort: 3501}}},
		{ID: "orders", Instances: []state.Instance{{Name: "orders", AppPort: 8080, HTTPPort: 3500}}},
	}}
	got, err := benchTargets(m, "", "/items?n=1")
	if err != nil || len(got) != 3 {
		t.Fatalf("%v, %v", got, err)
	}
	for i, want := range []target{
		{"healthz of the sidecar", "http://127.0.0.1:3500/v1.0/healthz"},
		{"orders through its sidecar", "http://127.0.0.1:3500/v1.0/invoke/orders/method/items?n=1"},
		{"caller ▸ orders", "http://127.0.0.1:3501/v1.0/invoke/orders/method/items?n=1"},
	} {
		if got[i] != want {
			t.Errorf("target %d is %v, want %v", i, got[i], want)
		}
	}
	if _, err := benchTargets(m, "ordres", ""); err == nil || !strings.Contains(err.Error(), "ordres") {
		t.Errorf("a misspelt app gives %v", err)
	}
	if _, err := benchTargets(&state.Mesh{}, "", ""); err == nil {
		t.Error("a mesh without apps can be measured")
	}
}

func TestBenchShowsFiles(t *testing.T) {
	dir := t.TempDir()
	ab := "starttime\tseconds\tctime\tdtime\tttime\twait\nx\t1\t0\t2\t2\t1\nx\t2\t0\t4\t4\t3\n"
	if err := os.WriteFile(filepath.Join(dir, "old.ab"), []byte(ab), 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	env := Env{Stdout: &out, Stderr: &out, Dir: dir, project: &project{}}
	f := benchFlags{concurrency: 1, with: []string{"old.ab"}, csv: "new.csv", svg: "new.svg", png: "new.png"}
	if err := bench(t.Context(), env, f, ""); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "old.ab") || !strings.Contains(out.String(), "3.00ms") {
		t.Errorf("printed\n%s", out.String())
	}
	for name, begin := range map[string]string{"new.csv": "target,", "new.svg": "<svg", "new.png": "\x89PNG"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !strings.HasPrefix(string(text), begin) {
			t.Errorf("%s: %.20q, %v", name, text, err)
		}
	}
	if strings.Contains(out.String(), "refusal") {
		t.Errorf("a file without statuses is taken for refusals:\n%s", out.String())
	}
	f.with = nil
	if err := bench(t.Context(), env, f, ""); err == nil {
		t.Error("nothing to show is no error")
	}
}

// Figures of a 404 look good, and say nothing of the app.
func TestBenchPointsOutRefusals(t *testing.T) {
	s := &latency.Series{Name: "web ▸ orders", Samples: []latency.Sample{{Status: 404}, {Status: 404}, {Status: 200}}}
	got := refusal(s, "/new")
	for _, want := range []string{"web ▸ orders", "2 of 3", "200 × 1, 404 × 2", "GET /new", "--path"} {
		if !strings.Contains(got, want) {
			t.Errorf("it says %q, which lacks %q", got, want)
		}
	}
	for _, status := range []int{0, 204, 302} {
		if got := refusal(&latency.Series{Samples: []latency.Sample{{Status: status}}}, ""); got != "" {
			t.Errorf("a %d is pointed out: %s", status, got)
		}
	}
}
