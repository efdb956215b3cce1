package stream

import (
	"math"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

const (
	// maxMessage is what one message may hold: the limit of gRPC itself, since a
	// unary call is one message. Frames are far smaller.
	maxMessage = math.MaxInt32

	// streamWindow is how much one stream may have under way towards a reader
	// that does not read. Two large frames and their successors: enough for full
	// speed on one host, little enough that back-pressure is felt soon. Setting it also
	// keeps gRPC from growing windows by itself.
	streamWindow = 256 << 10
	connWindow   = 4 << 20

	// What one system call writes or reads at most. A quiet connection holds
	// neither buffer, on Linux.
	writeBuffer = 128 << 10
	readBuffer  = 256 << 10

	// maxHeader is how many bytes of gRPC's metadata a call between sidecars may have:
	// more than a sidecar can be made to take from its clients.
	maxHeader = 16 << 20

	service      = "dapr.proto.internals.v1.ServiceInvocation"
	methodStream = "/" + service + "/CallLocalStream"
	methodUnary  = "/" + service + "/CallLocal"
)

// ServerOptions are those that a gRPC server needs to serve an Inbound. A
// daprd pings every 10 s, whether or not it has calls.
func ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ForceServerCodecV2(codec{}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxSendMsgSize(maxMessage),
		grpc.WriteBufferSize(writeBuffer),
		grpc.ReadBufferSize(readBuffer),
		grpc.InitialWindowSize(streamWindow),
		grpc.InitialConnWindowSize(connWindow),
		grpc.MaxHeaderListSize(maxHeader),
		grpc.WaitForHandlers(true),
	}
}

// dialOptions are those of an Outbound. A peer that went away is tried again
// soon, because on one host it is back soon.
func dialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithNoProxy(),
		grpc.WithWriteBufferSize(writeBuffer),
		grpc.WithReadBufferSize(readBuffer),
		grpc.WithDisableServiceConfig(),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second, PermitWithoutStream: true}),
		grpc.WithIdleTimeout(3 * time.Minute),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: 5 * time.Second,
		}),
		grpc.WithInitialWindowSize(streamWindow),
		grpc.WithInitialConnWindowSize(connWindow),
		grpc.WithMaxHeaderListSize(maxHeader),
		grpc.WithDefaultCallOptions(
			grpc.ForceCodecV2(codec{}),
			grpc.MaxCallRecvMsgSize(maxMessage),
			grpc.MaxCallSendMsgSize(maxMessage),
			// A frame is kept for gRPC's own retries only until it is written.
			grpc.MaxRetryRPCBufferSize(0),
		),
	}
}
