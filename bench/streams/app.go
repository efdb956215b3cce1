package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
)

// serve is the app that is called: POST /take answers at the first byte and
// then swallows the rest, GET /give sends ?bytes= of zeros.
func serve(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("POST /take", take)
	mux.HandleFunc("GET /give", give)
	srv := &http.Server{
		Addr:              net.JoinHostPort("127.0.0.1", os.Getenv("APP_PORT")),
		Handler:           mux,
		ReadHeaderTimeout: 10 * time.Second,
	}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func take(w http.ResponseWriter, r *http.Request) {
	out := http.NewResponseController(w)
	if err := out.EnableFullDuplex(); err != nil {
		http.Error(w, err.Error(), http.StatusHTTPVersionNotSupported)
		return
	}
	var sum int64
	for buf := make([]byte, 256*1024); ; {
		n, err := r.Body.Read(buf)
		if n > 0 && sum == 0 {
			if _, err := io.WriteString(w, "first\n"); err != nil || out.Flush() != nil {
				return
			}
		}
		sum += int64(n)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return
		}
	}
	fmt.Fprintf(w, "%d\n", sum)
}

func give(w http.ResponseWriter, r *http.Request) {
	left, err := strconv.ParseInt(r.URL.Query().Get("bytes"), 10, 64)
	if err != nil {
		http.Error(w, "bytes is a number", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(left, 10))
	for block := make([]byte, 256*1024); left > 0; {
		n, err := w.Write(block[:min(left, int64(len(block)))])
		if err != nil {
			return
		}
		left -= int64(n)
	}
}
