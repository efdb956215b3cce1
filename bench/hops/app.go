package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"time"
)

// serveApp is the app that all ways lead to.
func serveApp(addr string) error {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	})
	mux.HandleFunc("/give", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.ParseInt(r.URL.Query().Get("bytes"), 10, 64) // 0 for nonsense
		w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
		buf := make([]byte, 256<<10)
		for n > 0 {
			m, err := w.Write(buf[:min(n, int64(len(buf)))])
			if err != nil {
				return
			}
			n -= int64(m)
		}
	})
	mux.HandleFunc("/take", func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.CopyBuffer(io.Discard, struct{ io.Reader }{r.Body}, make([]byte, 256<<10)) // the count tells
		fmt.Fprint(w, n)
	})
	mux.HandleFunc("/first", func(w http.ResponseWriter, r *http.Request) { // answers at the first byte, then reads on
		rc := http.NewResponseController(w)
		_ = rc.EnableFullDuplex()
		_, _ = r.Body.Read(make([]byte, 1))
		_, _ = io.WriteString(w, "first\n")
		_ = rc.Flush()
		_, _ = io.Copy(io.Discard, r.Body)
	})
	mux.HandleFunc("/ticks", func(w http.ResponseWriter, r *http.Request) { // n lines with the time, one every 5 ms; for ever without n
		n, _ := strconv.Atoi(r.URL.Query().Get("n"))
		every := 5 * time.Millisecond
		if n == 0 {
			n, every = 1<<30, 5*time.Second
		}
		rc := http.NewResponseController(w)
		w.Header().Set("Content-Type", "text/event-stream")
		t := time.NewTicker(every)
		defer t.Stop()
		for range n {
			if _, err := fmt.Fprintf(w, "%d\n", time.Now().UnixNano()); err != nil {
				return
			}
			_ = rc.Flush()
			select {
			case <-t.C:
			case <-r.Context().Done():
				return
			}
		}
	})
	return listenAndServe(addr, mux)
}

// serveProxy is what a Go programmer would write first.
func serveProxy(addr, target string) error {
	u, err := url.Parse("http://" + target)
	if err != nil {
		return err
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}
	proxy := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(u) },
		Transport:     transport,
		FlushInterval: -1,
	}
	return listenAndServe(addr, proxy)
}

func listenAndServe(addr string, h http.Handler) error {
	srv := &http.Server{Addr: addr, Handler: h, ReadHeaderTimeout: 10 * time.Second}
	return srv.ListenAndServe()
}

type appProcess struct {
	*process
	addr string
}

func startApp(ctx context.Context) (*appProcess, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	p, err := self(ctx, "app", addr)
	if err != nil {
		return nil, err
	}
	if err := awaitHTTP(ctx, addr, "/healthz"); err != nil {
		p.stop()
		return nil, err
	}
	return &appProcess{p, addr}, nil
}
