package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
)

// animate makes one SVG that plays a recording over and over. What stays in a
// line from one moment to the next is drawn once, and lines that come and go
// together share what moves them.
func (t picture) animate(in io.Reader, out io.Writer) error {
	head, all, long, err := play(in)
	if err != nil {
		return err
	}
	long = max(long, 0.1)
	w := bufio.NewWriter(out)
	t.begin(w, head.Width, head.Height)
	looks := make([]look, len(all)) // with which the next line of each moment begins
	var order []interval
	shown := map[interval][]byte{}
	show := func(text string, from, to float64) {
		if i := (interval{from / long, to / long}); text != "" && from < to {
			if shown[i] == nil {
				order = append(order, i)
			}
			shown[i] = append(shown[i], text...)
		}
	}
	for row := range head.Height {
		text, from := "", 0.0
		for i := range all {
			now := ""
			if row < len(all[i].lines) {
				var b bytes.Buffer
				looks[i] = t.drawLine(&b, all[i].lines[row], row, head.Width, looks[i])
				now = b.String()
			}
			if i > 0 && now == text {
				continue
			}
			show(text, from, all[i].at)
			text, from = now, all[i].at
		}
		show(text, from, long)
	}
	for _, i := range order {
		i.during(w, shown[i], long)
	}
	fmt.Fprintln(w, "</svg>")
	return w.Flush()
}

// interval is a part of the time, from 0 to 1.
type interval struct{ from, to float64 }

// during shows something in that part of the time.
func (i interval) during(w io.Writer, text []byte, long float64) {
	values, times := "hidden;visible;hidden", fmt.Sprintf("0;%.4f;%.4f", i.from, i.to)
	switch {
	case i.from <= 0 && i.to >= 1:
		fmt.Fprintf(w, "%s", text)
		return
	case i.from <= 0:
		values, times = "visible;hidden", fmt.Sprintf("0;%.4f", i.to)
	case i.to >= 1:
		values, times = "hidden;visible", fmt.Sprintf("0;%.4f", i.from)
	}
	fmt.Fprintf(w, `<g visibility="hidden"><animate attributeName="visibility" values="%s" keyTimes="%s" dur="%.1fs" calcMode="discrete" repeatCount="indefinite"/>`+"\n%s</g>\n", values, times, long, text)
}
