package runtime

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"

	"mesh/runtime/stream"
)

// serveInternal serves the gRPC service that sidecars call each other with.
func (s *Sidecar) serveInternal(ctx context.Context, ln net.Listener) error {
	srv := grpc.NewServer(stream.ServerOptions()...)
	s.in.Register(srv)
	defer s.in.Wait()
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
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
