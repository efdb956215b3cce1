package grpcapi

import (
	"maps"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"

	"mesh/runtime/rpc"
)

// ownServices are those that apps have as well as the sidecar: health and
// reflection. They are ours only in calls that name no app, which a grpc.Server
// cannot tell, so that they are not registered with it.
type ownServices struct {
	methods map[string]grpc.StreamHandler // by "/service/method"
	info    map[string]grpc.ServiceInfo
}

// RegisterService implements grpc.ServiceRegistrar.
func (o *ownServices) RegisterService(desc *grpc.ServiceDesc, impl any) {
	if o.methods == nil {
		o.methods, o.info = make(map[string]grpc.StreamHandler), make(map[string]grpc.ServiceInfo)
	}
	o.info[desc.ServiceName] = grpc.ServiceInfo{Metadata: desc.Metadata}
	for _, m := range desc.Methods {
		o.methods["/"+desc.ServiceName+"/"+m.MethodName] = func(_ any, ss grpc.ServerStream) error {
			res, err := m.Handler(impl, ss.Context(), ss.RecvMsg, nil)
			if err != nil {
				return err
			}
			return ss.SendMsg(res)
		}
	}
	for _, m := range desc.Streams {
		o.methods["/"+desc.ServiceName+"/"+m.StreamName] = func(_ any, ss grpc.ServerStream) error { return m.Handler(impl, ss) }
	}
}

// GetServiceInfo gives what has been registered so far.
func (o *ownServices) GetServiceInfo() map[string]grpc.ServiceInfo { return o.info }

// reflect adds the reflection of a server's services and of our own.
func (o *ownServices) reflect(srv *grpc.Server) {
	all := services{srv, o}
	grpc_reflection_v1.RegisterServerReflectionServer(o, reflection.NewServerV1(reflection.ServerOptions{Services: all}))
	grpc_reflection_v1alpha.RegisterServerReflectionServer(o, reflection.NewServer(reflection.ServerOptions{Services: all}))
}

// services are those of several servers.
type services []reflection.ServiceInfoProvider

// GetServiceInfo implements reflection.ServiceInfoProvider.
func (s services) GetServiceInfo() map[string]grpc.ServiceInfo {
	all := make(map[string]grpc.ServiceInfo)
	for _, of := range s {
		maps.Copy(all, of.GetServiceInfo())
	}
	return all
}

// unknown serves what is not registered with the server: calls that name an app
// go to it, the others are for our own services.
func (s *Server) unknown(own *ownServices) grpc.StreamHandler {
	return func(srv any, ss grpc.ServerStream) error {
		method, ok := grpc.MethodFromServerStream(ss)
		if !ok {
			return status.Error(codes.Internal, "the call has no method")
		}
		mine, ok := own.methods[method]
		switch {
		case ok && rpc.Target(ss.Context()) == "":
			return mine(srv, ss)
		case s.pass != nil:
			return s.pass.Serve(srv, ss)
		}
		return status.Errorf(codes.Unimplemented, "the sidecar has no %s", method)
	}
}
