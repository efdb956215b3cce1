package grpcapi

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"mesh/runtime/api"
	"mesh/runtime/api/apitest"
	"mesh/runtime/stream"
)

func TestBindingAndSecrets(t *testing.T) {
	c := blocks(t)
	md := map[string]string{"fileName": "a.txt"}
	if _, err := c.InvokeBinding(t.Context(), &runtimev1.InvokeBindingRequest{Name: "files", Operation: "create", Data: []byte("hello"), Metadata: md}); err != nil {
		t.Fatal(err)
	}
	got, err := c.InvokeBinding(t.Context(), &runtimev1.InvokeBindingRequest{Name: "files", Operation: "get", Metadata: md})
	if err != nil || string(got.GetData()) != "hello" {
		t.Errorf("the file is %q, %v", got.GetData(), err)
	}
	if _, err := c.InvokeBinding(t.Context(), &runtimev1.InvokeBindingRequest{Name: "nope", Operation: "get"}); status.Code(err) != codes.Internal {
		t.Errorf("an unknown binding: %v", err)
	}
	secret, err := c.GetSecret(t.Context(), &runtimev1.GetSecretRequest{StoreName: "secrets", Key: "db"})
	if err != nil || secret.GetData()["db"] != "pw" {
		t.Errorf("the secret is %v, %v", secret.GetData(), err)
	}
	all, err := c.GetBulkSecret(t.Context(), &runtimev1.GetBulkSecretRequest{StoreName: "secrets"})
	if err != nil || len(all.GetData()) != 2 {
		t.Errorf("all secrets are %v, %v", all.GetData(), err)
	}
	for _, err := range []error{
		second(c.TryLockAlpha1(t.Context(), &runtimev1.TryLockRequest{StoreName: "l", ResourceId: "r", LockOwner: "o", ExpiryInSeconds: 1})),
		second(c.GetConfiguration(t.Context(), &runtimev1.GetConfigurationRequest{StoreName: "c"})),
	} {
		if status.Code(err) != codes.FailedPrecondition {
			t.Errorf("without a component of the kind: %v", err)
		}
	}
}

// TestBindingTellsOfTheAnswer: what a binding tells of its answer comes as headers,
// too, also when the answer is an error, and the trace goes to the server.
func TestBindingTellsOfTheAnswer(t *testing.T) {
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Trace", r.Header.Get("Traceparent"))
		if r.URL.Path == "/refuse" {
			w.WriteHeader(http.StatusTeapot)
		}
	}))
	t.Cleanup(web.Close)
	app := apitest.Start(t, "kind: Component\nmetadata: { name: web }\nspec: { type: bindings.http, metadata: [ { name: url, value: \""+web.URL+"\" } ] }")
	c := runtimev1.NewDaprClient(start(t, nil, func(_ *Options, o *api.Options) { o.Components = app }))
	for _, tc := range []struct {
		path, status string
		code         codes.Code
	}{
		{"take", "200", codes.OK},
		{"refuse", "418", codes.Internal},
	} {
		var header metadata.MD
		ctx := metadata.AppendToOutgoingContext(t.Context(), "traceparent", trace)
		_, err := c.InvokeBinding(ctx, &runtimev1.InvokeBindingRequest{Name: "web", Operation: "get", Metadata: map[string]string{"path": tc.path}}, grpc.Header(&header))
		if status.Code(err) != tc.code || strings.Join(header.Get("metadata.statuscode"), " ") != tc.status || strings.Join(header.Get("metadata.x-trace"), " ") != trace {
			t.Errorf("%s gives %v with the headers %v", tc.path, err, header)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// TestStreamingSubscription: an event is sent again until the app takes it.
func TestStreamingSubscription(t *testing.T) {
	c := blocks(t)
	s, err := c.SubscribeTopicEventsAlpha1(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = s.Send(&runtimev1.SubscribeTopicEventsRequestAlpha1{SubscribeTopicEventsRequestType: &runtimev1.SubscribeTopicEventsRequestAlpha1_InitialRequest{
		InitialRequest: &runtimev1.SubscribeTopicEventsRequestInitialAlpha1{PubsubName: "broker", Topic: "open"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if m, err := s.Recv(); err != nil || m.GetInitialResponse() == nil {
		t.Fatalf("the stream begins with %v, %v", m, err)
	}
	events := make(chan *runtimev1.TopicEventRequest)
	go func() { // ends with the stream
		for {
			m, err := s.Recv()
			if err != nil {
				close(events)
				return
			}
			events <- m.GetEventMessage()
		}
	}()
	// The broker in memory has no queue for the topic until the subscription reads it.
	var first *runtimev1.TopicEventRequest
	for first == nil {
		if _, err := c.PublishEvent(t.Context(), &runtimev1.PublishEventRequest{PubsubName: "broker", Topic: "open", Data: []byte(`{"n":1}`), DataContentType: "application/json"}); err != nil {
			t.Fatal(err)
		}
		select {
		case first = <-events:
		default:
		}
	}
	if string(first.GetData()) != `{"n":1}` || first.GetTopic() != "open" || first.GetSource() != "me" || first.GetDataContentType() != "application/json" {
		t.Errorf("the event is %v", first)
	}
	if parent, _ := first.GetExtensions().AsMap()["traceparent"].(string); !stream.ValidTraceParent(parent) {
		t.Errorf("the event is not traced: %v", first.GetExtensions())
	}
	answer := func(id string, st runtimev1.TopicEventResponse_TopicEventResponseStatus) {
		t.Helper()
		err := s.Send(&runtimev1.SubscribeTopicEventsRequestAlpha1{SubscribeTopicEventsRequestType: &runtimev1.SubscribeTopicEventsRequestAlpha1_EventProcessed{
			EventProcessed: &runtimev1.SubscribeTopicEventsRequestProcessedAlpha1{Id: id, Status: &runtimev1.TopicEventResponse{Status: st}},
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	answer(first.GetId(), runtimev1.TopicEventResponse_RETRY)
	for again := range events {
		answer(again.GetId(), runtimev1.TopicEventResponse_SUCCESS)
		if again.GetId() == first.GetId() {
			break
		}
	}
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	forbidden, err := c.SubscribeTopicEventsAlpha1(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = forbidden.Send(&runtimev1.SubscribeTopicEventsRequestAlpha1{SubscribeTopicEventsRequestType: &runtimev1.SubscribeTopicEventsRequestAlpha1_InitialRequest{
		InitialRequest: &runtimev1.SubscribeTopicEventsRequestInitialAlpha1{PubsubName: "broker", Topic: "secret"},
	}}) // Recv says what is wrong
	if _, err := forbidden.Recv(); status.Code(err) != codes.PermissionDenied {
		t.Errorf("a protected topic: %v", err)
	}
}
