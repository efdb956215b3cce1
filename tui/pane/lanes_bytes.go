package pane

import (
	"slices"
	"strconv"

	"mesh/runtime/flow"
	"mesh/runtime/flow/filter"
	"mesh/supervisor/state"
	"mesh/tui/decode"
	"mesh/tui/grid"
	"mesh/tui/trace"
)

// inspector shows the bytes of one chunk below the lanes.
type inspector struct {
	open  bool
	form  decode.Form // what the user chose
	top   int         // the first line that is shown
	page  int         // lines that are shown
	long  int         // lines that there are
	span  Span        // whose bytes came
	known bool        // they came
	whole bool        // and will not change any more
	body  flow.Body

	text  []string    // made from body
	shown decode.Form // in this form
	lines []string    // of text, as wide as they are shown
	width int         // which is so wide; 0: not yet
}

// Span is a piece of one direction of a flow.
type Span struct {
	Flow     string
	Dir      flow.Dir
	From, To uint64
}

// The most that is shown of one chunk.
const (
	maxShown      = 64 << 10
	maxShownLines = 2000
)

// chosen gives the bytes of the chunk that is inspected.
func (l *Lanes) chosen() (s Span, ok bool) {
	lane, m, ok := l.pick()
	if !ok {
		return s, false
	}
	return Span{l.trace.ID, lane.Dir, m.Off, min(m.End(), m.Off+maxShown)}, true
}

// WantBytes says which bytes are to be shown and are not known; ok is false when
// none are.
func (l *Lanes) WantBytes() (s Span, ok bool) {
	if !l.bytes.open || l.trace == nil {
		return s, false
	}
	s, ok = l.chosen()
	if l.bytes.whole && s == l.bytes.span {
		return s, false
	}
	return s, ok
}

// AddBytes takes in what was captured of a span; ok is false when its flow is
// no longer remembered.
func (l *Lanes) AddBytes(s Span, b *flow.Body, ok bool) {
	i := &l.bytes
	if !ok || l.trace == nil || s.Flow != l.trace.ID {
		return
	}
	if s != i.span {
		i.top = 0
	}
	i.span, i.body, i.known = s, *b, true
	i.whole = len(b.Parts) == 1 && b.Parts[0].Off == s.From && uint64(len(b.Parts[0].Data)) == s.To-s.From
	l.decode()
}

// decode makes lines of the bytes.
func (l *Lanes) decode() {
	i := &l.bytes
	i.text, i.width = i.text[:0], 0
	for _, p := range i.body.Parts {
		if i.shown = i.form; i.shown == decode.Auto {
			i.shown = decode.Guess(i.body.Header.Get("Content-Type"), l.view.Kind, p.Data)
		}
		i.text = append(i.text, decode.Lines(i.shown, p.Data, maxShownLines)...)
	}
}

// wrap breaks the lines where they are wider than the screen.
func (i *inspector) wrap(width int) {
	if width = max(1, width); i.width == width {
		return
	}
	i.width, i.lines = width, i.lines[:0]
	for _, s := range i.text {
		from, at := 0, 0
		for n, r := range s {
			w := grid.Width(string(r))
			if at+w > width && n > from {
				i.lines = append(i.lines, s[from:n])
				from, at = n, 0
			}
			at += w
		}
		i.lines = append(i.lines, s[from:])
	}
}

// Picked says whether a chunk is selected, not merely the latest one shown.
func (l *Lanes) Picked() bool { return l.picked }

// toggleBytes opens or closes the inspector.
func (l *Lanes) toggleBytes() Action {
	l.bytes.open = !l.bytes.open
	l.bytes.known, l.bytes.whole = false, false
	return nil
}

// nextForm shows the bytes in another form.
func (l *Lanes) nextForm(step int) Action {
	i := &l.bytes
	if !i.open {
		return l.toggleBytes()
	}
	i.form = (i.form + decode.Form(step) + decode.Forms) % decode.Forms
	i.top = 0
	l.decode()
	return nil
}

// page scrolls the bytes, or pans when they are not shown.
func (l *Lanes) page(n int) {
	if i := &l.bytes; i.open {
		i.top = max(0, min(i.top+n*max(1, i.page-1), i.long-i.page))
		return
	}
	l.axis.pan(0.9*float64(n), l.now, l.view.Live)
}

