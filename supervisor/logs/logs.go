// Package logs is the book of all lines that the apps of a mesh have printed.
//
// A Book keeps the latest lines of every instance in memory, within bounds of
// number and size, gives them per app or merged in the order in which they
// came, and wakes those who follow. When it has a folder it also writes a file
// per instance, from what is in memory: the one who prints never waits for a
// disk. Whatever is dropped on the way is counted.
package logs

import (
	"context"
	"sort"
	"strings"
	"sync"
	"time"

	"mesh/supervisor/state"
)

// Streams of lines that no app has printed.
const (
	StreamMesh = "mesh" // our own words: what the supervisor says about an app or an edit
	StreamMark = "mark" // the user's own, between the lines of all apps
)

// Bounds that hold when Options does not say.
const (
	defaultLines    = 10_000
	defaultBytes    = 4 << 20
	defaultFileSize = 10 << 20
	defaultFiles    = 3
)

// Options says how much is kept. Zero values mean the defaults.
type Options struct {
	Lines int // per instance, in memory
	Bytes int // of text per instance, in memory; the latest line is kept even if it is longer

	Dir      string // folder for a file per instance; empty: none. Needs Run
	FileSize int64  // at which a file is set aside as NAME.log.1
	Files    int    // per instance, with the current one

	// Failed is told when lines begin not to reach a file; may be nil.
	Failed func(error)
}

// Book keeps lines. It is safe for use by many goroutines.
type Book struct {
	o Options

	mu      sync.Mutex
	seq     uint64
	rings   map[string]*ring // by instance; "" are the marks
	grown   chan struct{}    // closed by the next line; nil when nobody waits
	skipped uint64           // lines that no file got
	fault   error            // why
}

// New makes an empty book.
func New(o Options) *Book {
	if o.Lines <= 0 {
		o.Lines = defaultLines
	}
	if o.Bytes <= 0 {
		o.Bytes = defaultBytes
	}
	if o.FileSize <= 0 {
		o.FileSize = defaultFileSize
	}
	if o.Files <= 0 {
		o.Files = defaultFiles
	}
	return &Book{o: o, rings: map[string]*ring{}}
}

// Append adds a line and gives it back with its number. stream is stdout,
// stderr or StreamMesh; partial says that the line goes on in the next one of
// the instance and stream.
func (b *Book) Append(app, instance, stream, text string, at time.Time, partial bool) state.Line {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seq++
	l := state.Line{Seq: b.seq, At: at, App: app, Instance: instance, Stream: stream, Text: text, Partial: partial}
	r := b.rings[instance]
	if r == nil {
		r = &ring{app: app, instance: instance}
		b.rings[instance] = r
	}
	r.push(l, b.o.Lines, b.o.Bytes)
	if b.grown != nil {
		close(b.grown)
		b.grown = nil
	}
	return l
}

// Mark writes a line of the user's own into the logs of every app, as one
// draws a line under what has been read.
func (b *Book) Mark(text string) state.Line {
	return b.Append("", "", StreamMark, text, time.Now(), false)
}

// Last gives the number of the latest line, 0 when there is none.
func (b *Book) Last() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.seq
}

// Lines gives the lines after the one with that number, in the order in which
// they came: of one app by its id, of one instance by its name, of all for "".
// When there are more than limit, the latest of them; a limit of 0 is none.
func (b *Book) Lines(app string, after uint64, limit int) []state.Line {
	b.mu.Lock()
	defer b.mu.Unlock()
	var views []view
	total := 0
	for _, r := range b.rings {
		if !r.is(app) {
			continue
		}
		from := sort.Search(r.n, func(i int) bool { return r.at(i).Seq > after })
		if from < r.n {
			views = append(views, view{r, from, r.n})
			total += r.n - from
		}
	}
	if limit > 0 {
		total = min(total, limit)
	}
	return merge(views, total)
}

// Wait blocks until there is a line after the one with that number, or ctx
// ends, and then gives the cause.
func (b *Book) Wait(ctx context.Context, after uint64) error {
	b.mu.Lock()
	for b.seq <= after {
		if b.grown == nil {
			b.grown = make(chan struct{})
		}
		grown := b.grown
		b.mu.Unlock()
		select {
		case <-grown:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		b.mu.Lock()
	}
	b.mu.Unlock()
	return nil
}

// Dropped gives the number of lines that are no longer in memory, of an app,
// an instance, or all.
func (b *Book) Dropped(app string) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	var sum uint64
	for _, r := range b.rings {
		if app == "" || r.app == app || r.instance == app {
			sum += r.dropped
		}
	}
	return sum
}

// Skipped gives the number of lines that did not get into a file because the
// disk was slow or failed, and the last error of a file.
func (b *Book) Skipped() (uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.skipped, b.fault
}

// is says whether the ring has lines for a question about app. Marks are in
// all of them.
func (r *ring) is(app string) bool {
	return app == "" || r.instance == "" || r.app == app || r.instance == app
}

// ring keeps the latest lines of one instance.
type ring struct {
	app, instance string
	lines         []state.Line // a circle
	first, n      int
	bytes         int
	dropped       uint64 // how many have been pushed out
}

func (r *ring) at(i int) *state.Line {
	if i += r.first; i >= len(r.lines) {
		i -= len(r.lines)
	}
	return &r.lines[i]
}

func (r *ring) push(l state.Line, lines, bytes int) {
	r.bytes += len(l.Text)
	for r.n > 0 && (r.n >= lines || r.bytes > bytes) {
		r.pop()
	}
	if r.n == len(r.lines) {
		wider := make([]state.Line, min(lines, max(16, 2*r.n)))
		for i := range r.n {
			wider[i] = *r.at(i)
		}
		r.lines, r.first = wider, 0
	}
	r.n++
	*r.at(r.n - 1) = l
}

func (r *ring) pop() {
	l := r.at(0)
	r.bytes -= len(l.Text)
	*l = state.Line{}
	r.first++
	if r.first == len(r.lines) {
		r.first = 0
	}
	r.n--
	r.dropped++
}

// view is a part of a ring.
type view struct {
	r        *ring
	from, to int
}

// merge gives the last total lines of the views by their numbers.
func merge(views []view, total int) []state.Line {
	if total == 0 {
		return nil
	}
	all := make([]state.Line, total)
	for i := total - 1; i >= 0; i-- {
		latest := -1
		var seq uint64
		for v := range views {
			if views[v].to == views[v].from {
				continue
			}
			if s := views[v].r.at(views[v].to - 1).Seq; s > seq {
				latest, seq = v, s
			}
		}
		views[latest].to--
		all[i] = *views[latest].r.at(views[latest].to)
	}
	return all
}

// fileName makes a name for a file out of that of an instance.
func fileName(instance string) string {
	clean := strings.Map(func(c rune) rune {
		if c == '/' || c == '\\' || c < ' ' {
			return '_'
		}
		return c
	}, instance)
	if clean == "" || strings.HasPrefix(clean, ".") {
		clean = "_" + clean
	}
	return clean + ".log"
}
