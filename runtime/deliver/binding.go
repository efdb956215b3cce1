package deliver

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"mesh/runtime/component"
	"mesh/runtime/flow"
	"mesh/runtime/stream"
)

// wants asks the app whether it takes the events of an input binding.
func (s *session) wants(ctx context.Context, name string) bool {
	const limit = 3 * time.Second
	tctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	status, _, err := s.call(tctx, &stream.Call{
		AppID: s.o.AppID, Verb: http.MethodOptions, Path: s.bindingPath(name), Header: http.Header{},
	})
	if err != nil && ctx.Err() == nil {
		s.o.Log.WarnContext(ctx, "asking the app whether it takes an input binding", slog.String("binding", name), slog.Any("error", err))
	}
	return err == nil && (status >= 200 && status <= 299 || status == http.StatusMethodNotAllowed)
}

// bindingPath is where the app takes the events of a binding.
func (s *session) bindingPath(name string) string {
	route, err := s.o.Components.Metadata(component.KindBinding, name, "route")
	if err != nil || route == "" {
		return name
	}
	return strings.TrimLeft(route, "/")
}

// read hands the events of an input binding to the app until ctx ends.
func (s *session) read(ctx context.Context, name string) {
	s.o.Components.Binding(name).Read(ctx, func(hctx context.Context, p component.Payload) (answer []byte, err error) {
		hctx, stop := s.outlive(hctx)
		defer stop()
		path := s.bindingPath(name)
		f := s.o.Flows.Begin(flow.Head{Caller: name, Callee: s.o.AppID, Verb: "event", Path: "/" + path, Kind: "binding"})
		defer func() { f.End(err) }()
		f.Mark(flow.Request, flow.CallerIn, len(p.Data))
		contentType := p.ContentType
		if contentType == "" {
			contentType = "application/json"
		}
		header := http.Header{"Content-Type": {contentType}}
		for k, v := range p.Metadata {
			setHeader(header, k, v)
		}
		status, answer, err := s.call(hctx, &stream.Call{
			AppID: s.o.AppID, Verb: http.MethodPost, Path: path, Header: header,
			Body: bytes.NewReader(p.Data), Length: int64(len(p.Data)), Flow: f,
		})
		if err == nil && (status < 200 || status > 299) {
			err = fmt.Errorf("the app answered %d: %s", status, shorten(answer))
		}
		f.Mark(flow.Reply, flow.CallerOut, len(answer))
		return answer, err
	})
}
