package standalone

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"mesh/runtime/apphealth"
)

const (
	dialEvery = 100 * time.Millisecond
	dialLimit = 500 * time.Millisecond
	sayEvery  = 10 * time.Second
)

// attend waits for the app, lets calls through, and watches its health if that
// is wished for, until ctx ends.
func (s *Sidecar) attend(ctx context.Context) error {
	if !s.await(ctx, s.componentsLoaded) {
		return nil
	}
	if s.o.AppPort == 0 {
		s.healthy.Store(true)
		s.o.Log.InfoContext(ctx, "dapr initialized. Status: Running.", slog.String("app", "none"))
		<-ctx.Done()
		return nil
	}
	addr := net.JoinHostPort(s.o.AppHost, strconv.Itoa(s.o.AppPort))
	s.o.Log.InfoContext(ctx, "waiting for the app to listen", slog.String("address", addr), slog.String("protocol", s.o.Protocol))
	began := time.Now()
	client := s.client()
	defer client.CloseIdleConnections()
	if !s.await(ctx, func() error { return dial(ctx, addr) }) {
		return nil
	}
	s.o.Log.InfoContext(ctx, "the app listens", slog.String("address", addr))
	if s.speaksHTTP() && !s.o.NoConfig {
		// Its port may be open long before anybody answers.
		if !s.await(ctx, func() error { return s.get(ctx, client, addr, "/dapr/config") }) {
			return nil
		}
	}
	if s.o.Health == nil {
		s.healthy.Store(true)
		s.inner.App().Open()
		s.o.Log.InfoContext(ctx, "dapr initialized. Status: Running.", slog.Duration("app_after", time.Since(began).Round(time.Millisecond)))
		<-ctx.Done()
		return nil
	}
	s.o.Log.InfoContext(ctx, "dapr initialized. Status: Running.", slog.String("app", "its health is checked"))
	s.inner.App().Refuse(errUnhealthy)
	app := apphealth.App{Addr: addr, Protocol: s.o.Protocol, Path: s.o.Health.Path, Token: s.o.AppToken}
	s.watch(ctx, app.Ask)
	return nil
}

// Why the app gets no calls; nobody waits for it, as with a daprd.
var (
	errNotListening = errors.New("the app does not listen yet")
	errUnhealthy    = errors.New("app is not in a healthy state")
	errLoading      = errors.New("its components are being loaded")
)

func (s *Sidecar) componentsLoaded() error {
	if !s.loaded.Load() {
		return errLoading
	}
	return nil
}

// await tries until it works; false means that ctx has ended.
func (s *Sidecar) await(ctx context.Context, try func() error) bool {
	tick := time.NewTicker(dialEvery)
	defer tick.Stop()
	said := time.Now()
	for {
		err := try()
		if err == nil {
			return true
		}
		if time.Since(said) > sayEvery {
			said = time.Now()
			s.o.Log.InfoContext(ctx, "still waiting for the app", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}

func dial(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return c.Close()
}

func (s *Sidecar) speaksHTTP() bool {
	return s.o.Protocol != "grpc" && s.o.Protocol != "grpcs"
}

// client asks the app in its own protocol.
func (s *Sidecar) client() *http.Client {
	t := &http.Transport{Protocols: new(http.Protocols)}
	switch s.o.Protocol {
	case "h2c":
		t.Protocols.SetUnencryptedHTTP2(true)
	case "https":
		t.Protocols.SetHTTP1(true)
		t.Protocols.SetHTTP2(true)
		t.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // as Dapr does: an app's certificate is its own
	default:
		t.Protocols.SetHTTP1(true)
	}
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// get asks the app for a path; any answer will do.
func (s *Sidecar) get(ctx context.Context, client *http.Client, addr, path string) error {
	scheme := "http"
	if s.o.Protocol == "https" {
		scheme = "https"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+addr+path, http.NoBody)
	if err != nil {
		return fmt.Errorf("asking the app for %s: %w", path, err)
	}
	req.Header.Set("dapr-app-id", s.o.AppID)
	if s.o.AppToken != "" {
		req.Header.Set("dapr-api-token", s.o.AppToken)
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	return err
}

// watch checks the app's health until ctx ends. The app gets calls from its
// first success on, until it has failed too often in a row.
func (s *Sidecar) watch(ctx context.Context, probe func(context.Context) error) {
	h := s.o.Health
	tick := time.NewTicker(h.Interval)
	defer tick.Stop()
	for failed := 0; ; {
		err := within(ctx, h.Timeout, probe)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			failed = 0
			if !s.healthy.Swap(true) {
				s.inner.App().Open()
				s.o.Log.InfoContext(ctx, "the app is healthy")
			}
		default:
			failed++
			if failed == h.Threshold && s.healthy.Swap(false) {
				s.inner.App().Refuse(errUnhealthy)
				s.o.Log.WarnContext(ctx, "the app is not healthy", slog.Any("error", err))
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// within gives f a limited time.
func within(ctx context.Context, limit time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return f(ctx)
}
