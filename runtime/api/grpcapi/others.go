package grpcapi

import (
	"context"
	"errors"
	"maps"

	commonv1 "github.com/dapr/dapr/pkg/proto/common/v1"
	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"mesh/runtime/api"
)

// InvokeBinding asks an output binding to do something. What it tells of the
// answer comes as headers, too, and with an error.
func (s *Server) InvokeBinding(ctx context.Context, req *runtimev1.InvokeBindingRequest) (*runtimev1.InvokeBindingResponse, error) {
	md := map[string]string{}
	if parent, state := trace(ctx); parent != "" {
		md["traceparent"] = parent
		if state != "" {
			md["tracestate"] = state
		}
	}
	maps.Copy(md, req.GetMetadata())
	answer, err := s.o.API.InvokeBinding(ctx, req.GetName(), req.GetOperation(), api.Payload{Data: req.GetData(), Metadata: md})
	header := metadata.MD{}
	for k, v := range answer.Metadata {
		header.Set("metadata."+k, v)
	}
	_ = grpc.SetHeader(ctx, header) // fails when the call is over
	if err != nil {
		return nil, err
	}
	return &runtimev1.InvokeBindingResponse{Data: answer.Data, Metadata: answer.Metadata}, nil
}

// GetSecret reads one secret.
func (s *Server) GetSecret(ctx context.Context, req *runtimev1.GetSecretRequest) (*runtimev1.GetSecretResponse, error) {
	data, err := s.o.API.Secret(ctx, req.GetStoreName(), req.GetKey(), req.GetMetadata())
	if err != nil {
		return nil, err
	}
	return &runtimev1.GetSecretResponse{Data: data}, nil
}

// GetBulkSecret reads every secret that the app may see.
func (s *Server) GetBulkSecret(ctx context.Context, req *runtimev1.GetBulkSecretRequest) (*runtimev1.GetBulkSecretResponse, error) {
	all, err := s.o.API.Secrets(ctx, req.GetStoreName(), req.GetMetadata())
	if err != nil {
		return nil, err
	}
	res := &runtimev1.GetBulkSecretResponse{Data: map[string]*runtimev1.SecretResponse{}}
	for key, data := range all {
		res.Data[key] = &runtimev1.SecretResponse{Secrets: data}
	}
	return res, nil
}

// TryLockAlpha1 takes a lock unless someone has it.
func (s *Server) TryLockAlpha1(ctx context.Context, req *runtimev1.TryLockRequest) (*runtimev1.TryLockResponse, error) {
	got, err := s.o.API.TryLock(ctx, req.GetStoreName(), req.GetResourceId(), req.GetLockOwner(), req.GetExpiryInSeconds())
	if err != nil {
		return nil, err
	}
	return &runtimev1.TryLockResponse{Success: got}, nil
}

// UnlockAlpha1 gives a lock back.
func (s *Server) UnlockAlpha1(ctx context.Context, req *runtimev1.UnlockRequest) (*runtimev1.UnlockResponse, error) {
	status, err := s.o.API.Unlock(ctx, req.GetStoreName(), req.GetResourceId(), req.GetLockOwner())
	if err != nil {
		return nil, err
	}
	return &runtimev1.UnlockResponse{Status: runtimev1.UnlockResponse_Status(status)}, nil
}

// GetConfiguration reads keys.
func (s *Server) GetConfiguration(ctx context.Context, req *runtimev1.GetConfigurationRequest) (*runtimev1.GetConfigurationResponse, error) {
	all, err := s.o.API.Configuration(ctx, req.GetStoreName(), req.GetKeys(), req.GetMetadata())
	if err != nil {
		return nil, err
	}
	return &runtimev1.GetConfigurationResponse{Items: configurationItems(all)}, nil
}

// GetConfigurationAlpha1 is GetConfiguration under its older name.
func (s *Server) GetConfigurationAlpha1(ctx context.Context, req *runtimev1.GetConfigurationRequest) (*runtimev1.GetConfigurationResponse, error) {
	return s.GetConfiguration(ctx, req)
}

// SubscribeConfiguration sends what changes until the app ends the stream.
func (s *Server) SubscribeConfiguration(req *runtimev1.SubscribeConfigurationRequest, out runtimev1.Dapr_SubscribeConfigurationServer) error {
	return s.watchConfiguration(req, out)
}

// SubscribeConfigurationAlpha1 is SubscribeConfiguration under its older name.
func (s *Server) SubscribeConfigurationAlpha1(req *runtimev1.SubscribeConfigurationRequest, out runtimev1.Dapr_SubscribeConfigurationAlpha1Server) error {
	return s.watchConfiguration(req, out)
}

// configurationStream is a stream of changes under either name.
type configurationStream interface {
	Context() context.Context
	Send(m *runtimev1.SubscribeConfigurationResponse) error
}

// watchConfiguration sends what changes. The first message tells the name of
// the stream.
func (s *Server) watchConfiguration(req *runtimev1.SubscribeConfigurationRequest, out configurationStream) error {
	if err := s.o.API.HasConfiguration(req.GetStoreName()); err != nil {
		return err
	}
	ctx, id, end := s.watches.begin(out.Context())
	defer end()
	if err := out.Send(&runtimev1.SubscribeConfigurationResponse{Id: id}); err != nil {
		return err
	}
	changes := make(chan map[string]api.ConfigurationValue)
	done := make(chan error, 1)
	go func() { // joined below: it ends with ctx
		done <- s.o.API.WatchConfiguration(ctx, req.GetStoreName(), req.GetKeys(), req.GetMetadata(),
			func(cctx context.Context, all map[string]api.ConfigurationValue) error {
				select {
				case changes <- all:
					return nil
				case <-ctx.Done():
					return context.Cause(ctx)
				case <-cctx.Done():
					return context.Cause(cctx)
				}
			})
	}()
	for {
		select {
		case err := <-done:
			return err
		case all := <-changes:
			if err := out.Send(&runtimev1.SubscribeConfigurationResponse{Id: id, Items: configurationItems(all)}); err != nil {
				end()
				return errors.Join(err, <-done)
			}
		}
	}
}

// UnsubscribeConfiguration ends a stream by its name.
func (s *Server) UnsubscribeConfiguration(_ context.Context, req *runtimev1.UnsubscribeConfigurationRequest) (*runtimev1.UnsubscribeConfigurationResponse, error) {
	if !s.watches.stop(req.GetId()) {
		return &runtimev1.UnsubscribeConfigurationResponse{Ok: false, Message: "there is no subscription " + req.GetId()}, nil
	}
	return &runtimev1.UnsubscribeConfigurationResponse{Ok: true}, nil
}

// UnsubscribeConfigurationAlpha1 is UnsubscribeConfiguration under its older name.
func (s *Server) UnsubscribeConfigurationAlpha1(ctx context.Context, req *runtimev1.UnsubscribeConfigurationRequest) (*runtimev1.UnsubscribeConfigurationResponse, error) {
	return s.UnsubscribeConfiguration(ctx, req)
}

func configurationItems(all map[string]api.ConfigurationValue) map[string]*commonv1.ConfigurationItem {
	items := make(map[string]*commonv1.ConfigurationItem, len(all))
	for key, v := range all {
		items[key] = &commonv1.ConfigurationItem{Value: v.Value, Version: v.Version, Metadata: v.Metadata}
	}
	return items
}
