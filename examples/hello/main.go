// Hello is the first program of most who meet Dapr: a producer makes orders, and
// a service keeps the latest one in a state store. The service also tells by a
// message that it has kept the order, and the producer listens.
//
// Both speak plain HTTP to their sidecars, with no library.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	case "producer":
		err = producer(ctx)
	case "orders":
		err = orders(ctx)
	default:
		err = errors.New("usage: hello producer|orders")
	}
	if err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "hello:", err)
		os.Exit(1)
	}
}

// order is what travels.
type order struct {
	Data struct {
		OrderID int `json:"orderId"`
	} `json:"data"`
}

// orders is the service: it keeps what is posted to /neworder and shows it at
// /order.
func orders(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /neworder", func(w http.ResponseWriter, r *http.Request) {
		var o order
		if err := json.NewDecoder(r.Body).Decode(&o); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		entry := []map[string]any{{"key": "order", "value": o.Data}}
		if _, err := sidecar(r.Context(), http.MethodPost, "/v1.0/state/statestore", entry); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		if _, err := sidecar(r.Context(), http.MethodPost, "/v1.0/publish/pubsub/kept", o.Data); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		say("kept order %d", o.Data.OrderID)
	})
	mux.HandleFunc("GET /order", func(w http.ResponseWriter, r *http.Request) {
		b, err := sidecar(r.Context(), http.MethodGet, "/v1.0/state/statestore/order", nil)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(b) // a client that is gone needs no answer
	})
	return serve(ctx, mux)
}

// producer makes an order every second, and hears of those that were kept.
func producer(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /dapr/subscribe", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `[{"pubsubname":"pubsub","topic":"kept","route":"/kept"}]`)
	})
	mux.HandleFunc("POST /kept", func(_ http.ResponseWriter, r *http.Request) {
		var event order // the data of a CloudEvent is where the order is
		if json.NewDecoder(r.Body).Decode(&event) == nil {
			say("heard that order %d is kept", event.Data.OrderID)
		}
	})
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	served := make(chan error, 1)
	go func() {
		defer stop()
		served <- serve(ctx, mux)
	}()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n := 1; ctx.Err() == nil; n++ {
		var o order
		o.Data.OrderID = n
		if _, err := sidecar(ctx, http.MethodPost, "/v1.0/invoke/orders/method/neworder", o); err != nil {
			say("order %d is not taken: %v", n, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	return <-served
}

// sidecar asks the app's own sidecar for something.
func sidecar(ctx context.Context, verb, path string, body any) ([]byte, error) {
	var send io.Reader = http.NoBody
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		send = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, verb, "http://127.0.0.1:"+env("DAPR_HTTP_PORT", "3500")+path, send)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if token := os.Getenv("DAPR_API_TOKEN"); token != "" {
		req.Header.Set("dapr-api-token", token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode > 299 {
		err = fmt.Errorf("%s: %s", resp.Status, b)
	}
	return b, err
}

// serve serves h on APP_PORT until ctx ends, on this host only unless APP_HOST
// says otherwise.
func serve(ctx context.Context, h http.Handler) error {
	srv := &http.Server{Addr: net.JoinHostPort(env("APP_HOST", "127.0.0.1"), env("APP_PORT", "3000")), Handler: h, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- srv.ListenAndServe() }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return srv.Shutdown(grace)
}

func say(format string, args ...any) { fmt.Printf(format+"\n", args...) }

func env(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}
