package grpcapi

import (
	"context"
	"fmt"
	"testing"

	commonv1 "github.com/dapr/dapr/pkg/proto/common/v1"
	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"mesh/runtime/api"
	"mesh/runtime/api/apitest"
	"mesh/runtime/resource"
)

// TestErrorsAreDaprs: code, message and details of errors are what clients of a
// daprd see.
func TestErrorsAreDaprs(t *testing.T) {
	app := apitest.Start(t)
	all := runtimev1.NewDaprClient(start(t, nil, func(_ *Options, o *api.Options) {
		o.Components = app
		o.SecretScopes = func() []resource.SecretScope {
			return []resource.SecretScope{{Store: "secrets", DefaultAccess: "deny", Allowed: []string{"db"}}}
		}
	}))
	none := runtimev1.NewDaprClient(start(t, nil, nil))
	const me = " map[appID:me]"
	for _, tc := range []struct {
		what string
		at   runtimev1.DaprClient
		call func(context.Context, runtimev1.DaprClient) error
		code codes.Code
		want string
	}{
		{"get from an unknown store", all, getState("nope", "a"), codes.InvalidArgument, "state store nope is not found; DAPR_STATE_NOT_FOUND" + me},
		{"get without stores", none, getState("any", "a"), codes.FailedPrecondition, "state store any is not configured; DAPR_STATE_NOT_CONFIGURED" + me},
		{"a reserved key", all, getState("memory", "a||b"), codes.InvalidArgument, "input key/keyPrefix 'a||b' can't contain '||'; a||b: input key/keyPrefix 'a||b' can't contain '||'; state memory; DAPR_STATE_ILLEGAL_KEY map[]"},
		{"a stale etag", all, func(ctx context.Context, c runtimev1.DaprClient) error {
			return second(c.SaveState(ctx, &runtimev1.SaveStateRequest{StoreName: "memory", States: []*commonv1.StateItem{
				{Key: "a", Value: []byte("1"), Etag: &commonv1.Etag{Value: "4711"}, Options: &commonv1.StateOptions{Concurrency: commonv1.StateOptions_CONCURRENCY_FIRST_WRITE}},
			}}))
		}, codes.Aborted, "failed saving state in state store memory: possible etag mismatch. error from state store: state not exist or expired for key=me||a; ERR_STATE_SAVE map[]"},
		{"an operation that no transaction has", all, func(ctx context.Context, c runtimev1.DaprClient) error {
			return second(c.ExecuteStateTransaction(ctx, &runtimev1.ExecuteStateTransactionRequest{StoreName: "memory", Operations: []*runtimev1.TransactionalStateOperation{{OperationType: "dance"}}}))
		}, codes.Unimplemented, "operation type dance not supported; ERR_NOT_SUPPORTED_STATE_OPERATION map[]"},
		{"a query that the store has not", all, func(ctx context.Context, c runtimev1.DaprClient) error {
			return second(c.QueryStateAlpha1(ctx, &runtimev1.QueryStateRequest{StoreName: "memory", Query: "{}"}))
		}, codes.Internal, "state store does not support querying; state memory; DAPR_STATE_QUERYING_NOT_SUPPORTED map[]"},
		{"publish without brokers", none, publish("any", "t"), codes.FailedPrecondition, "pubsub any is not configured; DAPR_PUBSUB_NOT_CONFIGURED map[]"},
		{"publish to an unknown broker", all, publish("nope", "t"), codes.InvalidArgument, "pubsub nope is not found; DAPR_PUBSUB_NOT_FOUND map[]"},
		{"publish to a forbidden topic", all, publish("broker", "secret"), codes.PermissionDenied, "topic secret is not allowed for app id me; pubsub broker; DAPR_PUBSUB_FORBIDDEN map[error:topic secret is not allowed for app id me topic:secret]"},
		{"publish to no topic", all, publish("broker", ""), codes.InvalidArgument, "topic is empty in pubsub broker; pubsub broker; DAPR_PUBSUB_TOPIC_NAME_EMPTY map[]"},
		{"publish several that the broker refuses", all, func(ctx context.Context, c runtimev1.DaprClient) error {
			return second(c.BulkPublishEvent(ctx, &runtimev1.BulkPublishRequest{PubsubName: "broker", Topic: "open", Metadata: map[string]string{"ttlInSeconds": "never"}, Entries: []*runtimev1.BulkPublishRequestEntry{{EntryId: "1", Event: []byte("x"), ContentType: "text/plain"}}}))
		}, codes.Internal, ""},
		{"publish several without names", all, func(ctx context.Context, c runtimev1.DaprClient) error {
			return second(c.BulkPublishEvent(ctx, &runtimev1.BulkPublishRequest{PubsubName: "broker", Topic: "open", Entries: []*runtimev1.BulkPublishRequestEntry{{Event: []byte("x")}}}))
		}, codes.InvalidArgument, "error marshaling events to bytes for topic open pubsub broker. error: entryId is duplicated or not present for entry; pubsub broker; DAPR_PUBSUB_MARSHAL_EVENTS map[appID:me error:entryId is duplicated or not present for entry]"},
		{"a secret without stores", none, getSecret("any", "a"), codes.FailedPrecondition, "secret store is not configured"},
		{"a secret of an unknown store", all, getSecret("nope", "a"), codes.InvalidArgument, "failed finding secret store with key nope"},
		{"a secret out of scope", all, getSecret("secrets", "other"), codes.PermissionDenied, `access denied by policy to get "other" from "secrets"`},
		{"configuration without stores", none, func(ctx context.Context, c runtimev1.DaprClient) error {
			return second(c.GetConfiguration(ctx, &runtimev1.GetConfigurationRequest{StoreName: "any"}))
		}, codes.FailedPrecondition, "configuration stores not configured; ERR_CONFIGURATION_STORE_NOT_CONFIGURED map[]"},
		{"a lock without stores", none, lock("any", 1), codes.FailedPrecondition, "lock store is not configured"},
		{"a lock for no time", all, lock("any", 0), codes.InvalidArgument, "ExpiryInSeconds is not positive in lock store any"},
		{"an unknown binding", all, func(ctx context.Context, c runtimev1.DaprClient) error {
			return second(c.InvokeBinding(ctx, &runtimev1.InvokeBindingRequest{Name: "nope", Operation: "get"}))
		}, codes.Internal, "error invoking output binding nope: couldn't find output binding nope; ERR_INVOKE_OUTPUT_BINDING map[]"},
	} {
		t.Run(tc.what, func(t *testing.T) {
			st := status.Convert(tc.call(t.Context(), tc.at))
			text := st.Message()
			for _, d := range st.Details() {
				switch d := d.(type) {
				case *errdetails.ErrorInfo:
					text += fmt.Sprintf("; %s %v", d.GetReason(), d.GetMetadata())
					if d.GetDomain() != "dapr.io" {
						t.Errorf("the domain is %q", d.GetDomain())
					}
				case *errdetails.BadRequest:
					v := d.GetFieldViolations()[0]
					text += "; " + v.GetField() + ": " + v.GetDescription()
				case *errdetails.ResourceInfo:
					text += "; " + d.GetResourceType() + " " + d.GetResourceName()
				}
			}
			if st.Code() != tc.code || (tc.want != "" && text != tc.want) {
				t.Errorf("%v: %s\nwant %v: %s", st.Code(), text, tc.code, tc.want)
			}
		})
	}
}

func getState(store, key string) func(context.Context, runtimev1.DaprClient) error {
	return func(ctx context.Context, c runtimev1.DaprClient) error {
		return second(c.GetState(ctx, &runtimev1.GetStateRequest{StoreName: store, Key: key}))
	}
}

func publish(broker, topic string) func(context.Context, runtimev1.DaprClient) error {
	return func(ctx context.Context, c runtimev1.DaprClient) error {
		return second(c.PublishEvent(ctx, &runtimev1.PublishEventRequest{PubsubName: broker, Topic: topic, Data: []byte("x")}))
	}
}

func getSecret(store, key string) func(context.Context, runtimev1.DaprClient) error {
	return func(ctx context.Context, c runtimev1.DaprClient) error {
		return second(c.GetSecret(ctx, &runtimev1.GetSecretRequest{StoreName: store, Key: key}))
	}
}

func lock(store string, seconds int32) func(context.Context, runtimev1.DaprClient) error {
	return func(ctx context.Context, c runtimev1.DaprClient) error {
		return second(c.TryLockAlpha1(ctx, &runtimev1.TryLockRequest{StoreName: store, ResourceId: "r", LockOwner: "o", ExpiryInSeconds: seconds}))
	}
}
