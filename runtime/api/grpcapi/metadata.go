package grpcapi

import (
	"context"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/protobuf/types/known/emptypb"

	"mesh/runtime/api"
)

// GetMetadata describes the sidecar.
func (s *Server) GetMetadata(context.Context, *runtimev1.GetMetadataRequest) (*runtimev1.GetMetadataResponse, error) {
	m := s.o.API.Metadata()
	res := &runtimev1.GetMetadataResponse{
		Id:                      m.ID,
		RuntimeVersion:          m.RuntimeVersion,
		EnabledFeatures:         m.EnabledFeatures,
		ExtendedMetadata:        m.Extended,
		AppConnectionProperties: appConnection(m.App),
		ActorRuntime: &runtimev1.ActorRuntime{
			RuntimeStatus: runtimev1.ActorRuntime_ActorRuntimeStatus(runtimev1.ActorRuntime_ActorRuntimeStatus_value[m.Actors.Status]),
			HostReady:     m.Actors.HostReady,
			Placement:     m.Actors.Placement,
		},
	}
	for _, c := range m.Components {
		res.RegisteredComponents = append(res.RegisteredComponents, &runtimev1.RegisteredComponents{
			Name: c.Name, Type: c.Type, Version: c.Version, Capabilities: c.Capabilities,
		})
	}
	for _, e := range m.HTTPEndpoints {
		res.HttpEndpoints = append(res.HttpEndpoints, &runtimev1.MetadataHTTPEndpoint{Name: e.Name})
	}
	for _, r := range m.ResiliencyObjects {
		res.Resiliencies = append(res.Resiliencies, &runtimev1.MetadataResiliency{Name: r.Name})
	}
	for _, sub := range m.Subscriptions {
		res.Subscriptions = append(res.Subscriptions, subscription(sub))
	}
	return res, nil
}

// SetMetadata adds an extended attribute.
func (s *Server) SetMetadata(_ context.Context, req *runtimev1.SetMetadataRequest) (*emptypb.Empty, error) {
	if err := s.o.API.SetMetadata(req.GetKey(), req.GetValue()); err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, nil
}

func appConnection(a api.AppConnection) *runtimev1.AppConnectionProperties {
	p := &runtimev1.AppConnectionProperties{
		Port: int32(a.Port), Protocol: a.Protocol, ChannelAddress: a.ChannelAddress, MaxConcurrency: int32(a.MaxConcurrency),
	}
	if h := a.Health; h != nil {
		p.Health = &runtimev1.AppConnectionHealthProperties{
			HealthCheckPath: h.Path, HealthProbeInterval: h.Interval, HealthProbeTimeout: h.Timeout, HealthThreshold: int32(h.Threshold),
		}
	}
	return p
}

func subscription(s api.Subscription) *runtimev1.PubsubSubscription {
	p := &runtimev1.PubsubSubscription{
		PubsubName: s.PubsubName, Topic: s.Topic, Metadata: s.Metadata, DeadLetterTopic: s.DeadLetterTopic,
		Rules: &runtimev1.PubsubSubscriptionRules{},
		Type:  runtimev1.PubsubSubscriptionType(runtimev1.PubsubSubscriptionType_value[s.Type]),
	}
	for _, r := range s.Rules {
		p.Rules.Rules = append(p.Rules.Rules, &runtimev1.PubsubSubscriptionRule{Match: r.Match, Path: r.Path})
	}
	return p
}
