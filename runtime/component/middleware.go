package component

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/dapr/components-contrib/metadata"
	"github.com/dapr/components-contrib/middleware"
	"github.com/dapr/components-contrib/middleware/http/bearer"
	"github.com/dapr/components-contrib/middleware/http/oauth2clientcredentials"
	"github.com/dapr/components-contrib/middleware/http/ratelimit"
	"github.com/dapr/components-contrib/middleware/http/routeralias"
	"github.com/dapr/components-contrib/middleware/http/routerchecker"
	"github.com/dapr/kit/logger"

	"mesh/runtime/resource"
)

// Wrap puts a middleware around a handler.
type Wrap = func(next http.Handler) http.Handler

// Middleware gives what the middleware of a name does to the requests of the
// app. Each app has its own, so that limits count what is the app's.
func (a *App) Middleware(name string) (Wrap, error) {
	m, _, done, err := use[*wrapper](a, KindMiddleware, name)
	if err != nil {
		return nil, err
	}
	defer done() // a handler has nothing that closing takes away
	return m.of(a.id)
}

// wrapper is a middleware component: it makes one handler for each app.
type wrapper struct {
	create   func() middleware.Middleware
	life     context.Context //nolint:containedctx // of what the handlers keep up to date, until Close
	end      context.CancelFunc
	metadata middleware.Metadata

	mu    sync.Mutex
	byApp map[string]Wrap
}

// of gives the handler of an app.
func (w *wrapper) of(app string) (Wrap, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if wrap, ok := w.byApp[app]; ok {
		return wrap, nil
	}
	wrap, err := w.create().GetHandler(w.life, w.metadata)
	if err != nil {
		return nil, err
	}
	w.byApp[app] = wrap
	return wrap, nil
}

// CheckPipelines finds middleware of pipelines that is not declared.
func CheckPipelines(all []resource.Configuration, specs []resource.Component) (errs resource.Errors) {
	for i := range all {
		for _, h := range slices.Concat(all[i].HTTPPipeline, all[i].AppPipeline) {
			if slices.ContainsFunc(specs, func(c resource.Component) bool {
				return c.Name == h.Name && (h.Type == "" || strings.EqualFold(c.Type, h.Type)) && kindOf(c.Type) == KindMiddleware
			}) {
				continue
			}
			errs = append(errs, &resource.Error{
				Place: h.Place, Msg: fmt.Sprintf("the pipeline names the middleware %s, which is not declared", strings.TrimSpace(h.Name+" "+h.Type)),
				Hint: "declare a Component of that name and type; types are " + strings.Join(similar(string(KindMiddleware)), ", "),
			})
		}
	}
	return errs
}

// middlewareMakers are the types of middleware that exist.
func middlewareMakers() map[string]maker {
	return map[string]maker{
		"middleware.http.bearer":                  {new: middlewareBackend(bearer.NewBearerMiddleware)},
		"middleware.http.oauth2clientcredentials": {new: middlewareBackend(oauth2clientcredentials.NewOAuth2ClientCredentialsMiddleware)},
		"middleware.http.ratelimit":               {new: middlewareBackend(ratelimit.NewRateLimitMiddleware)},
		"middleware.http.routeralias":             {new: middlewareBackend(routeralias.NewMiddleware)},
		"middleware.http.routerchecker":           {new: middlewareBackend(routerchecker.NewMiddleware)},
	}
}

func middlewareBackend(create func(logger.Logger) middleware.Middleware) func(logger.Logger) backend {
	return func(log logger.Logger) backend {
		w := &wrapper{create: func() middleware.Middleware { return create(log) }, byApp: map[string]Wrap{}}
		w.life, w.end = context.WithCancel(context.Background())
		return backend{
			raw:   w,
			close: func() error { w.end(); return nil },
			init: func(_ context.Context, m metadata.Base) error {
				w.metadata = middleware.Metadata{Base: m}
				if _, err := w.of(""); err != nil { // so that mistakes are found now
					return fmt.Errorf("preparing the middleware: %w", err)
				}
				return nil
			},
			capabilities: func() []string { return nil },
		}
	}
}
