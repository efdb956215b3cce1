package supervisor

import (
	"slices"
	"strings"
	"testing"

	"mesh/supervisor/config"
)

func TestChildEnv(t *testing.T) {
	m := &config.Mesh{Env: []string{"FROM=mesh file", "LEVEL=info"}}
	a := &config.App{
		ID: "orders", Protocol: "http",
		FileEnv: []string{"LEVEL=debug", "DAPR_HTTP_PORT=1"},
		Env:     map[string]string{"LEVEL": "trace"},
	}
	at := place{instance: "orders-2", index: 2, app: 4000, http: 3500, grpc: 50001}
	got := childEnv([]string{"PATH=/bin", "APP_PORT=9"}, m, a, at, tokens{api: "secret", app: "mine"}, map[string]int{"stock-keeper": 4100})

	for _, want := range []string{
		"PATH=/bin", "FROM=mesh file", "APP_ID=orders", "APP_PORT=4000", "APP_PROTOCOL=http",
		"APP_CHANNEL_ADDRESS=127.0.0.1", "DAPR_GRPC_PORT=50001", "DAPR_API_TOKEN=secret", "APP_API_TOKEN=mine",
		"MESH_INSTANCE=orders-2", "MESH_STOCK_KEEPER_PORT=4100",
		"LEVEL=trace",      // the app's own env wins over its file, which wins over the mesh's
		"DAPR_HTTP_PORT=1", // what the user sets, he means
	} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is missing in\n%s", want, strings.Join(got, "\n"))
		}
	}
	names := map[string]bool{}
	for _, kv := range got {
		k, _, _ := strings.Cut(kv, "=")
		if names[k] {
			t.Errorf("%s is set twice", k)
		}
		names[k] = true
	}
}

func TestChildEnvWithoutPort(t *testing.T) {
	got := childEnv([]string{"APP_PORT=9"}, &config.Mesh{}, &config.App{ID: "w"}, place{http: 1, grpc: 2}, tokens{}, nil)
	for _, kv := range got {
		if strings.HasPrefix(kv, "APP_PORT=") || strings.HasPrefix(kv, "DAPR_API_TOKEN=") {
			t.Errorf("an app without port and token is given %s", kv)
		}
	}
}
