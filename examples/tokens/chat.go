package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// chat serves GET /ask?q= and asks a question of its own every few seconds.
func chat(ctx context.Context) error {
	base := "http://127.0.0.1:" + env("DAPR_HTTP_PORT", "3500")
	asking := make(chan struct{})
	go func() {
		defer close(asking)
		keepAsking(ctx, base)
	}()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ask", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query().Get("q")
		if strings.TrimSpace(q) == "" {
			http.Error(w, "ask something: /ask?q=why+is+the+sky+blue", http.StatusBadRequest)
			return
		}
		relay(w, r, base, q)
	})
	err := serve(ctx, mux)
	if ctx.Err() != nil {
		<-asking
	}
	return err
}

// keepAsking asks until ctx ends; after a failure it waits longer each time.
func keepAsking(ctx context.Context, base string) {
	questions := []string{
		"why is the sky blue", "what does a sidecar do", "how long is a stream", "when does a chunk arrive",
		"who holds the bytes", "what is back-pressure", "how do bats see", "why do we sleep",
	}
	broken := 0
	for i := 0; ; i++ {
		wait := between(time.Second, 4*time.Second)
		if err := askOnce(ctx, base, questions[i%len(questions)]); err != nil {
			broken++
			wait = min(time.Duration(broken)*500*time.Millisecond, 10*time.Second) + rand.N(250*time.Millisecond)
			if ctx.Err() == nil {
				say("no answer: %v; again in %v", err, wait.Round(10*time.Millisecond))
			}
		} else {
			broken = 0
		}
		if pause(ctx, wait) != nil {
			return
		}
	}
}

// askOnce asks one question, reads the whole answer and logs how it came.
func askOnce(ctx context.Context, base, q string) error {
	start := time.Now()
	resp, err := ask(ctx, base, q)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var first time.Duration
	tokens, done := 0, false
	events := bufio.NewScanner(resp.Body)
	for events.Scan() {
		line := events.Text()
		switch {
		case line == "event: done":
			done = true
		case strings.HasPrefix(line, "data:") && !done:
			if tokens++; tokens == 1 {
				first = time.Since(start)
			}
		}
	}
	if err := events.Err(); err != nil {
		return fmt.Errorf("after %d tokens: %w", tokens, err)
	}
	if !done {
		return fmt.Errorf("the answer broke off after %d tokens", tokens)
	}
	say("%q: first token after %v, %d tokens in %v, from instance %s", q, first.Round(time.Millisecond),
		tokens, time.Since(start).Round(time.Millisecond), resp.Header.Get("Answered-By"))
	return nil
}

// ask starts a question; the caller closes the body of the reply.
func ask(ctx context.Context, base, q string) (*http.Response, error) {
	target := base + "/v1.0/invoke/answers/method/answer?q=" + url.QueryEscape(q)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/event-stream")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		why, _ := io.ReadAll(io.LimitReader(resp.Body, 1024))
		return nil, fmt.Errorf("%s: %s", resp.Status, why)
	}
	return resp, nil
}

// relay passes the events of an answer on to whoever asked, each as it comes.
func relay(w http.ResponseWriter, r *http.Request, base, q string) {
	resp, err := ask(r.Context(), base, q)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	w.Header().Set("Content-Type", resp.Header.Get("Content-Type"))
	out := http.NewResponseController(w)
	for buf := make([]byte, 4*1024); ; {
		n, err := resp.Body.Read(buf)
		if n > 0 {
			if _, werr := w.Write(buf[:n]); werr != nil {
				return // whoever asked has left
			}
			if out.Flush() != nil {
				return
			}
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			if r.Context().Err() != nil {
				return // whoever asked has left
			}
			say("%q: the answer broke: %v", q, err)
			return
		}
	}
}
