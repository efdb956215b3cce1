package runtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"

	"mesh/runtime/rpc"
	"mesh/runtime/stream"
)

// panicked is told of a panic in a call from a peer, which ends that call only.
func (s *Sidecar) panicked(v any, stack []byte) {
	s.o.Log.Error("a call from a peer panicked", slog.Any("panic", v), slog.String("stack", string(stack)))
}

// serveInternal serves the gRPC service that sidecars call each other with, and
// the calls of other services that they pass on to our app.
func (s *Sidecar) serveInternal(ctx context.Context, ln net.Listener) error {
	pass := rpc.NewServer(rpc.Options{To: s, AppID: s.o.AppID, Flows: s.o.Flows, Callee: true, Panicked: s.panicked})
	srv := grpc.NewServer(append(stream.ServerOptions(), grpc.UnknownServiceHandler(pass.Serve))...)
	s.in.Register(srv)
	defer pass.Wait()
	defer s.in.Wait()
	served := make(chan error, 1)
	ours := s.in.Server()
	both := newSplit(ln, ours)
	go func() { served <- srv.Serve(both) }()
	defer both.taking.Wait()
	select {
	case err := <-served:
		_ = both.Close()
		srv.Stop()
		ours.Shutdown(0)
		return fmt.Errorf("serving peers on %v: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	late := time.AfterFunc(s.o.Grace, srv.Stop)
	var left sync.WaitGroup
	left.Go(func() { ours.Shutdown(s.o.Grace) })
	srv.GracefulStop() // closes the listener
	left.Wait()
	late.Stop()
	if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("stopping to serve peers on %v: %w", ln.Addr(), err)
	}
	return nil
}
