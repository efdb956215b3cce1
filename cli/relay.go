package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/spf13/cobra"

	"mesh/relay"
)

// relayFlags is what the flags of `mesh relay` say.
type relayFlags struct {
	http, grpc, toHTTP, toGRPC port
	listen                     string
	wait                       time.Duration
}

// newRelay gives `mesh relay`.
func newRelay(env Env) *cobra.Command {
	f := relayFlags{http: 3500, grpc: 50001, toHTTP: 3500, toGRPC: 50001}
	cmd := &cobra.Command{
		Use:   "relay HOST",
		Short: "Bring a sidecar of another host to localhost",
		Long: `Run beside an app whose sidecar is on another host: the app finds its sidecar at
localhost:3500 and localhost:50001, as if it ran here. Connections are passed on
byte by byte, so that streams and gRPC flow as they are. While the sidecar cannot
be reached, new connections wait for it.`,
		Example: `  mesh relay sidecars.internal
  mesh relay 10.0.0.7 --to-http-port 20495 --to-grpc-port 25915`,
		Args: exactly(1, "say on which host the sidecar is"),
		RunE: func(cmd *cobra.Command, args []string) error { return env.relay(cmd.Context(), &f, args[0]) },
	}
	fs := cmd.Flags()
	fs.Var(&f.http, "http-port", "port here for the HTTP API")
	fs.Var(&f.grpc, "grpc-port", "port here for the gRPC API")
	fs.Var(&f.toHTTP, "to-http-port", "port of the HTTP API on the other host")
	fs.Var(&f.toGRPC, "to-grpc-port", "port of the gRPC API on the other host")
	fs.StringVar(&f.listen, "listen", "127.0.0.1", "address here")
	fs.DurationVar(&f.wait, "wait", 30*time.Second, "how long a new connection waits for the sidecar")
	return cmd
}

func (e Env) relay(ctx context.Context, f *relayFlags, host string) error {
	log := slog.New(slog.NewTextHandler(e.Stderr, nil))
	r, err := relay.New(relay.Options{
		Routes: []relay.Route{
			{Listen: at(f.http, f.listen), To: at(f.toHTTP, host)},
			{Listen: at(f.grpc, f.listen), To: at(f.toGRPC, host)},
		},
		Wait: f.wait, Grace: 5 * time.Second, Log: log,
	})
	if err != nil {
		if _, _, e := net.SplitHostPort(host); e == nil {
			return usage(&hinted{err, "give the ports with --to-http-port and --to-grpc-port"})
		}
		return err
	}
	for i, a := range r.Addrs() {
		_, _ = fmt.Fprintf(e.Stdout, "mesh: %v is %s\n", a, []string{at(f.toHTTP, host), at(f.toGRPC, host)}[i])
	}
	if err := r.Run(ctx); err != nil {
		return err
	}
	if s, ok := errors.AsType[SignalError](context.Cause(ctx)); ok {
		return s
	}
	return nil
}