// setCapture switches the capture of the flow, or of all that begin from now on.
func (l *Lanes) setCapture(all bool) Action {
	if all {
		return captureAll(l.w)
	}
	switch {
	case l.trace == nil || !l.trace.Seen:
		return Say{Text: "choose a stream first"}
	case !l.view.Live:
		return Say{Text: "the stream has ended: B captures those that begin from now on"}
	}
	on := !l.bytes.body.On || l.bytes.span.Flow != l.trace.ID
	if on {
		l.bytes.open = true
	}
	l.bytes.known, l.bytes.whole = false, false
	return Do{Command: state.Command{Op: state.SetCapture, Flow: l.trace.ID, On: on}}
}

// captureAll switches the capture of flows that begin from now on.
func captureAll(w *World) Action {
	return Do{Command: state.Command{Op: state.SetCapture, On: w.Mesh.Capture == 0}}
}

// disturb offers to make a fault of the app that a flow calls, or to switch off
// the one that there is.
func disturb(v *flow.View, faults []state.Fault) Action {
	for i := range faults {
		if faults[i].Target == v.Callee && faults[i].On {
			return Do{Command: state.Command{Op: state.SetFault, Name: faults[i].Name}}
		}
	}
	return Prompt{Kind: PromptPalette, Text: "fault " + v.Callee + " delay=300ms"}
}

// nothing says why there are no bytes to show, and what to do about it.
func (i *inspector) nothing(live bool, chunk Span) string {
	b := &i.body
	switch here := "b captures this stream, B all new ones"; {
	case b.Shed:
		return "its bytes were given up for newer ones"
	case b.Limit == 0 && live:
		return "not captured: " + here
	case b.Limit == 0:
		return "not captured: B captures all new streams"
	case chunk.To <= b.Begin:
		return "it passed before capture was on; ] goes on"
	case !b.On && chunk.From >= b.End && live:
		return "it passed when capture was off: " + here
	case chunk.From >= b.End:
		return "its bytes have not been captured yet"
	}
	return "not kept: only the first and the latest " + size(uint64(b.Limit)/2) + " of a body are"
}

// drawBytes draws the inspector: what the chunk is, its way, its bytes, and what
// both apps printed up to then.
func (l *Lanes) drawBytes(a grid.Area, lanes []*trace.Lane) {
	w, h := a.Size()
	t, i := l.w.Theme, &l.bytes
	lane, m, ok := l.pick()
	if h < 2 {
		return
	}
	a.Repeat(0, 0, w, '─', t.Faint)
	if !ok {
		a.Text(2, 0, " no chunk yet ", t.Dim)
		return
	}
	l.drawChunk(a.Rows(1, 1), lane, m)
	y := 2
	if h >= 7 {
		l.drawWay(a.Rows(2, 1), lanes, lane, m)
		y++
	}
	near := 0 // lines of output, and the line above them
	if h >= 12 {
		near = min(nearLines, h/4) + 1
	}
	span, _ := l.chosen()
	i.page = max(1, h-y-near)
	i.wrap(w - 3)
	i.long = len(i.lines)
	body := a.Rows(y, i.page)
	title := " bytes "
	switch {
	case !i.known || i.span != span:
		i.long = 0
		body.Text(2, 0, "…", t.Dim)
	case len(i.body.Parts) == 0:
		i.long = 0
		body.Text(2, 0, i.nothing(l.view.Live, span), t.Warn)
	default:
		title = " as " + i.shown.String()
		if i.form == decode.Auto {
			title += " (auto)"
		}
		title += ", v: another form "
		i.top = max(0, min(i.top, i.long-i.page))
		for n := range min(i.page, i.long-i.top) {
			body.Text(2, n, i.lines[i.top+n], t.Text)
		}
	}
	x := a.Text(2, 0, title, t.Title)
	if n := i.missing(); n > 0 && i.known {
		x = a.Text(x, 0, " "+size(n)+" not kept ", t.Warn)
	}
	if m.Size > maxShown {
		a.Text(x, 0, " its first "+size(maxShown)+" ", t.Dim)
	}
	if i.long > i.page {
		at := " lines " + strconv.Itoa(i.top+1) + "–" + strconv.Itoa(min(i.long, i.top+i.page)) + " of " + strconv.Itoa(i.long) + ", pgup pgdn "
		a.Right(w-1, 0, at, t.Dim)
	}
	if near > 0 {
		l.drawNearIn(a.Rows(h-near, near), near-1)
	}
}

