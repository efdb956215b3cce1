package runtime

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"

	"mesh/runtime/rpc"
	"mesh/runtime/stream"
)

// serveInternal serves the gRPC service that sidecars call each other with, and
// the calls of other services that they pass on to our app.
func (s *Sidecar) serveInternal(ctx context.Context, ln net.Listener) error {
	pass := rpc.NewServer(rpc.Options{To: s, AppID: s.o.AppID, Flows: s.o.Flows, Callee: true})
	srv := grpc.NewServer(append(stream.ServerOptions(), grpc.UnknownServiceHandler(pass.Serve))...)
	s.in.Register(srv)
	defer pass.Wait()
	defer s.in.Wait()
	served := make(chan error, 1)
	go func() { served <- srv.Serve(stream.Listener(ln)) }()
	select {
	case err := <-served:
		srv.Stop()
		return fmt.Errorf("serving peers on %v: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	late := time.AfterFunc(s.o.Grace, srv.Stop)
	srv.GracefulStop()
	late.Stop()
	if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("stopping to serve peers on %v: %w", ln.Addr(), err)
	}
	return nil
}
