package grpcapi

import (
	"context"
	"encoding/json"

	commonv1 "github.com/dapr/dapr/pkg/proto/common/v1"
	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/emptypb"

	"mesh/runtime/api"
)

// GetState reads a key.
func (s *Server) GetState(ctx context.Context, req *runtimev1.GetStateRequest) (*runtimev1.GetStateResponse, error) {
	item, err := s.o.API.GetState(ctx, req.GetStoreName(), api.StateGet{
		Key: req.GetKey(), Consistency: consistency(req.GetConsistency()), Metadata: req.GetMetadata(),
	})
	if err != nil {
		return nil, err
	}
	return &runtimev1.GetStateResponse{Data: item.Value, Etag: text(item.ETag), Metadata: item.Metadata}, nil
}

// GetBulkState reads several keys.
func (s *Server) GetBulkState(ctx context.Context, req *runtimev1.GetBulkStateRequest) (*runtimev1.GetBulkStateResponse, error) {
	gets := make([]api.StateGet, len(req.GetKeys()))
	for i, key := range req.GetKeys() {
		gets[i] = api.StateGet{Key: key, Metadata: req.GetMetadata()}
	}
	items, err := s.o.API.GetStates(ctx, req.GetStoreName(), gets, max(0, int(req.GetParallelism())))
	if err != nil {
		return nil, err
	}
	res := &runtimev1.GetBulkStateResponse{}
	for _, i := range items {
		item := &runtimev1.BulkStateItem{Key: i.Key, Data: i.Value, Etag: text(i.ETag), Metadata: i.Metadata}
		if i.Err != nil {
			item.Error = i.Err.Error()
		}
		res.Items = append(res.Items, item)
	}
	return res, nil
}

// SaveState saves keys, each by itself.
func (s *Server) SaveState(ctx context.Context, req *runtimev1.SaveStateRequest) (*emptypb.Empty, error) {
	return done(s.o.API.SaveState(ctx, req.GetStoreName(), puts(req.GetStates())))
}

// DeleteState deletes a key.
func (s *Server) DeleteState(ctx context.Context, req *runtimev1.DeleteStateRequest) (*emptypb.Empty, error) {
	p := api.StatePut{
		Key: req.GetKey(), ETag: etag(req.GetEtag()), Metadata: req.GetMetadata(),
		Concurrency: concurrency(req.GetOptions()), Consistency: consistency(req.GetOptions().GetConsistency()),
	}
	return done(s.o.API.DeleteState(ctx, req.GetStoreName(), []api.StatePut{p}))
}

// DeleteBulkState deletes several keys, each by itself.
func (s *Server) DeleteBulkState(ctx context.Context, req *runtimev1.DeleteBulkStateRequest) (*emptypb.Empty, error) {
	return done(s.o.API.DeleteState(ctx, req.GetStoreName(), puts(req.GetStates())))
}

// ExecuteStateTransaction saves and deletes keys all together or not at all.
func (s *Server) ExecuteStateTransaction(ctx context.Context, req *runtimev1.ExecuteStateTransactionRequest) (*emptypb.Empty, error) {
	all := make([]api.StatePut, len(req.GetOperations()))
	for i, o := range req.GetOperations() {
		all[i] = put(o.GetRequest())
		switch o.GetOperationType() {
		case "upsert":
		case "delete":
			all[i].Delete = true
		default:
			e := api.Errorf(api.ErrStateOperation, "operation type %s not supported", o.GetOperationType())
			e.GRPC = uint32(codes.Unimplemented)
			return nil, e
		}
	}
	return done(s.o.API.TransactState(ctx, req.GetStoreName(), all, req.GetMetadata()))
}

// QueryStateAlpha1 finds items by value.
func (s *Server) QueryStateAlpha1(ctx context.Context, req *runtimev1.QueryStateRequest) (*runtimev1.QueryStateResponse, error) {
	page, err := s.o.API.QueryState(ctx, req.GetStoreName(), []byte(req.GetQuery()), req.GetMetadata())
	if err != nil {
		return nil, err
	}
	res := &runtimev1.QueryStateResponse{Token: page.Token, Metadata: page.Metadata}
	for _, i := range page.Items {
		item := &runtimev1.QueryStateItem{Key: i.Key, Data: i.Value, Etag: text(i.ETag)}
		if i.Err != nil {
			item.Error = i.Err.Error()
		}
		res.Results = append(res.Results, item)
	}
	return res, nil
}

func puts(items []*commonv1.StateItem) []api.StatePut {
	all := make([]api.StatePut, len(items))
	for i, item := range items {
		all[i] = put(item)
	}
	return all
}

// put makes a change of an item. Its value is bytes, unless its metadata say
// that it is JSON, which stores can look into.
func put(item *commonv1.StateItem) api.StatePut {
	var value any = item.GetValue()
	if item.GetMetadata()["contentType"] == "application/json" && json.Valid(item.GetValue()) {
		value = json.RawMessage(item.GetValue())
	}
	return api.StatePut{
		Key: item.GetKey(), Value: value, ETag: etag(item.GetEtag()), Metadata: item.GetMetadata(),
		ContentType: item.GetMetadata()["contentType"],
		Concurrency: concurrency(item.GetOptions()), Consistency: consistency(item.GetOptions().GetConsistency()),
	}
}

func etag(e *commonv1.Etag) *string {
	if e == nil {
		return nil
	}
	return &e.Value
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func concurrency(o *commonv1.StateOptions) string {
	switch o.GetConcurrency() {
	case commonv1.StateOptions_CONCURRENCY_FIRST_WRITE:
		return "first-write"
	case commonv1.StateOptions_CONCURRENCY_LAST_WRITE:
		return "last-write"
	case commonv1.StateOptions_CONCURRENCY_UNSPECIFIED:
	}
	return ""
}

func consistency(c commonv1.StateOptions_StateConsistency) string {
	switch c {
	case commonv1.StateOptions_CONSISTENCY_EVENTUAL:
		return "eventual"
	case commonv1.StateOptions_CONSISTENCY_STRONG:
		return "strong"
	case commonv1.StateOptions_CONSISTENCY_UNSPECIFIED:
	}
	return ""
}

// done is the answer of what has nothing to say but that it is done.
func done(err error) (*emptypb.Empty, error) {
	if err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, nil
}
