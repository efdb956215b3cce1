// Package grpcapi speaks the gRPC dialect of a sidecar's API: Dapr's service
// dapr.proto.runtime.v1.Dapr, with gRPC's health and reflection services beside
// it. Methods of building blocks that the API does not have answer
// Unimplemented. A call of any other service whose metadata names an app is
// passed on to that app.
package grpcapi

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"math"
	"net"
	"strings"
	"time"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"mesh/runtime/api"
	"mesh/runtime/flow"
	"mesh/runtime/rpc"
	"mesh/runtime/stream"
)

// maxMessage is the largest message, unless Options say otherwise: unary calls
// hold whole bodies, so there has to be some limit.
const maxMessage = 64 << 20

// messageSlack is what a message may have besides the body in it.
const messageSlack = 64 << 10

// maxMetadata is how much metadata a call may have for it to be us who say that it
// is too much, and for a limit that is raised while the server runs to have an effect.
const maxMetadata = 16 << 20

// Options are what a Server needs. API is needed.
type Options struct {
	API        *api.API
	Recorder   *flow.Recorder  // where invocations are recorded; nil: nowhere
	Token      string          // what callers must send as dapr-api-token; "": nothing
	MaxMessage int             // bytes of a message in either direction; 0: 64 MiB, or Limits if that is more
	Limits     *stream.Limits  // of requests; nil: those of the zero value
	Sampler    *stream.Sampler // of traces that begin here; nil: all are recorded
	Grace      time.Duration   // how long calls may go on when the server stops
	Pass       rpc.Handler     // takes the calls of apps' own services; nil: there are none

	// Observer is told of every call when it has ended; nil: nobody is.
	Observer func(method string, code codes.Code)
}

// Server serves the API of one sidecar over gRPC.
type Server struct {
	runtimev1.UnimplementedDaprServer

	o    Options
	pass *rpc.Server

	watches watches // configuration streams, by name
}

// New gives a Server.
func New(o Options) *Server {
	if o.MaxMessage == 0 {
		o.MaxMessage = int(min(max(maxMessage, o.Limits.Body()+messageSlack), math.MaxInt32))
	}
	s := &Server{o: o}
	if o.Pass != nil {
		s.pass = rpc.NewServer(rpc.Options{To: o.Pass, AppID: o.API.AppID(), Flows: o.Recorder, Sampler: o.Sampler, Limits: o.Limits})
	}
	return s
}

// Serve serves the listener, which it closes, until ctx ends. Then calls in
// flight have Options.Grace to end before they are cancelled; Serve returns
// when the last one has ended.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	own := &ownServices{}
	srv := grpc.NewServer(
		grpc.ForceServerCodecV2(stream.Codec()),
		grpc.UnknownServiceHandler(s.unknown(own)),
		grpc.MaxRecvMsgSize(s.o.MaxMessage),
		grpc.MaxSendMsgSize(s.o.MaxMessage),
		grpc.MaxHeaderListSize(uint32(min(max(maxMetadata, s.o.Limits.Header()), math.MaxInt32))),
		grpc.InTapHandle(s.metadataFits),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.WaitForHandlers(true),
		grpc.UnaryInterceptor(s.unary),
		grpc.StreamInterceptor(s.stream),
	)
	runtimev1.RegisterDaprServer(srv, s)
	grpc_health_v1.RegisterHealthServer(own, health{api: s.o.API})
	own.reflect(srv)
	if s.pass != nil {
		defer s.pass.Wait()
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	select {
	case err := <-served:
		return fmt.Errorf("serving the gRPC API on %v: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	late := time.AfterFunc(s.o.Grace, srv.Stop)
	srv.GracefulStop()
	late.Stop()
	if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("stopping the gRPC API on %v: %w", ln.Addr(), err)
	}
	return nil
}

// authorize refuses a call without the token. Our own health is asked by those
// who may not have it.
func (s *Server) authorize(ctx context.Context, method string) error {
	if s.o.Token == "" || (strings.HasPrefix(method, "/grpc.health.v1.Health/") && rpc.Target(ctx) == "") {
		return nil
	}
	given := strings.Join(metadata.ValueFromIncomingContext(ctx, rpc.KeyToken), "")
	if subtle.ConstantTimeCompare([]byte(given), []byte(s.o.Token)) != 1 {
		return status.Error(codes.Unauthenticated, "invalid api token")
	}
	return nil
}

func (s *Server) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (res any, err error) {
	defer s.ended(info.FullMethod, &err)
	if err := s.authorize(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	if err := s.fits(req); err != nil {
		return nil, err
	}
	defer rescue(&err)
	res, err = next(ctx, req)
	return res, statusOf(err)
}

// fits refuses a request that is larger than the sidecar accepts.
func (s *Server) fits(req any) error {
	limit := s.o.Limits.Body()
	m, ok := req.(proto.Message)
	if limit <= 0 || !ok {
		return nil
	}
	size := int64(proto.Size(m)) - messageSlack
	if r, ok := m.(*runtimev1.InvokeServiceRequest); ok {
		size = int64(len(r.GetMessage().GetData().GetValue()))
	}
	if size > limit {
		return status.Error(codes.ResourceExhausted, (&stream.BodyLimitError{AppID: s.o.API.AppID(), Limit: limit}).Error())
	}
	return nil
}

// metadataFits refuses a call whose metadata is larger than the sidecar accepts,
// before anything else is done for it.
func (s *Server) metadataFits(ctx context.Context, call *tap.Info) (context.Context, error) {
	limit, size := s.o.Limits.Header(), 0
	for name, values := range call.Header {
		for _, v := range values {
			size += len(name) + len(v) + 32 // as HTTP/2 counts
		}
	}
	if size > limit {
		return ctx, status.Errorf(codes.ResourceExhausted, "the metadata is larger than the %d bytes that the sidecar of %s accepts: raise header_limit of the app in mesh.toml (--read-buffer-size)", limit, s.o.API.AppID())
	}
	return ctx, nil
}

func (s *Server) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	defer s.ended(info.FullMethod, &err)
	if err := s.authorize(ss.Context(), info.FullMethod); err != nil {
		return err
	}
	defer rescue(&err)
	return statusOf(next(srv, ss))
}

// ended tells the observer of a call.
func (s *Server) ended(method string, err *error) {
	if s.o.Observer != nil {
		s.o.Observer(method, status.Code(*err))
	}
}

// rescue makes a panic the error of the one call that it happened in.
func rescue(err *error) {
	if v := recover(); v != nil {
		*err = status.Errorf(codes.Internal, "panic while serving the call: %v", v)
	}
}

// health answers gRPC's health protocol with the state that the API reports.
type health struct {
	grpc_health_v1.UnimplementedHealthServer

	api *api.API
}

// Check says SERVING when the app may use the sidecar.
func (h health) Check(_ context.Context, req *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	switch req.GetService() {
	case "", runtimev1.Dapr_ServiceDesc.ServiceName:
	default:
		return nil, status.Errorf(codes.NotFound, "there is no service %q", req.GetService())
	}
	state := grpc_health_v1.HealthCheckResponse_SERVING
	if h.api.OutboundHealth() != nil {
		state = grpc_health_v1.HealthCheckResponse_NOT_SERVING
	}
	return &grpc_health_v1.HealthCheckResponse{Status: state}, nil
}

// Shutdown asks the sidecar to stop.
func (s *Server) Shutdown(context.Context, *runtimev1.ShutdownRequest) (*emptypb.Empty, error) {
	if err := s.o.API.Shutdown(false); err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, nil
}
