package deliver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"mesh/runtime/cloudevent"
	"mesh/runtime/component"
	"mesh/runtime/flow"
	"mesh/runtime/resource"
	"mesh/runtime/stream"
)

// bulkType is the type of a bulk of events.
const bulkType = "com.dapr.event.sent.bulk"

// grpcApp is an app that is a gRPC server with the service AppCallback.
type grpcApp struct{ o Options }

// subscriptions asks ListTopicSubscriptions.
func (a grpcApp) subscriptions(ctx context.Context) (all []resource.Subscription, found bool) {
	var res runtimev1.ListTopicSubscriptionsResponse
	switch err := a.ask(ctx, runtimev1.AppCallback_ListTopicSubscriptions_FullMethodName, &res); {
	case err == nil:
	case status.Code(err) == codes.Unimplemented:
		return nil, false
	default:
		if ctx.Err() == nil {
			a.o.Log.WarnContext(ctx, "asking the app for its subscriptions", slog.Any("error", err))
		}
		return nil, false
	}
	for _, t := range res.GetSubscriptions() {
		r := resource.Subscription{
			PubSub: t.GetPubsubName(), Topic: t.GetTopic(), Default: t.GetRoutes().GetDefault(),
			DeadLetter: t.GetDeadLetterTopic(), Metadata: t.GetMetadata(),
		}
		for _, one := range t.GetRoutes().GetRules() {
			r.Rules = append(r.Rules, resource.Rule{Match: one.GetMatch(), Path: one.GetPath()})
		}
		if b := t.GetBulkSubscribe(); b.GetEnabled() {
			r.Bulk = &resource.Bulk{MaxMessages: int(b.GetMaxMessagesCount()), MaxAwait: time.Duration(b.GetMaxAwaitDurationMs()) * time.Millisecond}
		}
		all = append(all, r)
	}
	return all, len(all) > 0
}

// message calls OnTopicEvent.
func (a grpcApp) message(ctx context.Context, f *flow.Flow, d *delivery) error {
	req, err := cloudevent.Request(d.event)
	if err != nil {
		return &lostError{err}
	}
	req.Topic, req.PubsubName, req.Path = d.m.Topic, d.sub.PubSub, d.path
	var res runtimev1.TopicEventResponse
	if err := a.call(ctx, f, headers(d), runtimev1.AppCallback_OnTopicEvent_FullMethodName, req, &res); err != nil {
		return refused(f, err)
	}
	err = answered(res.GetStatus())
	f.Answered(err)
	return err
}

// messages calls OnBulkTopicEvent, or what it was called before.
func (a grpcApp) messages(ctx context.Context, f *flow.Flow, all []*delivery) []error {
	sub := all[0].sub
	said := map[string]error{}
	req := &runtimev1.TopicEventBulkRequest{
		Id: all[0].m.ID, Topic: sub.Topic, PubsubName: sub.PubSub, Type: bulkType, Path: all[0].path,
	}
	for _, d := range all {
		e := &runtimev1.TopicEventBulkRequestEntry{EntryId: d.m.ID, ContentType: d.m.ContentType, Metadata: d.m.Metadata}
		if sub.raw() {
			e.Event = &runtimev1.TopicEventBulkRequestEntry_Bytes{Bytes: d.m.Data}
		} else {
			event, err := cloudevent.Entry(d.event)
			if err != nil {
				said[d.m.ID] = &lostError{err}
				continue
			}
			e.Event, e.ContentType = &runtimev1.TopicEventBulkRequestEntry_CloudEvent{CloudEvent: event}, eventType
		}
		req.Entries = append(req.Entries, e)
	}
	var res runtimev1.TopicEventBulkResponse
	err := a.call(ctx, f, nil, runtimev1.AppCallback_OnBulkTopicEvent_FullMethodName, req, &res)
	if status.Code(err) == codes.Unimplemented {
		err = a.call(ctx, f, nil, runtimev1.AppCallbackAlpha_OnBulkTopicEventAlpha1_FullMethodName, req, &res)
	}
	if err != nil {
		return alike(len(all), refused(f, err))
	}
	for _, one := range res.GetStatuses() {
		said[one.GetEntryId()] = answered(one.GetStatus())
	}
	errs := matched(all, said)
	f.Answered(errors.Join(errs...))
	return errs
}

