package component

import (
	"context"
	"errors"
	"sync"
	"time"
)

// absenceLimit is how long publishing waits for subscriptions that are away. A
// subscription of RabbitMQ tries to come back every 3 s, unless told otherwise.
const absenceLimit = 10 * time.Second

// absentee is a broker whose subscription is away for a while when its server
// was, and may miss for good what others publish meanwhile.
type absentee interface {
	// absences says how often the subscription has gone away. back is closed when
	// it is here again; nil: it is here.
	absences() (n int, back <-chan struct{})
}

// audience is the subscriptions of this process that a slot's publishers have to
// wait for. The zero value is empty.
type audience struct {
	mu      sync.Mutex
	members map[absentee]string // their topics
}

// errAbsent is the error of a message that a subscription may have missed.
var errAbsent = errors.New("a subscription to the topic is not back since the server was away, and may have missed the message")

// join counts a subscription in until leave is called.
func (a *audience) join(m absentee, topic string) (leave func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.members == nil {
		a.members = map[absentee]string{}
	}
	a.members[m] = topic
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.members, m)
	}
}

// publish sends a message, and sends it again once all subscriptions to its topic
// are back when one was away meanwhile: a server may accept messages for
// which it does not have the queue yet. Those that have it get the message twice.
func (a *audience) publish(ctx context.Context, topic string, send func() error) error {
	var limit <-chan time.Time
	for {
		before := a.present(topic)
		if err := send(); err != nil {
			return err
		}
		back, missed := a.missed(before)
		if !missed {
			return nil
		}
		if back == nil {
			continue
		}
		if limit == nil {
			t := time.NewTimer(absenceLimit)
			defer t.Stop()
			limit = t.C
		}
		select {
		case <-back:
		case <-limit:
			return errAbsent
		case <-ctx.Done():
			return errors.Join(errAbsent, context.Cause(ctx))
		}
	}
}

// wasAway stands for the absences of a subscription that is away.
const wasAway = -1

// present gives the subscriptions to a topic with how often they have been away.
func (a *audience) present(topic string) map[absentee]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all map[absentee]int
	for m, of := range a.members {
		if of != topic {
			continue
		}
		if all == nil {
			all = map[absentee]int{}
		}
		n, back := m.absences()
		if back != nil {
			n = wasAway
		}
		all[m] = n
	}
	return all
}

// missed says whether a subscription was away since present has given them, and
// gives one that still is: back is closed when it is here, and nil when all are.
func (a *audience) missed(before map[absentee]int) (back <-chan struct{}, missed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for m, n := range before {
		if _, member := a.members[m]; !member {
			continue
		}
		now, away := m.absences()
		if away != nil {
			return away, true
		}
		missed = missed || now != n
	}
	return nil, missed
}
