// Tokens shows the traffic of a chat with a language model: a front asks an
// answering service, which streams its answer token by token as server-sent
// events. Two instances answer, and calls are balanced over them.
package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	role := ""
	if len(os.Args) == 2 {
		role = os.Args[1]
	}
	var err error
	switch role {
	case "chat":
		err = chat(ctx)
	case "answers":
		err = answers(ctx)
	default:
		err = errors.New("usage: tokens chat|answers")
	}
	if err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "tokens:", err)
		os.Exit(1)
	}
}

// serve serves h on APP_PORT until ctx ends, then lets running answers finish
// for a moment.
func serve(ctx context.Context, h http.Handler) error {
	srv := &http.Server{Addr: net.JoinHostPort("127.0.0.1", env("APP_PORT", "8080")), Handler: h, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- srv.ListenAndServe() }()
	say("listening on %s", srv.Addr)
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if srv.Shutdown(grace) != nil {
		return srv.Close()
	}
	return nil
}

// say writes one line for the log of this app.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stdout, format+"\n", args...)
}

// pause waits for d or until ctx ends, and then says why it ended.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// between gives a random duration from low to high.
func between(low, high time.Duration) time.Duration {
	return low + rand.N(high-low)
}

func env(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}
