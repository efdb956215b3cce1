package standalone

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"
)

// listenProfiles binds the address of the profiles, if there is one.
func (s *Sidecar) listenProfiles() error {
	if s.o.Profile == "" {
		return nil
	}
	ln, err := new(net.ListenConfig).Listen(context.Background(), "tcp", s.o.Profile)
	if err != nil {
		return fmt.Errorf("listening for profiles: %w", err)
	}
	s.profiles = ln
	if a, ok := ln.Addr().(*net.TCPAddr); ok {
		s.o.ProfilePort = a.Port
	}
	s.o.Log.Info("profiles are served", slog.String("url", "http://"+ln.Addr().String()+"/debug/pprof/"))
	return nil
}

func (s *Sidecar) closeProfiles() {
	if s.profiles != nil {
		_ = s.profiles.Close()
	}
}

// serveProfiles serves the profiles of the process until ctx ends.
func (s *Sidecar) serveProfiles(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(s.profiles); ctx.Err() == nil {
		return fmt.Errorf("serving profiles: %w", err)
	}
	return nil
}
