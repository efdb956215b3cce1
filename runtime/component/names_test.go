package component

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mesh/runtime/component/consultest"
)

// agent is a stand-in for an agent of Consul at an address.
type agent struct {
	*consultest.Agent
	addr string
}

func newAgent(t *testing.T) *agent {
	t.Helper()
	a := &agent{Agent: consultest.New()}
	srv := httptest.NewServer(a)
	t.Cleanup(srv.Close)
	a.addr = srv.Listener.Addr().String()
	return a
}

// config is a configuration as YAML gives it, with the agent as its client.
func (a *agent) config(more map[string]any) map[string]any {
	c := map[string]any{"client": map[string]any{"address": a.addr}}
	maps.Copy(c, more)
	return c
}

func resolver(t *testing.T, kind string, config any, appID string, port int) *Names {
	t.Helper()
	n, err := NewNames(t.Context(), NamesOptions{
		Type: kind, Config: config, AppID: appID, Host: "127.0.0.1", HTTPPort: 3500, InternalPort: port, AppPort: 8080,
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// at gives where an app is, or the error.
func at(t *testing.T, n *Names, appID string) string {
	t.Helper()
	addrs, err := n.Resolve(t.Context(), appID)
	if err != nil {
		return err.Error()
	}
	if len(addrs) != 1 {
		return fmt.Sprint(addrs)
	}
	return addrs[0].String()
}

func TestConsulRegistersAndFinds(t *testing.T) {
	a := newAgent(t)
	callee := resolver(t, "consul", a.config(map[string]any{"selfRegister": true, "selfDeregister": true, "tags": []any{"dapr"}}), "orders", 50002)
	caller := resolver(t, "hashicorp.consul", a.config(map[string]any{"queryOptions": map[string]any{"near": "_agent"}}), "web", 50003)
	ids := slices.Collect(maps.Keys(a.Services()))
	if len(ids) != 1 {
		t.Fatalf("registered are %v", ids)
	}
	b, err := json.Marshal(a.Services()[ids[0]])
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"Name":"orders"`, `"Port":8080`, `"DAPR_PORT":"50002"`, `"Tags":["dapr"]`, `/v1.0/healthz?appid=orders`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("the registration has no %s: %s", want, b)
		}
	}
	if got := at(t, caller, "orders"); got != "127.0.0.1:50002" {
		t.Errorf("orders is at %s", got)
	}
	if last := a.Query(); !strings.Contains(last, "near=_agent") || !strings.Contains(last, "passing=1") {
		t.Errorf("the query is %s", last)
	}
	a.Fail(ids[0])
	if got := at(t, caller, "orders"); !strings.Contains(got, "no healthy services") {
		t.Errorf("an app whose check fails is at %s", got)
	}
	if err := callee.Close(); err != nil || len(a.Services()) != 0 {
		t.Errorf("after the end %v are registered: %v", a.Services(), err)
	}
	if err := caller.Close(); err != nil {
		t.Error(err)
	}
}

// A registration of one's own counts even without selfRegister.
func TestConsulAdvancedRegistration(t *testing.T) {
	a := newAgent(t)
	n := resolver(t, "consul", a.config(map[string]any{
		"selfRegister": false, "daprPortMetaKey": "SIDECAR",
		"advancedRegistration": map[string]any{"id": "x", "name": "orders", "port": "7000", "address": "127.0.0.7", "meta": map[string]any{"DAPR_METRICS_PORT": "9090"}},
	}), "orders", 50002)
	defer n.Close()
	if got := at(t, n, "orders"); got != "127.0.0.7:50002" {
		t.Errorf("orders is at %s", got)
	}
	other := resolver(t, "consul", a.config(nil), "web", 50003)
	defer other.Close()
	if got := at(t, other, "orders"); !strings.Contains(got, "DAPR_PORT missing from meta") {
		t.Errorf("without the port of the sidecar the answer is %s", got)
	}
}

func TestSQLiteRegistersAndFinds(t *testing.T) {
	config := map[string]any{"connectionString": filepath.Join(t.TempDir(), "names.db")}
	callee := resolver(t, "sqlite", config, "orders", 50002)
	caller := resolver(t, "sqlite", config, "web", 50003)
	defer caller.Close()
	if got := at(t, caller, "orders"); got != "127.0.0.1:50002" {
		t.Errorf("orders is at %s", got)
	}
	if err := callee.Close(); err != nil {
		t.Fatal(err)
	}
	if got := at(t, caller, "orders"); !strings.Contains(got, "no host found") {
		t.Errorf("after its end orders is at %s", got)
	}
}

// TestSQLiteWaitsForOtherSidecars: one that finds the file in the hands of another
// one, which makes its tables, begins again.
func TestSQLiteWaitsForOtherSidecars(t *testing.T) {
	file := filepath.Join(t.TempDir(), "names.db")
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	other, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for _, q := range []string{"BEGIN EXCLUSIVE TRANSACTION", "CREATE TABLE theirs (x)"} {
		if _, err := other.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	tries := 0
	n, err := NewNames(t.Context(), NamesOptions{
		Type:   "sqlite",
		Config: map[string]any{"connectionString": file, "busyTimeout": "1ms", "timeout": "30s", "updateInterval": "60s"},
		AppID:  "orders", Host: "127.0.0.1", HTTPPort: 3500, InternalPort: 50002,
		Log: slog.New(recorder(func(said string) {
			if !strings.Contains(said, "Configuring SQLite") {
				return
			}
			if tries++; tries == 3 {
				if _, err := other.ExecContext(t.Context(), "COMMIT"); err != nil {
					t.Error(err)
				}
			}
		})),
	})
	if err != nil {
		t.Fatalf("after %d tries: %v", tries, err)
	}
	defer n.Close()
	if got := at(t, n, "orders"); got != "127.0.0.1:50002" || tries < 3 {
		t.Errorf("after %d tries orders is at %s", tries, got)
	}
}

// recorder is a log whose lines go to a function.
type recorder func(said string)

func (recorder) Enabled(context.Context, slog.Level) bool { return true }

func (r recorder) Handle(_ context.Context, l slog.Record) error {
	r(l.Message)
	return nil
}

func (r recorder) WithAttrs([]slog.Attr) slog.Handler { return r }
func (r recorder) WithGroup(string) slog.Handler      { return r }

func TestNameFormatLooksUpHosts(t *testing.T) {
	n := resolver(t, "nameformat", map[string]any{"format": "{appid}:50002"}, "web", 50003)
	defer n.Close()
	addrs, err := n.Resolve(t.Context(), "localhost")
	if err != nil || len(addrs) == 0 || !addrs[0].Addr().IsLoopback() || addrs[0].Port() != 50002 {
		t.Errorf("localhost is at %v: %v", addrs, err)
	}
	if _, err := NewNames(t.Context(), NamesOptions{Type: "nameformat", Config: map[string]any{"format": "fixed"}}); err == nil || !strings.Contains(err.Error(), "{appid}") {
		t.Errorf("a format without the app id: %v", err)
	}
}

// Whoever calls does not wait for a server that hangs longer than it likes.
func TestNamesKeepToTheContext(t *testing.T) {
	hang := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1/health") {
			<-hang
		}
		_, _ = io.WriteString(w, "{}")
	}))
	defer srv.Close()
	defer close(hang)
	n := resolver(t, "consul", map[string]any{"client": map[string]any{"address": srv.Listener.Addr().String()}}, "web", 50003)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var addrs []netip.AddrPort
	addrs, err := n.Resolve(ctx, "orders")
	if err == nil || len(addrs) > 0 {
		t.Errorf("a call that has ended finds %v, %v", addrs, err)
	}
}
