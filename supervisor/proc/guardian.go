package proc

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// GuardianArg is the first argument with which this program is started again
// as a guardian. main must look for it before anything else and call
// GuardianMain.
const GuardianArg = "__guardian"

const (
	helloWithin = 10 * time.Second // until a new guardian has reported
	wordWithin  = 3 * time.Second  // until there is room for what it is told
	firstPause  = 50 * time.Millisecond
	longPause   = 5 * time.Second // between attempts to replace one that was killed
)

// GuardianOptions says how children are guarded.
type GuardianOptions struct {
	Dir   string // where the run file for Leftovers is kept, made when missing; empty: none is kept
	Adopt bool   // take in the orphans of our children and end them in Close; Linux only
}

// Guardian knows the trees of all children that are started with it and has
// them ended when we die without a farewell, be it by SIGKILL. It does so by a
// helper process that holds the reading end of a pipe of ours: the system
// closes the writing end however we die.
type Guardian struct {
	run      string
	self     ident
	file     string // run file, "" for none
	adopting bool
	stop     chan struct{}
	kept     sync.WaitGroup

	// forking is held for reading while a child is started, until it stands in
	// trees, and for writing while zombies are reaped that are nobody's.
	forking sync.RWMutex

	mu      sync.Mutex
	count   int
	trees   map[*Child]*tree
	helper  *helper // nil while there is none
	closed  bool
	fault   error // why the last write of the run file failed
	greeted bool  // a helper has reported
	broken  error // why none has
}

// tree is what is told of one child.
type tree struct {
	Name    string    `json:"name"`
	Command string    `json:"command"`
	PID     int       `json:"pid"`
	Start   uint64    `json:"start"`
	Mark    string    `json:"mark"`
	Since   time.Time `json:"since"`
}

// ErrClosed says that a child was to be started after the guardian was closed.
var ErrClosed = errors.New("the guardian is closed")

// NewGuardian starts a guardian. It must be closed after the last child. It
// does not wait for the helper to be there; should that fail, Start says so.
func NewGuardian(o GuardianOptions) (*Guardian, error) {
	if os.Getenv(helperEnv) != "" {
		return nil, errors.New("starting the guardian: this process is one; its main must call GuardianMain")
	}
	self, ok := look(os.Getpid())
	if !ok {
		return nil, errors.New("starting the guardian: this system does not tell about processes (is /proc mounted?)")
	}
	g := &Guardian{
		run:   rand.Text(),
		self:  self.ident,
		stop:  make(chan struct{}),
		trees: map[*Child]*tree{},
	}
	if err := g.openRecord(o.Dir); err != nil {
		return nil, fmt.Errorf("starting the guardian: %w", err)
	}
	h, err := startHelper(g.run, g.self)
	if err != nil {
		g.closeRecord()
		return nil, fmt.Errorf("starting the guardian: %w", err)
	}
	g.helper = h
	g.brief(h)
	g.kept.Go(func() { g.keep(h) })
	if o.Adopt {
		g.adopting = true
		if err := g.adopt(); err != nil {
			g.Close()
			return nil, fmt.Errorf("starting the guardian: %w", err)
		}
	}
	return g, nil
}

// PID gives the number of the helper process, 0 while there is none.
func (g *Guardian) PID() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.helper == nil {
		return 0
	}
	return g.helper.pid()
}

// Run names this run; the marks of its children begin with it.
func (g *Guardian) Run() string { return g.run }

// Close takes leave of the helper, which then ends without touching anything.
// Children that still live are no longer guarded; orphans that were adopted
// are killed when there are none.
func (g *Guardian) Close() error {
	g.endOrphans()
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return nil
	}
	g.closed = true
	close(g.stop)
	if g.helper != nil {
		g.helper.tell(word{Bye: true})
		g.helper.hangUp()
	}
	g.mu.Unlock()
	g.kept.Wait()
	g.closeRecord()
	return errors.Join(g.fault, g.broken)
}

// keep waits for the end of the helper and starts another one.
func (g *Guardian) keep(h *helper) {
	pause := firstPause
	for {
		begun := time.Now()
		if h != nil {
			err := h.hello()
			g.mu.Lock()
			if err == nil {
				g.greeted, g.broken = true, nil
			} else if !g.greeted {
				g.broken = err
			}
			g.mu.Unlock()
			h.wait()
		}
		g.mu.Lock()
		g.helper = nil
		closed := g.closed
		g.mu.Unlock()
		if closed {
			return
		}
		if time.Since(begun) > longPause {
			pause = firstPause
		}
		t := time.NewTimer(pause)
		select {
		case <-g.stop:
			t.Stop()
			return
		case <-t.C:
		}
		pause = min(pause*2, longPause)
		g.forking.RLock()
		next, err := startHelper(g.run, g.self)
		if err != nil {
			h = nil
		} else {
			h = next
		}
		g.mu.Lock()
		g.helper = h
		if h != nil {
			g.brief(h)
			if g.closed {
				h.tell(word{Bye: true})
				h.hangUp()
			}
		}
		g.mu.Unlock()
		g.forking.RUnlock()
	}
}

// brief tells a new helper everything.
func (g *Guardian) brief(h *helper) {
	for c, t := range g.trees {
		h.tell(word{Add: t, Seen: c.strays()})
	}
}

// nextMark gives the mark of a new child.
func (g *Guardian) nextMark() (string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return "", ErrClosed
	}
	if g.broken != nil {
		return "", g.broken
	}
	g.count++
	return fmt.Sprintf("%s/%d", g.run, g.count), nil
}

// fork starts a child's program and records it before anybody can mistake it
// for something else.
func (g *Guardian) fork(c *Child, start func() (*os.Process, error)) (*os.Process, error) {
	if g != nil {
		g.forking.RLock()
		defer g.forking.RUnlock()
	}
	p, err := start()
	if err != nil {
		return nil, err
	}
	// It has not been waited for, so it is still there, if only as a zombie.
	at, _ := look(p.Pid)
	c.leader = ident{pid: p.Pid, start: at.start}
	if g == nil {
		return p, nil
	}
	t := &tree{
		Name: c.spec.Name, Command: c.spec.command(),
		PID: p.Pid, Start: at.start, Mark: c.mark, Since: time.Now(),
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.trees[c] = t
	g.tell(word{Add: t})
	g.writeRecord()
	return p, nil
}

// forget is called when nothing of a child is left.
func (g *Guardian) forget(c *Child) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tell(word{Drop: g.trees[c]})
	delete(g.trees, c)
	g.writeRecord()
}

// saw tells of members that have left their tree's session.
func (g *Guardian) saw(members []seen) {
	if g == nil || len(members) == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tell(word{Seen: members})
}

// tell passes a word on. A helper that does not listen is replaced, and the
// next one is told everything. g.mu is held.
func (g *Guardian) tell(w word) {
	if g.helper != nil {
		g.helper.tell(w)
	}
}
