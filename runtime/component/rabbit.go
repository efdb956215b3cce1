package component

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/dapr/components-contrib/pubsub"
	"github.com/dapr/components-contrib/pubsub/rabbitmq"
	"github.com/dapr/kit/logger"
)

// rabbit is contrib's RabbitMQ, whose Publish succeeds also when the server has
// refused the message or was lost before it confirmed it, with publisherConfirm.
// It says so nowhere but in its log, and gives nobody its connection, which is
// why this one listens to the log; TestRabbitMQ tells when the words
// change. The log does not name the message: one that is under way when another
// one gets lost is said to be lost too, and comes twice when it is sent again.
type rabbit struct {
	pubsub.PubSub
	lost atomic.Int64 // messages without a confirmation
}

func newRabbit(log logger.Logger) pubsub.PubSub {
	r := &rabbit{}
	r.PubSub = rabbitmq.NewRabbitMQ(&confirmLog{Logger: log, lost: &r.lost})
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

// confirmLog counts what the log says of messages that were not confirmed.
type confirmLog struct {
	logger.Logger
	lost *atomic.Int64
}

// Errorf implements logger.Logger.
func (l *confirmLog) Errorf(format string, args ...any) {
	if strings.Contains(fmt.Sprintf(format, args...), "did not receive confirmation") {
		l.lost.Add(1)
	}
	l.Logger.Errorf(format, args...)
}
