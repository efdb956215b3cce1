// Package latency measures round trips and says how they are spread: quartiles,
// tail, box plots in text and pictures. It reads the files that `ab -g` writes,
// so that runs of other tools can stand beside its own.
package latency

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Sample is one round trip.
type Sample struct {
	Start    time.Duration // since the run began
	Connect  time.Duration // 0 when the connection was there already
	Wait     time.Duration // from the request to the first byte of the reply
	Transfer time.Duration // from there to the last byte
	Total    time.Duration
	Status   int // what was answered; 0 where a file does not say
}

// Series is a run against one target.
type Series struct {
	Name    string
	Samples []Sample // in the order in which they began
	Failed  int
	Took    time.Duration
}

// Run says what to measure and how hard.
type Run struct {
	Name        string
	URL         string
	Header      http.Header
	Count       int
	Concurrency int
	KeepAlive   bool        // keep connections; otherwise one for each round trip, as ab does
	Progress    func(n int) // told how many are done, by several goroutines; may be nil
}

// Measure makes the round trips. A failed one counts in Failed; when all fail,
// the error is the first one's.
func Measure(ctx context.Context, r Run) (*Series, error) {
	transport := &http.Transport{
		DisableKeepAlives: !r.KeepAlive, MaxIdleConnsPerHost: r.Concurrency, DisableCompression: true,
		DialContext: (&net.Dialer{}).DialContext,
	}
	defer transport.CloseIdleConnections()
	s := &Series{Name: r.Name}
	var mu sync.Mutex // of s and first
	var first error
	var next atomic.Int64
	began := time.Now()
	var wg sync.WaitGroup
	for range max(1, r.Concurrency) {
		wg.Go(func() {
			for ctx.Err() == nil && next.Add(1) <= int64(r.Count) {
				sample, err := trip(ctx, transport, r, began)
				mu.Lock()
				if err != nil {
					s.Failed++
					if first == nil {
						first = err
					}
				} else {
					s.Samples = append(s.Samples, sample)
				}
				done := len(s.Samples) + s.Failed
				mu.Unlock()
				if r.Progress != nil {
					r.Progress(done)
				}
			}
		})
	}
	wg.Wait()
	s.Took = time.Since(began)
	slices.SortFunc(s.Samples, func(a, b Sample) int { return int(a.Start - b.Start) })
	if err := context.Cause(ctx); err != nil {
		return s, err
	}
	if len(s.Samples) == 0 {
		return s, fmt.Errorf("measuring %s: %w", r.Name, errors.Join(first, errors.New("no round trip succeeded")))
	}
	return s, nil
}

func trip(ctx context.Context, t http.RoundTripper, r Run, began time.Time) (Sample, error) {
	var dial, connected, wrote, firstByte time.Time
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		ConnectStart:         func(string, string) { dial = time.Now() },
		ConnectDone:          func(string, string, error) { connected = time.Now() },
		WroteRequest:         func(httptrace.WroteRequestInfo) { wrote = time.Now() },
		GotFirstResponseByte: func() { firstByte = time.Now() },
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.URL, http.NoBody)
	if err != nil {
		return Sample{}, err
	}
	if r.Header != nil {
		req.Header = r.Header
	}
	start := time.Now()
	resp, err := t.RoundTrip(req)
	if err != nil {
		return Sample{}, err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return Sample{}, fmt.Errorf("reading the reply: %w", err)
	}
	end := time.Now()
	s := Sample{Start: start.Sub(began), Total: end.Sub(start), Transfer: end.Sub(firstByte), Wait: firstByte.Sub(start), Status: resp.StatusCode}
	if !connected.IsZero() {
		s.Connect = connected.Sub(dial)
	}
	if wrote.After(start) && firstByte.After(wrote) {
		s.Wait = firstByte.Sub(wrote)
	}
	return s, nil
}

// Summary says how durations are spread.
type Summary struct {
	Count                                    int
	Min, Q1, Median, Q3, P95, P99, Max, Mean time.Duration
	LowWhisker, HighWhisker                  time.Duration // the furthest samples within 1.5 times the middle half
}

// Part chooses one of a sample's times.
type Part func(Sample) time.Duration

// Total is the whole round trip.
func Total(s Sample) time.Duration { return s.Total }

// Connect is the making of the connection.
func Connect(s Sample) time.Duration { return s.Connect }

// Wait is the time until the first byte of the reply.
func Wait(s Sample) time.Duration { return s.Wait }

// Transfer is the time from there to the last byte.
func Transfer(s Sample) time.Duration { return s.Transfer }

// Summarize sums up one part of all samples.
func (s *Series) Summarize(part Part) Summary {
	d := make([]time.Duration, 0, len(s.Samples))
	for _, x := range s.Samples {
		d = append(d, part(x))
	}
	slices.Sort(d)
	return summarize(d)
}

func summarize(d []time.Duration) Summary {
	n := len(d)
	if n == 0 {
		return Summary{}
	}
	var sum time.Duration
	for _, x := range d {
		sum += x
	}
	s := Summary{
		Count: n, Min: d[0], Max: d[n-1], Mean: sum / time.Duration(n),
		Q1: quantile(d, 0.25), Median: quantile(d, 0.5), Q3: quantile(d, 0.75), P95: quantile(d, 0.95), P99: quantile(d, 0.99),
	}
	reach := (s.Q3 - s.Q1) * 3 / 2
	low, _ := slices.BinarySearch(d, s.Q1-reach)
	high, _ := slices.BinarySearch(d, s.Q3+reach+1)
	s.LowWhisker, s.HighWhisker = d[min(low, n-1)], d[max(0, high-1)]
	return s
}

// quantile interpolates between the neighbours of the place that q gives.
func quantile(sorted []time.Duration, q float64) time.Duration {
	at := q * float64(len(sorted)-1)
	i := int(math.Floor(at))
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + time.Duration((at-float64(i))*float64(sorted[i+1]-sorted[i]))
}
