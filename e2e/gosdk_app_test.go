package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dapr/go-sdk/client"
	"github.com/dapr/go-sdk/service/common"
	sdkgrpc "github.com/dapr/go-sdk/service/grpc"
	sdkhttp "github.com/dapr/go-sdk/service/http"
)

// goSDK is an app made with Dapr's Go SDK, unmodified: a service over PROTOCOL
// (http or grpc) and a client. What it is asked to do at /check it does with
// the client, which speaks gRPC.
type goSDK struct {
	client.Client

	id, other string
	arrived   map[string]chan *common.TopicEvent // by route
	ticked    chan struct{}
	unwell    atomic.Bool
}

// sdk is the role "sdk".
func sdk() int {
	s, err := newSDKService()
	if err != nil {
		fmt.Println("no service:", err)
		return 1
	}
	c, err := client.NewClient()
	if err != nil {
		fmt.Println("no client:", err)
		return 1
	}
	defer c.Close()
	a := &goSDK{Client: c, id: os.Getenv("APP_ID"), other: os.Getenv("OTHER"), arrived: map[string]chan *common.TopicEvent{}, ticked: make(chan struct{}, 1)}
	if err := a.register(s); err != nil {
		fmt.Println("no handlers:", err)
		return 1
	}
	go func() {
		wait()
		_ = s.GracefulStop()
	}()
	if err := s.Start(); err != nil && !errors.Is(err, http.ErrServerClosed) {
		fmt.Println("serving:", err)
		return 1
	}
	return 0
}

func newSDKService() (common.Service, error) {
	addr := "127.0.0.1:" + os.Getenv("APP_PORT")
	if os.Getenv("PROTOCOL") == "grpc" {
		return sdkgrpc.NewService(addr)
	}
	return sdkhttp.NewService(addr), nil
}

// register tells the service all that the app takes.
func (a *goSDK) register(s common.Service) error {
	tries := 0
	return errors.Join(
		a.topic(s, common.Subscription{Topic: "plain", Route: "/plain"}, nil),
		a.topic(s, common.Subscription{Topic: "raw", Route: "/raw", Metadata: map[string]string{"rawPayload": "true"}}, nil),
		a.topic(s, common.Subscription{Topic: "dead", Route: "/dead"}, nil),
		a.topic(s, common.Subscription{Topic: "dropped", Route: "/dropped"}, func() (bool, error) { return false, errors.New("not that") }),
		a.topic(s, common.Subscription{Topic: "again", Route: "/again"}, func() (bool, error) {
			if tries++; tries < 3 {
				return true, errors.New("not yet")
			}
			return false, nil
		}),
		a.topic(s, common.Subscription{Topic: "routed", Route: "/big", Match: "event.data.n > 5", Priority: 1}, nil),
		a.topic(s, common.Subscription{Topic: "routed", Route: "/small"}, nil),
		s.AddBindingInvocationHandler("tick", func(context.Context, *common.BindingEvent) ([]byte, error) {
			select {
			case a.ticked <- struct{}{}:
			default:
			}
			return nil, nil
		}),
		s.AddHealthCheckHandler("/healthz", func(context.Context) error {
			if a.unwell.Load() {
				return errors.New("unwell")
			}
			return nil
		}),
		s.AddServiceInvocationHandler("/unwell", func(context.Context, *common.InvocationEvent) (*common.Content, error) {
			a.unwell.Store(true)
			return &common.Content{}, nil
		}),
		s.AddServiceInvocationHandler("/echo", func(_ context.Context, in *common.InvocationEvent) (*common.Content, error) {
			return &common.Content{ContentType: "text/plain", Data: fmt.Appendf(nil, "%s %s %s %s %s", a.id, in.Verb, in.QueryString, in.ContentType, in.Data)}, nil
		}),
		s.AddServiceInvocationHandler("/bye", func(ctx context.Context, _ *common.InvocationEvent) (*common.Content, error) {
			go func() { _ = a.Shutdown(context.WithoutCancel(ctx)) }() // whoever asks wants an answer first
			return &common.Content{}, nil
		}),
		s.AddServiceInvocationHandler("/check", func(ctx context.Context, _ *common.InvocationEvent) (*common.Content, error) {
			answer, err := json.Marshal(map[string][]string{"wrong": a.check(context.WithoutCancel(ctx))})
			return &common.Content{ContentType: "application/json", Data: answer}, err
		}),
	)
}

// topic subscribes to a topic of the app's own; answer says what it thinks of a
// message, nil: it is fine.
func (a *goSDK) topic(s common.Service, sub common.Subscription, answer func() (retry bool, err error)) error {
	route := make(chan *common.TopicEvent, 100)
	a.arrived[strings.TrimPrefix(sub.Route, "/")] = route
	sub.PubsubName, sub.Topic = "pubsub", a.id+"-"+sub.Topic
	return s.AddTopicEventHandler(&sub, func(_ context.Context, e *common.TopicEvent) (bool, error) {
		if answer != nil {
			if retry, err := answer(); err != nil {
				return retry, err
			}
		}
		route <- e
		return false, nil
	})
}

// next waits for what arrives on a route.
func (a *goSDK) next(ctx context.Context, route string) (*common.TopicEvent, error) {
	select {
	case e := <-a.arrived[route]:
		return e, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("nothing arrives on %s: %w", route, context.Cause(ctx))
	}
}

// verify is one expectation; it says what is not as it should be.
type verify func(what string, ok bool, err error)

// check uses every building block and says what is not as it should be.
func (a *goSDK) check(ctx context.Context) []string {
	wrong := []string{}
	for name, one := range map[string]func(context.Context, verify){
		"state": a.checkState, "query": a.checkQuery, "pubsub": a.checkPubSub, "bulk": a.checkBulk, "streams": a.checkStreams,
		"invocation": a.checkInvocation, "bindings": a.checkBindings, "secrets": a.checkSecrets,
		"configuration": a.checkConfiguration, "locks": a.checkLocks, "metadata": a.checkMetadata,
	} {
		limited, cancel := context.WithTimeout(ctx, patience)
		one(limited, func(what string, ok bool, err error) {
			if err != nil || !ok {
				wrong = append(wrong, fmt.Sprintf("%s: %s: %v, %v", name, what, ok, err))
			}
		})
		cancel()
	}
	return wrong
}

// until waits until something is so.
func until(ctx context.Context, ok func() bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
