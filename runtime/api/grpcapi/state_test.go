package grpcapi

import (
	"testing"

	commonv1 "github.com/dapr/dapr/pkg/proto/common/v1"
	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"mesh/runtime/api"
	"mesh/runtime/api/apitest"
)

// blocks serves the API with live components.
func blocks(t *testing.T) runtimev1.DaprClient {
	t.Helper()
	app := apitest.Start(t)
	return runtimev1.NewDaprClient(start(t, nil, func(_ *Options, o *api.Options) { o.Components = app }))
}

func TestState(t *testing.T) {
	c := blocks(t)
	for _, store := range []string{"memory", "sqlite"} {
		t.Run(store, func(t *testing.T) {
			save := func(key, value, etag string) error {
				item := &commonv1.StateItem{Key: key, Value: []byte(value)}
				if etag != "" {
					item.Etag = &commonv1.Etag{Value: etag}
				}
				_, err := c.SaveState(t.Context(), &runtimev1.SaveStateRequest{StoreName: store, States: []*commonv1.StateItem{item}})
				return err
			}
			get := func(key string) *runtimev1.GetStateResponse {
				t.Helper()
				got, err := c.GetState(t.Context(), &runtimev1.GetStateRequest{StoreName: store, Key: key})
				if err != nil {
					t.Fatal(err)
				}
				return got
			}
			if err := save("a", "\x00bytes\xff", ""); err != nil {
				t.Fatal(err)
			}
			first := get("a")
			if string(first.GetData()) != "\x00bytes\xff" || first.GetEtag() == "" {
				t.Fatalf("what was saved comes back as %+v", first)
			}
			if err := save("a", "2", first.GetEtag()); err != nil {
				t.Fatal(err)
			}
			if err := save("a", "3", first.GetEtag()); status.Code(err) != codes.Aborted {
				t.Errorf("with an old ETag: %v", err)
			}
			_, err := c.ExecuteStateTransaction(t.Context(), &runtimev1.ExecuteStateTransactionRequest{StoreName: store, Operations: []*runtimev1.TransactionalStateOperation{
				{OperationType: "upsert", Request: &commonv1.StateItem{Key: "b", Value: []byte("b")}},
				{OperationType: "delete", Request: &commonv1.StateItem{Key: "a"}},
			}})
			if err != nil {
				t.Fatal(err)
			}
			bulk, err := c.GetBulkState(t.Context(), &runtimev1.GetBulkStateRequest{StoreName: store, Keys: []string{"a", "b"}})
			if err != nil {
				t.Fatal(err)
			}
			found := map[string]string{}
			for _, i := range bulk.GetItems() {
				found[i.GetKey()] = string(i.GetData())
			}
			if len(found) != 2 || found["a"] != "" || found["b"] != "b" {
				t.Errorf("several keys come back as %v", found)
			}
			if _, err := c.DeleteState(t.Context(), &runtimev1.DeleteStateRequest{StoreName: store, Key: "b"}); err != nil {
				t.Fatal(err)
			}
			if got := get("b"); got.GetData() != nil {
				t.Errorf("a deleted key is still %q", got.GetData())
			}
		})
	}
	for store, want := range map[string]codes.Code{"nope": codes.InvalidArgument, "theirs": codes.InvalidArgument} {
		if _, err := c.GetState(t.Context(), &runtimev1.GetStateRequest{StoreName: store, Key: "a"}); status.Code(err) != want {
			t.Errorf("the store %s: %v, want %v", store, err, want)
		}
	}
	if _, err := c.GetState(t.Context(), &runtimev1.GetStateRequest{StoreName: "memory", Key: "a||b"}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a key that no store may hold: %v", err)
	}
}
