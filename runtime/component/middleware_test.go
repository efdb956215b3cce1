package component

import (
	"strings"
	"testing"

	"mesh/runtime/resource"
)

// TestCheckPipelines: a pipeline may name only middleware that is declared.
func TestCheckPipelines(t *testing.T) {
	specs := []resource.Component{
		{Name: "limit", Type: "middleware.http.ratelimit"}, {Name: "store", Type: "state.in-memory"},
	}
	place := resource.Place{File: "config.yaml", Line: 7, Column: 5}
	for _, tc := range []struct {
		handler resource.Handler
		wrong   string
	}{
		{resource.Handler{Name: "limit", Type: "middleware.http.ratelimit"}, ""},
		{resource.Handler{Name: "limit", Type: "middleware.http.RateLimit"}, ""},
		{resource.Handler{Name: "limit", Type: "middleware.http.uppercase", Place: place}, "limit middleware.http.uppercase"},
		{resource.Handler{Name: "absent", Type: "middleware.http.ratelimit", Place: place}, "absent middleware.http.ratelimit"},
		{resource.Handler{Name: "store", Type: "state.in-memory", Place: place}, "store state.in-memory"},
	} {
		for _, c := range []resource.Configuration{{HTTPPipeline: []resource.Handler{tc.handler}}, {AppPipeline: []resource.Handler{tc.handler}}} {
			errs := CheckPipelines([]resource.Configuration{c}, specs)
			if tc.wrong == "" {
				if len(errs) > 0 {
					t.Errorf("%+v: %v", tc.handler, errs)
				}
				continue
			}
			text := errs.Error()
			if !strings.Contains(text, "config.yaml:7:5") || !strings.Contains(text, tc.wrong) || !strings.Contains(text, "middleware.http.routeralias") {
				t.Errorf("%+v: %s", tc.handler, text)
			}
		}
	}
	if err := Check([]resource.Component{{Name: "x", Type: "middleware.http.uppercase"}}, nil); err == nil || !strings.Contains(err.Error(), "middleware.http.bearer") {
		t.Errorf("an unknown type of middleware: %v", err)
	}
}
