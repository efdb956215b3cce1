package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"time"
)

// consume serves POST /receive until ctx ends, then lets running uploads
// finish for a moment.
func consume(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /receive", receive)
	srv := &http.Server{Addr: net.JoinHostPort("127.0.0.1", env("APP_PORT", "8080")), Handler: mux, ReadHeaderTimeout: 10 * time.Second}
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

// receive reads the body slowly and writes one line for every piece, at once,
// while more is still to come.
func receive(w http.ResponseWriter, r *http.Request) {
	out := http.NewResponseController(w)
	if err := out.EnableFullDuplex(); err != nil {
		http.Error(w, err.Error(), http.StatusHTTPVersionNotSupported)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	start, sum, pieces := time.Now(), 0, 0
	for buf := make([]byte, 4*1024); ; {
		n, err := r.Body.Read(buf)
		if n > 0 {
			sum, pieces = sum+n, pieces+1
			fmt.Fprintf(w, "piece %d: %d bytes, %d so far\n", pieces, n, sum)
			if err := out.Flush(); err != nil {
				say("the producer left after %d bytes: %v", sum, err)
				return
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			say("the upload broke after %d bytes: %v", sum, err)
			return
		}
		// A consumer that cannot keep up: this is what back-pressure is for.
		wait := between(20*time.Millisecond, 100*time.Millisecond)
		if rand.N(20) == 0 {
			wait = between(500*time.Millisecond, 1200*time.Millisecond)
		}
		if pause(r.Context(), wait) != nil {
			say("the producer left after %d bytes", sum)
			return
		}
	}
	say("received %d bytes in %d pieces over %v", sum, pieces, time.Since(start).Round(time.Millisecond))
}
