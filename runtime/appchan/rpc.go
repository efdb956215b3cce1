package appchan

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"mesh/runtime/rpc"
	"mesh/runtime/stream"
)

var _ rpc.Handler = (*App)(nil)

// Pass passes a call of one of the app's own services on and returns when it is
// over. A *stream.UnreachableError means that nothing was taken of it.
func (a *App) Pass(ctx context.Context, c *rpc.Call) error {
	if a.o.Addr == "" {
		return a.unreachable(errNoPort)
	}
	if a.rpc == nil {
		return status.Errorf(codes.Unimplemented, `app %s speaks HTTP/1, which cannot carry gRPC: set protocol = "grpc" for it in mesh.toml`, c.AppID)
	}
	if err := a.enter(ctx, c.Flow); err != nil {
		return err
	}
	defer a.leave()
	if a.o.Token != "" {
		md := c.Header.Copy()
		md.Set(rpc.KeyToken, a.o.Token)
		c = c.With(c.AppID, md)
	}
	conn, release, err := a.rpc.use()
	if err != nil {
		return err
	}
	defer release()
	return rpc.Forward(ctx, c, conn, rpc.ToApp)
}

// callsPerConn is how many calls share one connection to an app. Many servers take
// no more, and let the others wait for as long as a stream lives.
const callsPerConn = 100

// rpcConns has the gRPC connections to an app: as many as its calls need. Each
// life of the app's process gets its own: a connection that knew the last one
// would first wait out the delay after its failed attempts to connect.
type rpcConns struct {
	addr string
	tls  bool

	mu  sync.Mutex // held for a few instructions
	now []*rpcConn // the first one with room is used
}

// rpcConn is a connection that is closed when it is no longer one of the present
// ones and nobody uses it.
type rpcConn struct {
	*grpc.ClientConn

	addr    string
	users   int // under the lock of rpcConns, as is the next
	retired bool
}

func newRPCConns(addr string, secure bool) *rpcConns { return &rpcConns{addr: addr, tls: secure} }

// use gives a connection, which is dialled when first needed. Call release when
// the call is over.
func (r *rpcConns) use() (c *rpcConn, release func(), err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c = range r.now {
		if c.users < callsPerConn {
			c.users++
			return c, func() { r.release(c) }, nil
		}
	}
	cc, err := grpc.NewClient("passthrough:///"+r.addr, r.options()...)
	if err != nil {
		return nil, nil, fmt.Errorf("preparing calls to %s: %w", r.addr, err)
	}
	c = &rpcConn{ClientConn: cc, addr: r.addr, users: 1}
	r.now = append(r.now, c)
	return c, func() { r.release(c) }, nil
}

func (r *rpcConns) release(c *rpcConn) {
	r.mu.Lock()
	c.users--
	done := c.retired && c.users == 0
	r.mu.Unlock()
	if done {
		_ = c.Close() // nobody uses it any more
	}
}

// retire gives up the present connections; calls that they carry go on.
func (r *rpcConns) retire() {
	var done []*rpcConn
	r.mu.Lock()
	for _, c := range r.now {
		if c.retired = true; c.users == 0 {
			done = append(done, c)
		}
	}
	r.now = nil
	r.mu.Unlock()
	for _, c := range done {
		_ = c.Close() // nobody uses it
	}
}

// options are those of a connection to an app. There is no keepalive: on one
// host a dead app is seen at once, and many servers punish pings.
func (r *rpcConns) options() []grpc.DialOption {
	creds := insecure.NewCredentials()
	if r.tls {
		creds = credentials.NewTLS(&tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12})
	}
	return []grpc.DialOption{
		grpc.WithTransportCredentials(creds),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return dial(ctx, "tcp", addr) }),
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: dialTimeout,
		}),
		grpc.WithMaxHeaderListSize(maxHead),
		grpc.WithDefaultCallOptions(
			grpc.ForceCodecV2(stream.Codec()),
			grpc.MaxCallRecvMsgSize(math.MaxInt32),
			grpc.MaxCallSendMsgSize(math.MaxInt32),
			// A message is kept for gRPC's own retries only until it is written.
			grpc.MaxRetryRPCBufferSize(0),
		),
	}
}

// Addr gives the host:port of the app.
func (c *rpcConn) Addr() string { return c.addr }

// NewStream opens a call. When the app cannot be reached, the error is a
// *stream.UnreachableError.
func (c *rpcConn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := c.ClientConn.NewStream(ctx, desc, method, opts...)
	switch {
	case err == nil:
		return s, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case status.Code(err) == codes.Unavailable:
		return nil, &stream.UnreachableError{Addr: c.addr, Err: errors.New(status.Convert(err).Message())}
	}
	return nil, err
}

// outgoing gives the context with which the app is called: the headers of a
// Call as metadata, and our token.
func (a *App) outgoing(ctx context.Context, c *stream.Call) context.Context {
	md := rpc.FromHTTP(maps.Collect(c.Headers))
	delete(md, rpc.KeyToken)
	if b := stream.TraceBinary(c.TraceParent()); b != "" {
		md[rpc.KeyTrace] = []string{b}
	}
	if a.o.Token != "" {
		md.Set(rpc.KeyToken, a.o.Token)
	}
	return metadata.NewOutgoingContext(ctx, md)
}
