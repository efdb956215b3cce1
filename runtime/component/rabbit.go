package component

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/dapr/components-contrib/pubsub"
	"github.com/dapr/components-contrib/pubsub/rabbitmq"
	"github.com/dapr/kit/logger"
)

// rabbit is contrib's RabbitMQ, which keeps two things to itself. Its Publish
// succeeds also when the server has refused the message or was lost before it
// confirmed it, with publisherConfirm. And it does not tell that its subscription
// is away, while the server confirms what is published for nobody: one that was
// killed may come back without a binding that it had just agreed to.
//
// It says so nowhere but in its log, and gives nobody its connection, which is
// why this one listens to the log; TestRabbitMQ tells when the words
// change. The log does not name the message: one that is under way when another
// one gets lost is said to be lost too, and comes twice when it is sent again.
type rabbit struct {
	pubsub.PubSub
	lost atomic.Int64 // messages without a confirmation

	// The subscription; there is one at most, see maker.mixesUp.
	mu     sync.Mutex
	here   bool          // it gets messages
	n      int           // how often it went away
	visits int           // connections since it went
	back   chan struct{} // closed when it is here again; nil: nobody needs to wait for it
}

// maxVisits is how many connections a subscription that is away may make before
// nobody waits for it any more: it is the server that does not want it.
const maxVisits = 3

func newRabbit(log logger.Logger) pubsub.PubSub {
	r := &rabbit{}
	r.PubSub = rabbitmq.NewRabbitMQ(&rabbitLog{Logger: log, of: r})
	return r
}

// errUnconfirmed is the error of a message that the server may not have.
var errUnconfirmed = errors.New("the server did not confirm the message")

// Publish implements pubsub.PubSub.
func (r *rabbit) Publish(ctx context.Context, req *pubsub.PublishRequest) error {
	before := r.lost.Load()
	if err := r.PubSub.Publish(ctx, req); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("publishing: %w", context.Cause(ctx)) // it stops trying and says nothing
	}
	if r.lost.Load() != before {
		return errUnconfirmed
	}
	return nil
}

// absences implements absentee.
func (r *rabbit) absences() (n int, back <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n, r.back
}

// leave says that the subscription gets no messages any more.
func (r *rabbit) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.here {
		r.here, r.visits, r.back = false, 0, make(chan struct{})
		r.n++
	}
}

// visit says that there is a new connection.
func (r *rabbit) visit() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.visits++; r.visits > maxVisits {
		r.release()
	}
}

// stay says that the subscription gets messages.
func (r *rabbit) stay() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.here = true
	r.release()
}

// release lets those go who wait for the subscription; r.mu is held.
func (r *rabbit) release() {
	if r.back != nil {
		close(r.back)
		r.back = nil
	}
}

// rabbitLog listens to what contrib's RabbitMQ says.
type rabbitLog struct {
	logger.Logger
	of *rabbit
}

// Errorf implements logger.Logger.
func (l *rabbitLog) Errorf(format string, args ...any) {
	switch text := fmt.Sprintf(format, args...); {
	case strings.Contains(text, "did not receive confirmation"):
		l.of.lost.Add(1)
	case strings.Contains(text, "error in subscriber for"):
		l.of.leave()
	}
	l.Logger.Errorf(format, args...)
}

// Infof implements logger.Logger.
func (l *rabbitLog) Infof(format string, args ...any) {
	if strings.Contains(format, "connected with connectionCount") {
		l.of.visit()
	}
	l.Logger.Infof(format, args...)
}

// Debugf implements logger.Logger.
func (l *rabbitLog) Debugf(format string, args ...any) {
	switch {
	case strings.Contains(format, "subscriber channel closed"):
		l.of.leave()
	case strings.Contains(format, "registered consumer"):
		l.of.stay()
	}
	l.Logger.Debugf(format, args...)
}
