package latency

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// WriteCSV writes every sample, in microseconds, with the status that was answered.
func WriteCSV(w io.Writer, all []*Series) error {
	out := csv.NewWriter(w)
	_ = out.Write([]string{"target", "start_us", "connect_us", "wait_us", "transfer_us", "total_us", "status"}) // Flush tells
	us := func(d time.Duration) string { return strconv.FormatFloat(float64(d)/1e3, 'f', 1, 64) }
	for _, s := range all {
		for _, x := range s.Samples {
			_ = out.Write([]string{s.Name, us(x.Start), us(x.Connect), us(x.Wait), us(x.Transfer), us(x.Total), strconv.Itoa(x.Status)})
		}
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("writing the samples: %w", err)
	}
	return nil
}

// Read reads samples that WriteCSV or `ab -g` has written. name is that of the
// file, for errors and, with ab, for the series.
func Read(r io.Reader, name string) ([]*Series, error) {
	in := bufio.NewReader(r)
	head, err := in.Peek(64)
	if len(head) == 0 && err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	switch {
	case strings.HasPrefix(string(head), "starttime"):
		return readAB(in, name)
	case strings.HasPrefix(string(head), "target,"):
		return readCSV(in, name)
	}
	return nil, fmt.Errorf("reading %s: it is neither what `ab -g` nor what `mesh bench --csv` writes", name)
}

// readAB reads lines of: starttime seconds ctime dtime ttime wait, apart by
// tabs, times in milliseconds. ab sorts them by total time; the seconds give
// their order back.
func readAB(in *bufio.Reader, name string) ([]*Series, error) {
	s := &Series{Name: name}
	var first int64
	lines := bufio.NewScanner(in)
	for n := 1; lines.Scan(); n++ {
		if n == 1 {
			continue
		}
		f := strings.Split(lines.Text(), "\t")
		if len(f) != 6 {
			return nil, fmt.Errorf("reading %s: line %d has %d columns, want 6", name, n, len(f))
		}
		var v [5]int64
		for i := range v {
			var err error
			if v[i], err = strconv.ParseInt(strings.TrimSpace(f[i+1]), 10, 64); err != nil {
				return nil, fmt.Errorf("reading %s: line %d, column %d: %w", name, n, i+2, err)
			}
		}
		if first == 0 || v[0] < first {
			first = v[0]
		}
		ms := func(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
		s.Samples = append(s.Samples, Sample{
			Start: time.Duration(v[0]) * time.Second, Connect: ms(v[1]), Wait: ms(v[4]), Transfer: ms(v[2] - v[4]), Total: ms(v[3]),
		})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	for i := range s.Samples {
		s.Samples[i].Start -= time.Duration(first) * time.Second
	}
	slices.SortStableFunc(s.Samples, func(a, b Sample) int { return int(a.Start - b.Start) })
	return []*Series{s}, nil
}

func readCSV(in io.Reader, name string) ([]*Series, error) {
	rows, err := csv.NewReader(in).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	var all []*Series
	by := map[string]*Series{}
	if len(rows[0]) != 7 { // the reader holds the others to the same number
		return nil, fmt.Errorf("reading %s: it has %d columns, want 7", name, len(rows[0]))
	}
	for i, row := range rows[1:] {
		var d [5]time.Duration
		for j := range d {
			us, err := strconv.ParseFloat(row[j+1], 64)
			if err != nil {
				return nil, fmt.Errorf("reading %s: line %d, column %d: %w", name, i+2, j+2, err)
			}
			d[j] = time.Duration(us * 1e3)
		}
		status, err := strconv.Atoi(row[6])
		if err != nil {
			return nil, fmt.Errorf("reading %s: line %d, column 7: %w", name, i+2, err)
		}
		s := by[row[0]]
		if s == nil {
			s = &Series{Name: row[0]}
			by[row[0]] = s
			all = append(all, s)
		}
		s.Samples = append(s.Samples, Sample{Start: d[0], Connect: d[1], Wait: d[2], Transfer: d[3], Total: d[4], Status: status})
	}
	return all, nil
}
