package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// answers serves GET /answer?q= as a stream of events, and GET /healthz.
func answers(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /answer", answer)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	return serve(ctx, mux)
}

// answer thinks for a moment and then streams one event per token; the last
// event is named done.
func answer(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Answered-By", env("APP_PORT", "8080"))
	q, out, start := r.URL.Query().Get("q"), http.NewResponseController(w), time.Now()
	if pause(r.Context(), between(80*time.Millisecond, 400*time.Millisecond)) != nil {
		return
	}
	tokens := compose(q)
	for i, token := range tokens {
		fmt.Fprintf(w, "data: %s\n\n", token)
		if out.Flush() != nil || pause(r.Context(), between(20*time.Millisecond, 120*time.Millisecond)) != nil {
			say("%q: nobody listens any more after %d tokens", q, i+1)
			return
		}
	}
	fmt.Fprint(w, "event: done\ndata: end\n\n")
	say("%q: %d tokens in %v", q, len(tokens), time.Since(start).Round(time.Millisecond))
}

// compose makes up an answer of two to five sentences. It knows nothing, but
// sounds sure, which is enough to fill a stream.
func compose(q string) []string {
	subjects := []string{"the answer", "most of it", "a good part", "what matters", "the rest"}
	verbs := []string{"follows from", "depends on", "begins with", "is hidden by", "waits for"}
	objects := []string{"the smallest piece", "time", "whoever reads last", "a queue nobody sees", "light", "the next token"}
	pick := func(words []string) string { return words[rand.N(len(words))] }
	tokens := strings.Fields("You ask " + strings.TrimRight(q, "?") + ". Well,")
	for range 2 + rand.N(4) {
		tokens = append(tokens, strings.Fields(pick(subjects)+" "+pick(verbs)+" "+pick(objects)+";")...)
	}
	return append(tokens, strings.Fields("so look at the stream, not at its end.")...)
}
