package latency

import (
	"bytes"
	"context"
	"fmt"
	"image/png"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/quick"
	"time"
)

func TestQuartiles(t *testing.T) {
	s := &Series{Name: "x"}
	for i := 100; i >= 0; i-- { // 0 to 100 ms
		s.Samples = append(s.Samples, Sample{Total: time.Duration(i) * time.Millisecond})
	}
	got := s.Summarize(Total)
	ms := time.Millisecond
	want := Summary{
		Count: 101, Min: 0, Q1: 25 * ms, Median: 50 * ms, Q3: 75 * ms, P95: 95 * ms, P99: 99 * ms, Max: 100 * ms, Mean: 50 * ms,
		LowWhisker: 0, HighWhisker: 100 * ms,
	}
	if got != want {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	s.Samples = append(s.Samples, Sample{Total: time.Second}) // an outlier does not move the whisker
	if w := s.Summarize(Total).HighWhisker; w > 101*ms {
		t.Errorf("the whisker reaches to %v", w)
	}
}

func TestSummaryIsOrdered(t *testing.T) {
	err := quick.Check(func(raw []uint32) bool {
		s := &Series{}
		for _, n := range raw {
			s.Samples = append(s.Samples, Sample{Total: time.Duration(n)})
		}
		x := s.Summarize(Total)
		return x.Min <= x.LowWhisker && x.LowWhisker <= x.HighWhisker && x.HighWhisker <= x.Max &&
			x.Min <= x.Q1 && x.Q1 <= x.Median && x.Median <= x.Q3 && x.Q3 <= x.P95 && x.P95 <= x.P99 && x.P99 <= x.Max
	}, nil)
	if err != nil {
		t.Error(err)
	}
}

func TestMeasure(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("dapr-app-id") != "web" {
			w.WriteHeader(http.StatusBadRequest)
		}
		_ = http.NewResponseController(w).Flush()
		<-time.After(20 * time.Millisecond)
		fmt.Fprint(w, "late")
	}))
	defer srv.Close()
	done := 0
	s, err := Measure(t.Context(), Run{
		Name: "web", URL: srv.URL, Header: http.Header{"Dapr-App-Id": {"web"}}, Count: 5, Concurrency: 1, Progress: func(n int) { done = n },
	})
	if err != nil || len(s.Samples) != 5 || s.Answers() != "200" || done != 5 {
		t.Fatalf("%+v, %v, told of %d", s, err, done)
	}
	for _, x := range s.Samples {
		if x.Connect <= 0 || x.Transfer < 15*time.Millisecond || x.Wait >= x.Transfer || x.Total < x.Transfer+x.Wait {
			t.Errorf("the parts of a round trip make no sense: %+v", x)
		}
	}
}

func TestMeasureWithoutAnybodyThere(t *testing.T) {
	if _, err := Measure(t.Context(), Run{Name: "nobody", URL: "http://127.0.0.1:1/", Count: 3}); err == nil || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Measure(ctx, Run{Count: 3}); err == nil {
		t.Error("a run that was called off is no error")
	}
}

const abFile = "starttime\tseconds\tctime\tdtime\tttime\twait\n" +
	"Sat Nov 21 20:00:01 2026\t1795291201\t1\t3\t4\t2\n" +
	"Sat Nov 21 20:00:00 2026\t1795291200\t0\t9\t9\t8\n"

func TestReadAB(t *testing.T) {
	all, err := Read(strings.NewReader(abFile), "old.ab")
	if err != nil || len(all) != 1 || len(all[0].Samples) != 2 {
		t.Fatalf("%+v, %v", all, err)
	}
	ms := time.Millisecond
	if got, want := all[0].Samples[0], (Sample{Wait: 8 * ms, Transfer: ms, Total: 9 * ms}); got != want {
		t.Errorf("the first round trip is %+v, want %+v", got, want)
	}
	if got := all[0].Samples[1]; got.Start != time.Second || got.Connect != ms {
		t.Errorf("the second round trip is %+v", got)
	}
	for _, bad := range []string{"", "nonsense\n", abFile + "only\ttwo\n", abFile + "a\tb\tc\td\te\tf\n"} {
		if _, err := Read(strings.NewReader(bad), "bad.ab"); err == nil || !strings.Contains(err.Error(), "bad.ab") {
			t.Errorf("%q: error %v", bad, err)
		}
	}
}

func sample() []*Series {
	a, b := &Series{Name: "healthz"}, &Series{Name: "web ▸ orders", Failed: 2}
	for i := range 100 {
		a.Samples = append(a.Samples, Sample{Start: time.Duration(i) * time.Millisecond, Wait: 90 * time.Microsecond, Total: time.Duration(100+i) * time.Microsecond})
		b.Samples = append(b.Samples, Sample{Start: time.Duration(i) * time.Millisecond, Total: time.Duration(400+10*i) * time.Microsecond, Status: 200})
	}
	b.Samples[7].Status = 500
	return []*Series{a, b}
}

