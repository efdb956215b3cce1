package latency

import (
	"fmt"
	"html"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"strings"
	"time"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"
)

// The layout of the pictures, in pixels.
const (
	pictureWidth = 960
	nameWidth    = 220
	rowHeight    = 56
	topMargin    = 44
	axisHeight   = 40
)

// mark is a straight line or a box of a picture, or a text.
type mark struct {
	x0, y0, x1, y1 int
	fill           string // "", or the colour of a filled box
	text           string // at x0, y0
	end            bool   // the text ends there
}

// plot gives the marks of a picture, box plots and below them the course of the
// runs, and its height.
func plot(title string, all []*Series) ([]mark, int) {
	a := newAxis(all, pictureWidth-nameWidth-40)
	x := func(d time.Duration) int { return nameWidth + a.at(d) }
	height := topMargin + rowHeight*len(all) + axisHeight
	marks := []mark{{x0: 16, y0: 26, text: title}}
	for _, d := range a.ticks() {
		marks = append(marks, mark{x0: x(d), y0: topMargin, x1: x(d), y1: height - axisHeight + 6, fill: "#d8dee4"},
			mark{x0: x(d), y0: height - 14, text: Short(d), end: false})
	}
	for i, s := range all {
		t := s.Summarize(Total)
		mid := topMargin + rowHeight*i + rowHeight/2
		line := func(d time.Duration, half int) mark {
			return mark{x0: x(d), y0: mid - half, x1: x(d), y1: mid + half, fill: "#24292f"}
		}
		marks = append(marks,
			mark{x0: nameWidth - 14, y0: mid + 4, text: s.Name, end: true},
			mark{x0: x(t.LowWhisker), y0: mid, x1: x(t.HighWhisker), y1: mid, fill: "#24292f"},
			line(t.LowWhisker, 8), line(t.HighWhisker, 8),
			mark{x0: x(t.Q1), y0: mid - 14, x1: x(t.Q3), y1: mid + 14, fill: "#7cb7ff"},
			line(t.Median, 14))
		for _, d := range []time.Duration{t.P99, t.Max} {
			marks = append(marks, mark{x0: x(d) - 2, y0: mid - 2, x1: x(d) + 2, y1: mid + 2, fill: "#cf222e"})
		}
	}
	more, below := course(all, height+topMargin/2)
	return append(marks, more...), height + topMargin/2 + below
}

// SVG writes a picture. Of the box plots the box is the middle half with the
// median, whiskers reach to 1.5 times it, the dots are p99 and the maximum. In
// the plot over time a bar is the middle half of a part of the run, and a dot
// above it the slowest round trip.
func SVG(w io.Writer, title string, all []*Series) error {
	marks, height := plot(title, all)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13"><rect width="100%%" height="100%%" fill="#ffffff"/>`+"\n", pictureWidth, height)
	for _, m := range marks {
		if m.text != "" {
			anchor := "start"
			if m.end {
				anchor = "end"
			}
			fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="%s">%s</text>`+"\n", m.x0, m.y0, anchor, html.EscapeString(m.text))
			continue
		}
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s"/>`+"\n", m.x0, m.y0, max(1, m.x1-m.x0), max(1, m.y1-m.y0), m.fill)
	}
	b.WriteString("</svg>\n")
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("writing the picture: %w", err)
	}
	return nil
}

// PNG writes the same picture as pixels.
func PNG(w io.Writer, title string, all []*Series) error {
	marks, height := plot(title, all)
	img := image.NewRGBA(image.Rect(0, 0, pictureWidth, height))
	draw.Draw(img, img.Bounds(), image.White, image.Point{}, draw.Src)
	pen := &font.Drawer{Dst: img, Src: image.Black, Face: basicfont.Face7x13}
	for _, m := range marks {
		if m.text == "" {
			box := image.Rect(m.x0, m.y0, max(m.x0+1, m.x1), max(m.y0+1, m.y1))
			draw.Draw(img, box, image.NewUniform(rgb(m.fill)), image.Point{}, draw.Src)
			continue
		}
		text := strings.NewReplacer("µ", "u", "▸", ">").Replace(m.text) // the font is ASCII
		x := m.x0
		if m.end {
			x -= pen.MeasureString(text).Ceil()
		}
		pen.Dot = fixed.P(x, m.y0)
		pen.DrawString(text)
	}
	if err := png.Encode(w, img); err != nil {
		return fmt.Errorf("writing the picture: %w", err)
	}
	return nil
}

func rgb(hex string) color.Color {
	var c color.RGBA
	c.A = 255
	if _, err := fmt.Sscanf(hex, "#%02x%02x%02x", &c.R, &c.G, &c.B); err != nil {
		return color.Black
	}
	return c
}
