package grpcapi

import (
	"context"
	"strings"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"

	"mesh/runtime/api"
	"mesh/runtime/rpc"
	"mesh/runtime/stream"
)

// PublishEvent sends a message to a topic.
func (s *Server) PublishEvent(ctx context.Context, req *runtimev1.PublishEventRequest) (*emptypb.Empty, error) {
	p := s.published(ctx, req.GetPubsubName(), req.GetTopic(), req.GetMetadata())
	p.Data, p.ContentType = req.GetData(), req.GetDataContentType()
	return done(s.o.API.Publish(ctx, p))
}

// BulkPublishEvent sends several messages to a topic.
func (s *Server) BulkPublishEvent(ctx context.Context, req *runtimev1.BulkPublishRequest) (*runtimev1.BulkPublishResponse, error) {
	entries := make([]api.Entry, len(req.GetEntries()))
	for i, e := range req.GetEntries() {
		entries[i] = api.Entry{ID: e.GetEntryId(), Data: e.GetEvent(), ContentType: e.GetContentType(), Metadata: e.GetMetadata()}
	}
	// As from a daprd, an answer comes only when all are published.
	if _, err := s.o.API.PublishAll(ctx, s.published(ctx, req.GetPubsubName(), req.GetTopic(), req.GetMetadata()), entries); err != nil {
		return nil, err
	}
	return &runtimev1.BulkPublishResponse{}, nil
}

// BulkPublishEventAlpha1 is BulkPublishEvent under its older name.
func (s *Server) BulkPublishEventAlpha1(ctx context.Context, req *runtimev1.BulkPublishRequest) (*runtimev1.BulkPublishResponse, error) {
	return s.BulkPublishEvent(ctx, req)
}

// published is what all messages of a request have in common; a trace begins when
// it has none.
func (s *Server) published(ctx context.Context, pubsub, topic string, md map[string]string) api.Publish {
	parent, state := trace(ctx)
	return api.Publish{PubSub: pubsub, Topic: topic, Metadata: md, TraceParent: s.o.Sampler.Continue(parent), TraceState: state}
}

// trace gives the trace context that came with a request.
func trace(ctx context.Context) (parent, state string) {
	header := func(name string) string { return strings.Join(metadata.ValueFromIncomingContext(ctx, name), ",") }
	if parent = stream.TraceFromBinary(header(rpc.KeyTrace)); parent == "" { // it counts more than traceparent
		parent = header(rpc.KeyParent)
	}
	return parent, header("tracestate")
}
