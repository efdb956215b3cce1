package grpcapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"mesh/runtime/api"
	"mesh/runtime/cloudevent"
)

// SubscribeTopicEventsAlpha1 sends the events of a topic down the stream, and
// reads there what the app says to each.
func (s *Server) SubscribeTopicEventsAlpha1(out runtimev1.Dapr_SubscribeTopicEventsAlpha1Server) error {
	first, err := out.Recv()
	if err != nil {
		return err
	}
	req := first.GetInitialRequest()
	if req == nil {
		return status.Error(codes.InvalidArgument, "the first message of the stream must be the initial request")
	}
	t := api.Topic{PubSub: req.GetPubsubName(), Topic: req.GetTopic(), DeadLetter: req.GetDeadLetterTopic(), Metadata: req.GetMetadata()}
	if err := s.o.API.MaySubscribe(t); err != nil {
		return err
	}
	ctx, end := context.WithCancel(out.Context())
	defer end()
	e := &eventStream{out: out, pubsub: t.PubSub, waiting: map[string]chan error{}}
	if err := e.send(&runtimev1.SubscribeTopicEventsResponseAlpha1{
		SubscribeTopicEventsResponseType: &runtimev1.SubscribeTopicEventsResponseAlpha1_InitialResponse{
			InitialResponse: &runtimev1.SubscribeTopicEventsResponseInitialAlpha1{},
		},
	}); err != nil {
		return err
	}
	read := make(chan error, 1)
	go func() { // ends with the stream, which ends when this method returns
		read <- e.read()
		end()
	}()
	if err := s.o.API.Subscribe(ctx, t, e.take); err != nil {
		return err
	}
	select {
	case err := <-read:
		return err
	default:
		return nil
	}
}

// eventStream is a stream of events with those that the app has not answered.
type eventStream struct {
	out     runtimev1.Dapr_SubscribeTopicEventsAlpha1Server
	pubsub  string
	sending sync.Mutex

	mu      sync.Mutex
	waiting map[string]chan error // by the id of the event
}

func (e *eventStream) send(m *runtimev1.SubscribeTopicEventsResponseAlpha1) error {
	e.sending.Lock()
	defer e.sending.Unlock()
	return e.out.Send(m)
}

// read takes the app's answers until the stream ends.
func (e *eventStream) read() error {
	for {
		m, err := e.out.Recv()
		if err != nil {
			if errors.Is(err, io.EOF) || e.out.Context().Err() != nil {
				return nil //nolint:nilerr // the app has had enough, or has left: such streams end so
			}
			return err
		}
		done := m.GetEventProcessed()
		if done == nil {
			return status.Error(codes.InvalidArgument, "the stream has its initial request already")
		}
		e.mu.Lock()
		answer := e.waiting[done.GetId()]
		delete(e.waiting, done.GetId())
		e.mu.Unlock()
		if answer != nil {
			answer <- verdict(done.GetStatus().GetStatus())
		}
	}
}

func verdict(s runtimev1.TopicEventResponse_TopicEventResponseStatus) error {
	switch s {
	case runtimev1.TopicEventResponse_SUCCESS:
		return nil
	case runtimev1.TopicEventResponse_DROP:
		return api.ErrDrop
	case runtimev1.TopicEventResponse_RETRY:
	}
	return api.ErrAgain
}

// take sends one event and waits for the app's answer.
func (e *eventStream) take(ctx context.Context, topic string, event map[string]any) error {
	req, err := cloudevent.Request(event)
	if err != nil {
		return fmt.Errorf("%w: %w", api.ErrDrop, err)
	}
	req.Topic, req.PubsubName = topic, e.pubsub
	answer := make(chan error, 1)
	e.mu.Lock()
	if e.waiting[req.GetId()] != nil {
		e.mu.Unlock()
		return errors.New("an event of the same id is being worked on")
	}
	e.waiting[req.GetId()] = answer
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.waiting, req.GetId())
	}()
	if err := e.send(&runtimev1.SubscribeTopicEventsResponseAlpha1{
		SubscribeTopicEventsResponseType: &runtimev1.SubscribeTopicEventsResponseAlpha1_EventMessage{EventMessage: req},
	}); err != nil {
		return err
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