// missing gives how many bytes of the span are not kept.
func (i *inspector) missing() uint64 {
	n := i.span.To - i.span.From
	for _, p := range i.body.Parts {
		n -= min(n, uint64(len(p.Data)))
	}
	if len(i.body.Parts) == 0 {
		return 0
	}
	return n
}

// copies gives the bindings that copy, export and repeat the flow.
func (l *Lanes) copies() []Binding {
	act := func(key, name, help string, do func() Action) Binding {
		return Binding{Keys: []string{key}, Name: name, Help: help, Do: func(string) Action {
			if l.trace == nil || !l.trace.Seen {
				return Say{Text: "choose a stream first"}
			}
			return do()
		}}
	}
	cp := func(what Format) func() Action {
		return func() Action {
			c := Copy{Flow: l.trace.ID, As: what}
			if what == FormatBytes {
				s, ok := l.chosen()
				if !ok {
					return Say{Text: "there is no chunk to copy"}
				}
				if _, m, _ := l.pick(); m.Size > maxShown {
					s.To = m.End()
				}
				c.Span = s
			}
			return c
		}
	}
	return []Binding{
		act("y", "copy bytes", "copy the bytes of the chunk", cp(FormatBytes)),
		act("c", "copy curl", "copy the call as a curl command", cp(FormatCurl)),
		act("n", "copy ndjson", "copy the flow with its chunks as NDJSON", cp(FormatNDJSON)),
		{Keys: []string{"x"}, Name: "export", Arg: "[har|ndjson|curl]", Help: "write the flow to a file: HAR unless you say otherwise", Do: func(arg string) Action {
			if l.trace == nil || !l.trace.Seen {
				return Say{Text: "choose a stream first"}
			}
			as := Format(arg)
			if arg == "" {
				as = FormatHAR
			}
			if !slices.Contains([]Format{FormatHAR, FormatNDJSON, FormatCurl}, as) {
				return Say{Text: "export as har, ndjson or curl"}
			}
			return Copy{Flow: l.trace.ID, As: as, File: true}
		}},
		act("r", "again", "make the call again, through the same sidecar", func() Action { return Again{Flow: l.trace.ID} }),
		act("R", "edit and again", "make the call again, after you have edited it", func() Action { return Again{Flow: l.trace.ID, Edit: true} }),
		act("D", "disturb", "disturb calls of the app that is called: a fault; again: no longer", func() Action { return disturb(&l.view, l.w.Mesh.Faults) }),
	}
}

// drawNearIn draws a line and below it n lines of output up to the chunk.
func (l *Lanes) drawNearIn(a grid.Area, n int) {
	w, _ := a.Size()
	t := l.w.Theme
	at, what := l.now, " output of both apps "
	if _, m, ok := l.pick(); ok && l.picked {
		at, what = m.At, " output of both apps up to this chunk "
	}
	lines := l.upTo(l.view.Begun.Add(at+nearAfter), n)
	a.Repeat(0, 0, w, '─', t.Faint)
	a.Text(2, 0, what, t.Dim)
	if len(lines) == 0 {
		a.Text(2, 1, "none in this time", t.Dim)
		return
	}
	names := min(w/5, max(grid.Width(l.view.Caller), grid.Width(filter.Callee(&l.view)), 4))
	for y := range lines {
		x := a.Cut(0, y+1, 9, stampOf(lines[y].At.Sub(l.view.Begun)), t.Dim)
		row := a.Sub(x+1, y+1, w-x-1, 1)
		from := drawMargin(row, 0, &lines[y], names, t)
		row.Sub(from, 0, w-x-1-from, 1).ANSI(0, 0, lines[y].Text, ground(&lines[y], t), 0)
	}
}