// refused says what an error of the app means: that it has no such method, or
// that it may take the message later.
func refused(f *flow.Flow, err error) error {
	if status.Code(err) == codes.Unimplemented {
		err = &lostError{fmt.Errorf("the app takes no messages (%w)", err)}
	}
	return concluded(f, err)
}

// concluded ends the flow of a call that the app has answered with an error, and
// gives the error back.
func concluded(f *flow.Flow, err error) error {
	if st, ok := status.FromError(err); ok && !isUnreachable(err) && !stream.BrokenOff(st.Code()) {
		f.Answered(err)
	}
	return err
}

// answered gives what a status means.
func answered(s runtimev1.TopicEventResponse_TopicEventResponseStatus) error {
	switch s {
	case runtimev1.TopicEventResponse_SUCCESS:
		return nil
	case runtimev1.TopicEventResponse_DROP:
		return errDrop
	case runtimev1.TopicEventResponse_RETRY:
		return errAgain
	}
	return fmt.Errorf("the app answered with the unknown status %d", s)
}

// wants asks ListInputBindings.
func (a grpcApp) wants(ctx context.Context, name string) bool {
	const limit = 3 * time.Second
	tctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var res runtimev1.ListInputBindingsResponse
	err := a.ask(tctx, runtimev1.AppCallback_ListInputBindings_FullMethodName, &res)
	if err != nil && status.Code(err) != codes.Unimplemented && ctx.Err() == nil {
		a.o.Log.WarnContext(ctx, "asking the app whether it takes an input binding", slog.String("binding", name), slog.Any("error", err))
	}
	return slices.Contains(res.GetBindings(), name)
}

// event calls OnBindingEvent and does what the app answers.
func (a grpcApp) event(ctx context.Context, f *flow.Flow, name string, p component.Payload) ([]byte, error) {
	req := &runtimev1.BindingEventRequest{Name: name, Data: p.Data, Metadata: p.Metadata}
	var res runtimev1.BindingEventResponse
	if err := a.call(ctx, f, nil, runtimev1.AppCallback_OnBindingEvent_FullMethodName, req, &res); err != nil {
		return nil, concluded(f, err)
	}
	if err := a.send(ctx, &res); err != nil {
		a.o.Log.WarnContext(ctx, "sending on what the app answered to an event", slog.String("binding", name), slog.Any("error", err))
	}
	return res.GetData(), nil
}

// send gives an answer's data to the output bindings that it names, one after
// the other until one fails, or all at once.
func (a grpcApp) send(ctx context.Context, res *runtimev1.BindingEventResponse) error {
	one := func(to string) error {
		const operation = "create"
		if _, err := a.o.Components.Binding(to).Invoke(ctx, operation, component.Payload{Data: res.GetData()}); err != nil {
			return fmt.Errorf("output binding %s: %w", to, err)
		}
		return nil
	}
	if res.GetConcurrency() == runtimev1.BindingEventResponse_SEQUENTIAL {
		for _, to := range res.GetTo() {
			if err := one(to); err != nil {
				return err
			}
		}
		return nil
	}
	errs := make([]error, len(res.GetTo()))
	var all sync.WaitGroup
	for i, to := range res.GetTo() {
		all.Go(func() { errs[i] = one(to) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// call calls a method of the app.
func (a grpcApp) call(ctx context.Context, f *flow.Flow, header http.Header, method string, req, res proto.Message) error {
	return a.o.RPC.Callback(ctx, &stream.Call{AppID: a.o.AppID, Path: method, Header: header, Flow: f}, req, res)
}

// ask calls a method that asks the app what it wants to get.
func (a grpcApp) ask(ctx context.Context, method string, res proto.Message) error {
	return a.o.RPC.Callback(ctx, &stream.Call{AppID: a.o.AppID, Path: method, Own: true}, &emptypb.Empty{}, res)
}
