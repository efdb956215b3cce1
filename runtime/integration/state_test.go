package integration

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"mesh/runtime/component"
	"mesh/runtime/component/servertest"
)

// TestStores: every state store does the same by the API.
func TestStores(t *testing.T) { //nolint:tparallel // in turn: the last part kills a server of the others
	t.Parallel()
	redis, postgres := servertest.Redis(t), servertest.Postgres(t)
	conn := fmt.Sprintf("host=127.0.0.1 port=%d user=mesh dbname=mesh", postgres.Port)
	r := newRig(t, yaml("in-memory", "state.in-memory")+
		yaml("sqlite", "state.sqlite", "connectionString", "state.db")+
		yaml("redis", "state.redis", "redisHost", redis.Addr)+
		yaml("postgresql", "state.postgresql", "connectionString", conn)+
		strings.Replace(yaml("postgresql-v2", "state.postgresql", "connectionString", conn, "tablePrefix", "v2_"), "version: v1", "version: v2", 1))
	for _, s := range r.live.Status() {
		t.Run(s.Name, func(t *testing.T) { testStore(t, r, s.Name) })
	}
	t.Run("query", func(t *testing.T) {
		query := `{"filter":{"EQ":{"city":"Rome"}}}`
		save := `[{"key":"q1","value":{"city":"Rome"}},{"key":"q2","value":{"city":"Oslo"}}]`
		if got := r.call(http.MethodPost, "state/postgresql", save); got != "204 " {
			t.Fatal(got)
		}
		alpha := strings.TrimSuffix(r.base, "v1.0/") + "v1.0-alpha1/"
		r.base, alpha = alpha, r.base
		defer func() { r.base = alpha }()
		if got := r.call(http.MethodPost, "state/postgresql/query", query); !strings.HasPrefix(got, "200 ") || !strings.Contains(got, "q1") || strings.Contains(got, "q2") {
			t.Errorf("the query gives %s", got)
		}
	})
	t.Run("away", func(t *testing.T) {
		postgres.Kill(t)
		if got := r.call(http.MethodGet, "state/postgresql/a", ""); !strings.HasPrefix(got, "500 ") || !strings.Contains(got, "ERR_STATE_GET") {
			t.Errorf("without its server the store says %s", got)
		}
		condition := func() component.Condition {
			for _, s := range r.live.Status() {
				if s.Name == "postgresql" {
					return s.Condition
				}
			}
			return ""
		}
		eventually(t, "the store to be shown as degraded", func() bool { return condition() == component.Degraded })
		postgres.Start(t)
		eventually(t, "the store to be shown as ready", func() bool { return condition() == component.Ready })
		if got := r.call(http.MethodGet, "state/postgresql/q1", ""); got != `200 {"city": "Rome"}` {
			t.Errorf("afterwards it has %s", got)
		}
	})
}

func testStore(t *testing.T, r *rig, store string) {
	t.Helper()
	for _, step := range []struct {
		method, path, body, want string
		header                   string // If-Match
	}{
		{"POST", "", `[{"key":"a","value":{"n":1}},{"key":"b","value":"text"}]`, "204 ", ""},
		{"GET", "/b", "", `200 "text"`, ""},
		{"GET", "/none", "", "204 ", ""},
		{"POST", "/bulk", `{"keys":["a","none"]}`, `"key":"none"`, ""},
		{"POST", "/transaction", `{"operations":[{"operation":"upsert","request":{"key":"t","value":7}},{"operation":"delete","request":{"key":"b"}}]}`, "204 ", ""},
		{"GET", "/t", "", "200 7", ""},
		{"GET", "/b", "", "204 ", ""},
		{"POST", "", `[{"key":"a","value":2,"etag":"4711","options":{"concurrency":"first-write"}}]`, "409 ", ""},
		{"DELETE", "/a", "", "409 ", "4711"},
		{"GET", "/a", "", "1}", ""},
		{"DELETE", "/a", "", "204 ", ""},
		{"GET", "/a", "", "204 ", ""},
		{"POST", "", `[{"key":"gone","value":1,"metadata":{"ttlInSeconds":"1"}},{"key":"stays","value":1,"metadata":{"ttlInSeconds":"1000"}}]`, "204 ", ""},
		{"GET", "/stays", "", "200 1", ""},
	} {
		var header []string
		if step.header != "" {
			header = []string{"If-Match", step.header}
		}
		if got := r.call(step.method, "state/"+store+step.path, step.body, header...); !strings.Contains(got, step.want) {
			t.Errorf("%s %s %s gives %s, want %s", step.method, step.path, step.body, got, step.want)
		}
	}
	eventually(t, "the end of a key", func() bool { return r.call(http.MethodGet, "state/"+store+"/gone", "") == "204 " })
}

// TestOtherBlocks: locks, configuration and bindings on real servers.
func TestOtherBlocks(t *testing.T) {
	t.Parallel()
	redis, postgres := servertest.Redis(t), servertest.Postgres(t)
	postgres.SQL(t, `create table config (key varchar not null, value varchar not null, version varchar not null, metadata json);
		insert into config values ('color', 'blue', '1', '{"by":"me"}'), ('size', 'xl', '1', null)`)
	r := newRig(t, yaml("locks", "lock.redis", "redisHost", redis.Addr)+
		yaml("kept", "bindings.redis", "redisHost", redis.Addr)+
		yaml("settings", "configuration.redis", "redisHost", redis.Addr)+
		yaml("table", "configuration.postgresql", "connectionString", fmt.Sprintf("host=127.0.0.1 port=%d user=mesh dbname=mesh", postgres.Port), "table", "config"))
	stable := r.base
	for _, step := range []struct{ method, path, body, want string }{
		{"POST", "v1.0/bindings/kept", `{"operation":"create","data":"green||v7","metadata":{"key":"color"}}`, "204 "},
		{"POST", "v1.0/bindings/kept", `{"operation":"get","metadata":{"key":"color"}}`, "200 green||v7"},
		{"GET", "v1.0/configuration/settings?key=color", "", `200 {"color":{"value":"green","version":"v7"}}`},
		{"POST", "v1.0/bindings/kept", `{"operation":"delete","metadata":{"key":"color"}}`, "204 "},
		{"GET", "v1.0/configuration/settings?key=color", "", "204 "},
		{"GET", "v1.0/configuration/table?key=color", "", `200 {"color":{"value":"blue","version":"1","metadata":{"by":"me"}}}`},
		{"GET", "v1.0/configuration/none?key=color", "", "ERR_CONFIGURATION_STORE_NOT_FOUND"},
		{"POST", "v1.0-alpha1/lock/locks", `{"resourceId":"r","lockOwner":"me","expiryInSeconds":60}`, `200 {"success":true}`},
		{"POST", "v1.0-alpha1/lock/locks", `{"resourceId":"r","lockOwner":"you","expiryInSeconds":60}`, `200 {"success":false}`},
		{"POST", "v1.0-alpha1/unlock/locks", `{"resourceId":"r","lockOwner":"you"}`, `200 {"status":2}`},
		{"POST", "v1.0-alpha1/unlock/locks", `{"resourceId":"r","lockOwner":"me"}`, `200 {"status":0}`},
		{"POST", "v1.0-alpha1/unlock/locks", `{"resourceId":"r","lockOwner":"me"}`, `200 {"status":1}`},
	} {
		r.base = strings.TrimSuffix(stable, "v1.0/")
		if got := r.call(step.method, step.path, step.body); !strings.Contains(got, step.want) {
			t.Errorf("%s %s %s gives %s, want %s", step.method, step.path, step.body, got, step.want)
		}
	}
}