func TestCSVSurvives(t *testing.T) {
	var b bytes.Buffer
	if err := WriteCSV(&b, sample()); err != nil {
		t.Fatal(err)
	}
	got, err := Read(&b, "x.csv")
	if err != nil || len(got) != 2 {
		t.Fatalf("%v, %v", got, err)
	}
	for i, want := range sample() {
		if got[i].Name != want.Name || got[i].Summarize(Total) != want.Summarize(Total) || got[i].Summarize(Wait) != want.Summarize(Wait) || got[i].Refused() != want.Refused() {
			t.Errorf("%s comes back as %+v", want.Name, got[i].Summarize(Total))
		}
	}
}

func TestText(t *testing.T) {
	var b strings.Builder
	Table(&b, sample())
	for _, want := range []string{"healthz", "150µs", "200 × 99, 500 × 1, 2 failed", "–"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, b.String())
		}
	}
	for _, width := range []int{10, 60, 80, 200} {
		b.Reset()
		Boxes(&b, sample(), width)
		for line := range strings.Lines(b.String()) {
			if n := len([]rune(strings.TrimRight(line, "\n"))); n > max(width, 40)+8 {
				t.Errorf("at %d columns a line has %d: %s", width, n, line)
			}
		}
		for _, want := range []string{"┃", "▒", "├", "×", "╷"} {
			if !strings.Contains(b.String(), want) {
				t.Errorf("at %d columns the box plot lacks %s:\n%s", width, want, b.String())
			}
		}
	}
	if c := []rune(sample()[1].Course(10)); len(c) != 10 || c[0] != '▁' || c[9] != '█' {
		t.Errorf("the course of a run that gets slower is %s", string(c))
	}
}

func TestCompareSaysWhatHasChanged(t *testing.T) {
	run := func(name string, totals ...time.Duration) *Series {
		s := &Series{Name: name}
		for i, d := range totals {
			s.Samples = append(s.Samples, Sample{Start: time.Duration(i), Total: d})
		}
		return s
	}
	var b strings.Builder
	Compare(&b, []*Series{run("before: healthz", 200*time.Microsecond), run("other", time.Second), run("healthz", 100*time.Microsecond)})
	if want := "healthz: median 200µs → 100µs (-50 %), p99 200µs → 100µs (-50 %)\n"; b.String() != want {
		t.Errorf("it says %q, want %q", b.String(), want)
	}
	b.Reset()
	refused, fine := run("before: web", 200*time.Microsecond), run("web", 100*time.Microsecond)
	refused.Samples[0].Status, fine.Samples[0].Status = 404, 200
	if Compare(&b, []*Series{refused, fine}); !strings.Contains(b.String(), "! answered 404 → 200") {
		t.Errorf("a refusal is compared with an answer: %q", b.String())
	}
}

// A run of which the second half is slow rises in the plot over time.
func TestCourseOfARun(t *testing.T) {
	s := &Series{Name: "rising"}
	for i := range 1000 {
		total := time.Millisecond
		if i >= 500 {
			total = 8 * time.Millisecond
		}
		s.Samples = append(s.Samples, Sample{Start: time.Duration(i) * time.Millisecond, Total: total})
	}
	parts := s.slices(10)
	if len(parts) != 10 || parts[0].half.Median != time.Millisecond || parts[9].half.Median != 8*time.Millisecond || parts[9].at < 900*time.Millisecond {
		t.Errorf("the parts of the run are %+v", parts)
	}
	marks, _ := course([]*Series{s}, 0)
	var early, late int
	for _, m := range marks {
		if m.fill == colours()[0] && m.x1-m.x0 == 3 {
			if m.x0 < (nameWidth+pictureWidth-40)/2 {
				early = m.y0
			} else {
				late = m.y0
			}
		}
	}
	if late >= early || early == 0 {
		t.Errorf("the fast half is drawn at %d, the slow one at %d", early, late)
	}
}

func TestPictures(t *testing.T) {
	var svg, pixels bytes.Buffer
	if err := SVG(&svg, "a < b", sample()); err != nil || !strings.Contains(svg.String(), "a &lt; b") || !strings.Contains(svg.String(), "web ▸ orders ! 200 × 99, 500 × 1, 2 failed") {
		t.Errorf("the SVG: %v\n%s", err, svg.String())
	}
	if err := PNG(&pixels, "latency", sample()); err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(&pixels)
	if err != nil || img.Bounds().Dx() != pictureWidth {
		t.Errorf("the PNG: %v, %v", img, err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(abFile))
	f.Add([]byte("target,start_us,connect_us,wait_us,transfer_us,total_us,status\nx,1,2,3,4,5,200\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		all, err := Read(bytes.NewReader(text), "fuzz")
		if err != nil {
			return
		}
		var b strings.Builder
		Table(&b, all)
		Boxes(&b, all, 80)
		Compare(&b, all)
		if err := SVG(&bytes.Buffer{}, "fuzz", all); err != nil {
			t.Error(err)
		}
	})
}
