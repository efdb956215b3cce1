package metrics

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func text(t *testing.T, r *Registry) string {
	t.Helper()
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
	if got := w.Header().Get("Content-Type"); !strings.HasPrefix(got, "text/plain; version=0.0.4") {
		t.Errorf("content type %q is not Prometheus text", got)
	}
	return w.Body.String()
}

func wants(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains("\n"+text, "\n"+line+"\n") {
			t.Errorf("no line %s in\n%s", line, text)
		}
	}
}

func TestCountersAndHistograms(t *testing.T) {
	r := New("or\"ders")
	r.Count(HTTPRequests(), "GET", "/v1.0/healthz", "204")
	r.Count(HTTPRequests(), "GET", "/v1.0/healthz", "204")
	r.Observe(HTTPLatency(), 5*time.Millisecond, "GET", "/v1.0/healthz", "204")
	r.Observe(HTTPLatency(), time.Hour, "GET", "/v1.0/healthz", "204")
	labels := `app_id="or\"ders",method="GET",path="/v1.0/healthz",status="204"`
	wants(t, text(t, r),
		"# TYPE dapr_http_server_request_count counter",
		"dapr_http_server_request_count{"+labels+"} 2",
		"# TYPE dapr_http_server_latency histogram",
		`dapr_http_server_latency_bucket{`+labels+`,le="4"} 0`,
		`dapr_http_server_latency_bucket{`+labels+`,le="5"} 1`,
		`dapr_http_server_latency_bucket{`+labels+`,le="100000"} 1`,
		`dapr_http_server_latency_bucket{`+labels+`,le="+Inf"} 2`,
		`dapr_http_server_latency_sum{`+labels+`} 3.600005e+06`,
		`dapr_http_server_latency_count{`+labels+`} 2`,
	)
}

func TestSidecarsOfOneProcessAreApart(t *testing.T) {
	a, b := New("a"), New("b")
	a.Count(ErrorCodes(), "service-invocation", "ERR_DIRECT_INVOKE")
	if got := text(t, b); strings.Contains(got, "ERR_DIRECT_INVOKE") {
		t.Errorf("b shows what a has counted:\n%s", got)
	}
}

func TestProcessMemoryIsShown(t *testing.T) {
	r := New("a")
	r.Process()
	if residentBytes() < 1<<20 {
		t.Errorf("this process says it takes %v bytes", residentBytes())
	}
	if got := text(t, r); !strings.Contains(got, "\nprocess_resident_memory_bytes ") {
		t.Errorf("no memory in\n%s", got)
	}
}

func TestLabelsAreBounded(t *testing.T) {
	r := New("a")
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range maxSeries {
				r.Count(ErrorCodes(), "x", strconv.Itoa(i*maxSeries+j))
			}
		})
	}
	wg.Wait()
	got := text(t, r)
	if n := strings.Count(got, "\n"); n > maxSeries+10 {
		t.Errorf("%d lines for a metric whose labels never repeat", n)
	}
	if !strings.Contains(got, `error_code="other"`) {
		t.Error("what exceeds the bound is not counted at all")
	}
}
