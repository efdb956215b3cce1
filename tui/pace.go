package tui

import (
	"reflect"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
)

const (
	// fps is how often the program looks for a new frame while things change: an
	// answer to a key within 50 ms needs no more.
	fps = 30
	// restPause is how often it looks at rest, for what no message has told of.
	restPause = time.Second
	// restAfter is how long after the last change it goes on looking: three times.
	restAfter = 3 * time.Second / fps
)

// pace is how often a program looks whether there is a new frame. Bubble Tea
// looks fps times a second forever, and waking the processor for it costs more
// than all the rest of a screen on which nothing changes. It has no option for
// less, so pace turns the ticker of the program itself: quick with every change,
// and slow soon after. Should another version keep its ticker elsewhere, the
// screen is right all the same, and TestTheProgramRests fails.
//
// A nil pace leaves the program alone.
type pace struct {
	program *tea.Program

	mu     sync.Mutex
	ticker *time.Ticker // of the program; nil: not found yet
	rest   *time.Timer  // slows the ticker down
	quick  bool
	last   time.Time // of the latest change
}

func newPace(p *tea.Program) *pace { return &pace{program: p} }

// hurry says that there is something to show. It is for the goroutine that
// updates the model, which has made the ticker.
func (p *pace) hurry() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ticker == nil {
		if p.ticker = tickerOf(p.program); p.ticker == nil {
			return
		}
	}
	p.last = time.Now()
	if p.rest == nil {
		p.rest = time.AfterFunc(restAfter, p.slow)
	} else {
		p.rest.Reset(restAfter)
	}
	if !p.quick { // turning it again and again would put the next frame off
		p.quick = true
		p.ticker.Reset(time.Second / fps)
	}
}

// slow lets the program rest, unless something has changed again meanwhile.
func (p *pace) slow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.quick && time.Since(p.last) >= restAfter {
		p.quick = false
		p.ticker.Reset(restPause)
	}
}

// stop ends it with the program, whose ticker is left as it is.
func (p *pace) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.quick = false // a slow that is under way does nothing
	if p.rest != nil {
		p.rest.Stop()
	}
}

// tickerOf gives the ticker of a running program; nil: there is none.
func tickerOf(p *tea.Program) *time.Ticker {
	f := reflect.ValueOf(p).Elem().FieldByName("ticker")
	if !f.IsValid() || f.Type() != reflect.TypeFor[*time.Ticker]() {
		return nil
	}
	return (*time.Ticker)(f.UnsafePointer())
}
