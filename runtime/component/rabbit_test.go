package component

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// testRabbitMQForgets: a message that the server confirms while the queue of a
// subscription has no binding, as after a crash, is sent again when the
// subscription has made it anew.
func testRabbitMQForgets(t *testing.T, addr string) {
	t.Helper()
	p := proxyAMQP(t, addr)
	l := running(t, Options{})
	apply(t, l, declare("pubsub", "pubsub.rabbitmq", "connectionString", "amqp://guest:guest@"+p.l.Addr().String(), "publisherConfirm", "true", "durable", "true", "deletedWhenUnused", "false", "reconnectWaitSeconds", "1s"))
	broker := l.App("app").PubSub("pubsub")
	var in inbox
	subscribe(t, broker, "forgets", in.handle)
	publish(t, broker, "forgets", "early")
	eventually(t, "a message arrives", func() bool { return slices.Contains(in.all(), "early") })

	channel := channelTo(t, "amqp://guest:guest@"+addr)
	declared, confirmed, release := p.stall()
	defer release()
	if err := channel.QueueUnbind("app-forgets", "", "forgets", nil); err != nil {
		t.Fatal(err)
	}
	p.drop()
	acknowledged := make(chan struct{})
	go func() {
		defer close(acknowledged)
		for t.Context().Err() == nil {
			if broker.Publish(t.Context(), &Message{Topic: "forgets", Data: []byte("late")}) == nil {
				return
			}
		}
	}()
	await := func(what string, happened <-chan struct{}) {
		t.Helper()
		select {
		case <-happened:
		case <-time.After(wait):
			t.Fatalf("not within %v: %s", wait, what)
		}
	}
	await("the subscription is about to come back", declared)
	await("the server has confirmed the message", confirmed)
	release()
	await("the message is acknowledged", acknowledged)
	eventually(t, "what was acknowledged arrives", func() bool { return slices.Contains(in.all(), "late") })
}

// amqpProxy passes AMQP on, frame by frame.
type amqpProxy struct {
	l  net.Listener
	to string

	mu        sync.Mutex
	conns     []net.Conn
	hold      chan struct{} // who declares a queue waits until it is closed; nil: nobody waits
	declared  func()        // called when somebody waits
	confirmed func()        // called when the server confirms a message
}

func proxyAMQP(t *testing.T, to string) *amqpProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &amqpProxy{l: l, to: to, declared: func() {}, confirmed: func() {}}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				_ = client.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, client, server)
			p.mu.Unlock()
			const header = 8 // a client begins with it
			all.Go(func() { p.pass(server, client, header) })
			all.Go(func() { p.pass(client, server, 0) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		p.drop()
		all.Wait()
	})
	return p
}

// stall keeps queues from being declared until release. The channels are closed
// when somebody has tried, and when the server has confirmed a message.
func (p *amqpProxy) stall() (declared, confirmed <-chan struct{}, release func()) {
	d, c, hold := make(chan struct{}), make(chan struct{}), make(chan struct{})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hold = hold
	p.declared, p.confirmed = sync.OnceFunc(func() { close(d) }), sync.OnceFunc(func() { close(c) })
	return d, c, sync.OnceFunc(func() { close(hold) })
}

// drop breaks all connections off.
func (p *amqpProxy) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

// Methods of AMQP 0-9-1: class and method.
const (
	queueDeclare = "\x00\x32\x00\x0a"
	basicAck     = "\x00\x3c\x00\x50"
)

// pass passes on what comes before the first frame, and then frames, until either
// side ends.
func (p *amqpProxy) pass(to, from net.Conn, before int64) {
	defer to.Close()
	if _, err := io.CopyN(to, from, before); err != nil {
		return
	}
	for {
		const head, end = 7, 1
		var first [head]byte
		if _, err := io.ReadFull(from, first[:]); err != nil {
			return
		}
		frame := make([]byte, head+binary.BigEndian.Uint32(first[3:])+end)
		copy(frame, first[:])
		if _, err := io.ReadFull(from, frame[head:]); err != nil {
			return
		}
		p.mu.Lock()
		hold, declared, confirmed := p.hold, p.declared, p.confirmed
		p.mu.Unlock()
		switch method := frame[head:]; {
		case before > 0 && hold != nil && bytes.HasPrefix(method, []byte(queueDeclare)):
			declared()
			<-hold
		case before == 0 && bytes.HasPrefix(method, []byte(basicAck)):
			confirmed()
		}
		if _, err := to.Write(frame); err != nil {
			return
		}
	}
}

// member is a subscription that goes and comes as a test wants.
type member struct {
	mu   sync.Mutex
	n    int
	back chan struct{}
}

func (m *member) absences() (int, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.n, m.back
}

func (m *member) leave() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.n, m.back = m.n+1, make(chan struct{})
}

func (m *member) stay() {
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.back)
	m.back = nil
}

// TestAudience: a message is sent again as soon as those are back who may have
// missed it, and it is an error when they do not come back.
func TestAudience(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		before func(m *member)          // before the message is sent
		during func(m *member, try int) // while it is
		leaves bool                     // the subscription ends for good meanwhile
		other  bool                     // it is to another topic
		sent   int
		took   time.Duration
		err    error
	}{
		{name: "here", sent: 1},
		{name: "back in time", before: func(m *member) { m.leave() }, during: func(m *member, try int) {
			if try == 1 {
				time.AfterFunc(time.Second, m.stay)
			}
		}, sent: 2, took: time.Second},
		{name: "away and back meanwhile", during: func(m *member, try int) {
			if try == 1 {
				m.leave()
				m.stay()
			}
		}, sent: 2},
		{name: "away meanwhile, back later", during: func(m *member, try int) {
			if try == 1 {
				m.leave()
				time.AfterFunc(2*time.Second, m.stay)
			}
		}, sent: 2, took: 2 * time.Second},
		{name: "not back", before: func(m *member) { m.leave() }, sent: 1, took: absenceLimit, err: errAbsent},
		{name: "ended", before: func(m *member) { m.leave() }, leaves: true, sent: 1},
		{name: "of another topic", before: func(m *member) { m.leave() }, other: true, sent: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var a audience
				m, topic := &member{}, "orders"
				if c.other {
					topic = "others"
				}
				end := a.join(m, topic)
				if c.before != nil {
					c.before(m)
				}
				began, sent := time.Now(), 0
				err := a.publish(t.Context(), "orders", func() error {
					sent++
					if c.during != nil {
						c.during(m, sent)
					}
					if c.leaves {
						end()
					}
					return nil
				})
				if !errors.Is(err, c.err) || sent != c.sent || time.Since(began) != c.took {
					t.Errorf("sent %d times in %v: %v; want %d in %v: %v", sent, time.Since(began), err, c.sent, c.took, c.err)
				}
			})
		})
	}
}

// TestRabbitUnwanted: a subscription that its server refuses again and again is
// waited for no more.
func TestRabbitUnwanted(t *testing.T) {
	t.Parallel()
	r := &rabbit{}
	log := &rabbitLog{Logger: contribLog{to: slog.New(slog.DiscardHandler)}, of: r}
	away := func() bool {
		_, back := r.absences()
		return back != nil
	}
	log.Debugf("registered consumer %s", "c")
	log.Debugf("subscriber channel closed for topic %s", "t")
	for i := range maxVisits + 2 {
		if want := i <= maxVisits; away() != want {
			t.Errorf("after %d connections away is %v, want %v", i, away(), want)
		}
		log.Infof("connected with connectionCount=%d", i)
		log.Errorf("error in subscriber for %s", fmt.Sprint("queue ", i))
	}
}
