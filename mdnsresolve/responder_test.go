package mdnsresolve

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestTwoRespondersFindEachOther(t *testing.T) {
	a, b := start(t, Options{}), start(t, Options{})
	orders, billing := unique("orders"), unique("billing")
	a.Announce(Service{AppID: orders, Port: 50002})
	b.Announce(Service{AppID: billing, Port: 50003})
	if got := resolve(t, b, orders); !slices.Equal(got, []string{"127.0.0.1:50002"}) {
		t.Errorf("orders is at %v", got)
	}
	if got := resolve(t, a, billing); !slices.Equal(got, []string{"127.0.0.1:50003"}) {
		t.Errorf("billing is at %v", got)
	}
}

// A responder that starts late has missed the announcements and must ask.
func TestLateResponderAsks(t *testing.T) {
	app := unique("orders")
	a := start(t, Options{})
	a.Announce(Service{AppID: app, Instance: "1", Port: 50002})
	b := start(t, Options{})
	if got := resolve(t, b, app); !slices.Equal(got, []string{"127.0.0.1:50002"}) {
		t.Errorf("orders is at %v", got)
	}
}

func TestNewInstanceAppearsWithoutAQuestion(t *testing.T) {
	a, b, c := start(t, Options{}), start(t, Options{}), start(t, Options{})
	app := unique("orders")
	a.Announce(Service{AppID: app, Instance: "1", Port: 50002})
	eventually(t, time.Second, "the first instance is known", knows(c, app, "127.0.0.1:50002"))
	withdraw := b.Announce(Service{AppID: app, Instance: "2", Port: 50003})
	eventually(t, time.Second, "both instances are known", knows(c, app, "127.0.0.1:50002", "127.0.0.1:50003"))
	withdraw()
	eventually(t, 100*time.Millisecond, "the second is gone and the first stays", knows(c, app, "127.0.0.1:50002"))
}

func TestGoodbyeIsHeardAtOnce(t *testing.T) {
	app := unique("orders")
	for _, end := range []string{"withdraw", "run"} {
		t.Run(end, func(t *testing.T) {
			a, err := New(Options{})
			if err != nil {
				t.Fatal(err)
			}
			stop := run(t, a)
			b := start(t, Options{})
			withdraw := a.Announce(Service{AppID: app, Port: 50002})
			resolve(t, b, app)
			if end == "run" {
				withdraw = stop
			}
			withdraw()
			eventually(t, 100*time.Millisecond, "the name is gone", knows(b, app))
		})
	}
}

func TestOwnServicesAreNotResolvedButListed(t *testing.T) {
	a := start(t, Options{Host: "box.example"})
	app := unique("orders")
	a.Announce(Service{AppID: app, Instance: "1", Port: 50002})
	b := start(t, Options{})
	resolve(t, b, app)
	if got := a.Known(app); got != nil {
		t.Errorf("the announcer itself finds %v", got)
	}
	i := slices.IndexFunc(a.Peers(), func(p Peer) bool { return p.AppID == app })
	if i < 0 {
		t.Fatal("the announcer does not list its own service")
	}
	if p := a.Peers()[i]; !p.Own || p.Addr.String() != "127.0.0.1:50002" || !strings.HasPrefix(p.Instance, "box:") {
		t.Errorf("listed as %+v", p)
	}
	i = slices.IndexFunc(b.Peers(), func(p Peer) bool { return p.AppID == app })
	if p := b.Peers()[i]; p.Own || p.Link == "" || !p.Source.IsValid() || p.TTL <= time.Minute || p.Trouble != "" {
		t.Errorf("the other lists it as %+v", p)
	}
}

