package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"time"
)

// store serves PUT /files/{name} until ctx ends, then lets running uploads
// finish for a moment.
func store(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /files/{name}", put)
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

// put counts and hashes one file and keeps nothing of it.
func put(w http.ResponseWriter, r *http.Request) {
	start, sum := time.Now(), sha256.New()
	n, err := io.CopyBuffer(sum, r.Body, make([]byte, 256*1024))
	if err != nil {
		say("%s broke off after %d MiB: %v", r.PathValue("name"), n>>20, err)
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	d := time.Since(start)
	say("%s: %d MiB in %v, %s", r.PathValue("name"), n>>20, d.Round(time.Millisecond), rate(n, d))
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(receipt{Bytes: n, SHA256: hex.EncodeToString(sum.Sum(nil))}); err != nil {
		say("%s: answering: %v", r.PathValue("name"), err)
	}
}