func TestUnknownAppIsNotFound(t *testing.T) {
	r := start(t, Options{})
	app := unique("nobody")
	began := time.Now()
	_, err := r.Resolve(t.Context(), app)
	var missing *NotFoundError
	if !errors.As(err, &missing) || err.Error() != "couldn't find service: "+app {
		t.Errorf("the error is %v", err)
	}
	if took := time.Since(began); took < giveUp || took > 2*giveUp {
		t.Errorf("giving up took %v", took)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the caller has hung up"))
	if _, err := r.Resolve(ctx, app); err == nil || !strings.Contains(err.Error(), "the caller has hung up") {
		t.Errorf("the error of an ended caller is %v", err)
	}
	if _, err := r.Resolve(t.Context(), strings.Repeat("x", 64)); err == nil || !strings.Contains(err.Error(), "63 bytes") {
		t.Errorf("the error of a long name is %v", err)
	}
}

func TestConcurrentCallersShareOneQuestion(t *testing.T) {
	a, b := start(t, Options{}), start(t, Options{})
	app := unique("orders")
	var wg sync.WaitGroup
	sent := b.counts.sent.Load()
	found := make(chan error, 50)
	for range cap(found) {
		wg.Go(func() {
			_, err := b.Resolve(t.Context(), app)
			found <- err
		})
	}
	eventually(t, time.Second, "the question is heard", func() bool { return b.counts.sent.Load() > sent })
	a.Announce(Service{AppID: app, Port: 50002})
	wg.Wait()
	close(found)
	for err := range found {
		if err != nil {
			t.Errorf("a caller got %v", err)
		}
	}
	if n := b.counts.sent.Load() - sent; n > 3*uint64(len(b.net.Load().links)) {
		t.Errorf("%d packets asked for one name", n)
	}
}

func TestProcesses(t *testing.T) {
	r := start(t, Options{})
	app := unique("orders")
	one := startChild(t, app, "1", 50002)
	if got := resolve(t, r, app); !slices.Equal(got, []string{"127.0.0.1:50002"}) {
		t.Fatalf("the first process is at %v", got)
	}
	two := startChild(t, app, "1", 50003)
	eventually(t, time.Second, "both processes are known", knows(r, app, "127.0.0.1:50002", "127.0.0.1:50003"))

	if err := two.in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := two.Wait(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 100*time.Millisecond, "the second process is gone", knows(r, app, "127.0.0.1:50002"))

	// Killed, it says no goodbye; a refused connection tells.
	if err := one.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = one.Wait()
	r.Failed(app, netip.MustParseAddrPort("127.0.0.1:50002"))
	if got := r.Known(app); got != nil {
		t.Errorf("after the report, %v is still given", got)
	}
	eventually(t, 3*time.Second, "the killed process is forgotten", func() bool {
		return !slices.ContainsFunc(r.Peers(), func(p Peer) bool { return p.AppID == app })
	})
	startChild(t, app, "1", 50004)
	if got := resolve(t, r, app); !slices.Equal(got, []string{"127.0.0.1:50004"}) {
		t.Errorf("the restarted process is at %v", got)
	}
}

// A process that is killed and comes back on the same port takes the place of
// its old name at once; on another port, the old name goes as soon as it has
// not answered.
func TestRestartAfterAKill(t *testing.T) {
	for _, port := range []int{50002, 50003} {
		t.Run(strconv.Itoa(port), func(t *testing.T) {
			r := start(t, Options{})
			app := unique("orders")
			old := startChild(t, app, "1", 50002)
			resolve(t, r, app)
			_ = old.Process.Kill()
			_ = old.Wait()
			age(r, app, time.Minute)
			startChild(t, app, "1", port)
			eventually(t, 3*time.Second, "only the new one is known", knows(r, app, fmt.Sprintf("127.0.0.1:%d", port)))
		})
	}
}

// age makes what r has heard of an app older.
func age(r *Responder, appID string, d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.cache.services {
		for _, i := range s.instances {
			if i.appID != appID {
				continue
			}
			i.heard = i.heard.Add(-d)
			for k := range i.lives {
				i.lives[k].until = i.lives[k].until.Add(-d)
			}
		}
	}
}

// A refused connection does not cost a living sidecar its name.
func TestFailedButAlive(t *testing.T) {
	a, b := start(t, Options{}), start(t, Options{})
	app := unique("orders")
	a.Announce(Service{AppID: app, Port: 50002})
	resolve(t, b, app)
	b.Failed(app, netip.MustParseAddrPort("127.0.0.1:50002"))
	if got := resolve(t, b, app); !slices.Equal(got, []string{"127.0.0.1:50002"}) {
		t.Errorf("after it has answered, it is at %v", got)
	}
	b.Failed(app, netip.MustParseAddrPort("127.0.0.1:1")) // never heard of
	if got := b.Known(app); len(got) != 1 {
		t.Errorf("a report about another address left %v", got)
	}
}

// The same instance announced on another port replaces the first.
func TestMovedPort(t *testing.T) {
	a, b := start(t, Options{}), start(t, Options{})
	app := unique("orders")
	first := a.Announce(Service{AppID: app, Instance: "1", Port: 50002})
	resolve(t, b, app)
	second := a.Announce(Service{AppID: app, Instance: "1", Port: 50003})
	eventually(t, 100*time.Millisecond, "only the new port is known", knows(b, app, "127.0.0.1:50003"))
	first() // too late: its name belongs to the second
	c := start(t, Options{})
	if got := resolve(t, c, app); !slices.Equal(got, []string{"127.0.0.1:50003"}) {
		t.Errorf("after the first was withdrawn, it is at %v", got)
	}
	second()
	eventually(t, 100*time.Millisecond, "it is gone", func() bool { return b.Known(app) == nil && c.Known(app) == nil })
}

func TestAppIDs(t *testing.T) {
	a, b := start(t, Options{}), start(t, Options{})
	for _, name := range []string{"42", "Übung-注文", "a.b", "with space", `quote"and\slash`, "semi;(x)@", "UPPER"} {
		t.Run(name, func(t *testing.T) {
			app := unique(name)
			a.Announce(Service{AppID: app, Instance: name, Port: 50002})
			if got := resolve(t, b, app); !slices.Equal(got, []string{"127.0.0.1:50002"}) {
				t.Errorf("known: %v", got)
			}
		})
	}
	// Names are the same whatever their case; app ids are not.
	app := unique("case")
	a.Announce(Service{AppID: app, Port: 50002})
	resolve(t, b, app)
	if _, err := b.Resolve(t.Context(), strings.ToUpper(app)); err == nil {
		t.Error("an app was found by its id in upper case")
	}
}
