package flow

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// captureBudget is how many bytes of bodies all flows together may hold. What
// ended flows hold is given up for newer ones, the oldest first.
const captureBudget = 32 << 20

// MaxCapture is the largest bound of one body, in bytes.
const MaxCapture = 4 << 20

// captures is what a recorder knows of the bytes that its flows have captured.
type captures struct {
	limit atomic.Int64 // bytes of each body of the flows to come; 0: none
	held  atomic.Int64
	flows atomic.Int64 // live and ended ones that have captured, or may

	mu    sync.Mutex
	ended []*Flow // those with captured bytes, in the order of their ends
	shed  uint64  // ended flows whose bytes were given up
}

// Capture makes the flows that begin from now on keep up to limit bytes of each
// of their bodies, and their headers without secrets; 0 ends it.
func (r *Recorder) Capture(limit int) {
	if r == nil {
		return
	}
	r.captures.limit.Store(int64(min(max(0, limit), MaxCapture)))
}

// Capturing gives the limit that Capture has set.
func (r *Recorder) Capturing() int {
	if r == nil {
		return 0
	}
	return int(r.captures.limit.Load())
}

// CaptureFlow makes one live flow keep up to limit bytes of each body from now
// on, or with 0 no more of them; what it has stays. It says whether there is
// such a flow.
func (r *Recorder) CaptureFlow(id string, limit int) bool {
	f := r.find(id)
	if !f.Live() {
		return false
	}
	limit = min(max(0, limit), MaxCapture)
	c := f.capture.Load()
	if c == nil && limit > 0 {
		c = &capture{rec: r, limit: limit}
		if f.capture.CompareAndSwap(nil, c) {
			r.captures.flows.Add(1)
		} else {
			c = f.capture.Load()
		}
	}
	if c != nil {
		c.mu.Lock()
		c.off = limit == 0
		c.mu.Unlock()
	}
	return true
}

// capture holds bytes of one flow: of each direction the first ones and the
// latest ones.
type capture struct {
	rec *Recorder

	limit int

	mu    sync.Mutex // held for the copy of a chunk, in either way
	off   bool
	shed  bool // given up for newer flows
	heads [2]http.Header
	query string
	side  [2]side
}

// side is what is held of one direction, as one hop of it saw the bytes.
type side struct {
	known  bool
	hop    Hop
	begin  uint64 // offset of the first byte that was seen
	front  []byte
	tail   []byte // a ring of those after the front
	after  uint64 // how many bytes came after the front
	missed uint64 // bytes that were not kept for want of memory; none are after them
}

// Capturing says whether the flow's bytes are wanted: then they must not pass
// without being seen.
func (f *Flow) Capturing() bool { return f != nil && f.capture.Load() != nil }

// Pass marks that the chunk p has passed, and keeps its bytes when they are
// wanted. It does not keep p.
func (f *Flow) Pass(d Dir, h Hop, p []byte) {
	if f == nil || len(p) == 0 {
		return
	}
	f.keep(d, h, p)
	f.Mark(d, h, len(p))
}

// PassLast is Pass, and Finish at the same moment.
func (f *Flow) PassLast(d Dir, h Hop, p []byte) {
	if f == nil {
		return
	}
	f.keep(d, h, p)
	f.MarkLast(d, h, len(p))
}

// keep keeps the bytes of a chunk when they are wanted.
func (f *Flow) keep(d Dir, h Hop, p []byte) {
	if c := f.capture.Load(); c != nil && len(p) > 0 {
		c.take(d, h, f.lane(d, h).bytes.Load(), p)
	}
}

// PassParts is Pass for a chunk that lies in pieces.
func (f *Flow) PassParts(d Dir, h Hop, parts ...[]byte) {
	if f == nil {
		return
	}
	n, c := 0, f.capture.Load()
	at := f.lane(d, h).bytes.Load()
	for _, p := range parts {
		if c != nil {
			c.take(d, h, at+uint64(n), p)
		}
		n += len(p)
	}
	f.Mark(d, h, n)
}

// Headers keeps the headers of one direction when they are wanted, without the
// values of those that hold secrets. query is that of the request.
func (f *Flow) Headers(d Dir, h http.Header, query string) {
	if f == nil {
		return
	}
	c := f.capture.Load()
	if c == nil {
		return
	}
	kept := make(http.Header, len(h))
	for key, values := range h {
		if secret(key) {
			values = slices.Repeat([]string{Redacted}, len(values))
		}
		kept[key] = slices.Clone(values)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.off || c.heads[d&1] != nil {
		return
	}
	c.heads[d&1] = kept
	if d == Request {
		c.query = redactQuery(query)
	}
}

// Redacted stands in place of a secret.
const Redacted = "(redacted)"

// secret says whether the value of a header or a parameter is nobody's business.
func secret(name string) bool {
	name = strings.ToLower(name)
	for _, s := range []string{"authorization", "cookie", "token", "secret", "password", "passwd", "api-key", "api_key", "apikey", "signature", "credential", "session"} {
		if strings.Contains(name, s) {
			return true
		}
	}
	return false
}

// redactQuery takes the secrets out of a raw query.
func redactQuery(q string) string {
	if q == "" {
		return ""
	}
	pairs := strings.Split(q, "&")
	for i, p := range pairs {
		if key, _, ok := strings.Cut(p, "="); ok && secret(key) {
			pairs[i] = key + "=" + Redacted
		}
	}
	return strings.Join(pairs, "&")
}

// take keeps a chunk that begins at an offset of its direction. The first hop
// to see a byte is the one whose bytes are kept.
func (c *capture) take(d Dir, h Hop, off uint64, p []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &c.side[d&1]
	if c.off || c.shed || (s.known && s.hop != h) {
		return
	}
	if !s.known {
		s.known, s.hop, s.begin = true, h, off
	}
	if off != s.begin+uint64(len(s.front))+s.after { // it was off for a while: begin anew
		c.give(s)
		s.begin = off
	}
	half := (c.limit + 1) / 2
	if room := half - len(s.front); room > 0 && s.after == 0 {
		n := min(room, len(p))
		if c.room(&s.front, len(s.front)+n, half) {
			s.front = append(s.front, p[:n]...)
			p = p[n:]
		}
	}
	s.keep(c, p, half)
}

// keep puts bytes into the ring.
func (s *side) keep(c *capture, p []byte, size int) {
	if len(p) == 0 {
		return
	}
	if s.missed > 0 || s.after < uint64(size) && !c.room(&s.tail, min(size, int(s.after)+len(p)), size) {
		s.after += uint64(len(p))
		s.missed += uint64(len(p))
		return
	}
	if over := len(p) - size; over > 0 {
		s.after += uint64(over)
		p = p[over:]
	}
	s.tail = s.tail[:cap(s.tail)]
	for len(p) > 0 {
		// The ring grows by doubling up to its size, and never while it turns.
		n := copy(s.tail[int(s.after%uint64(len(s.tail))):], p)
		s.after += uint64(n)
		p = p[n:]
	}
}

// room makes a buffer hold n bytes, of at most size, if the recorder has them.
func (c *capture) room(b *[]byte, n, size int) bool {
	if n <= cap(*b) {
		return true
	}
	want := min(size, max(n, 2*cap(*b), 1<<10))
	if !c.rec.captures.grow(want - cap(*b)) {
		return false
	}
	grown := make([]byte, len(*b), want)
	copy(grown, *b)
	*b = grown
	return true
}

// give gives back what a side holds.
func (c *capture) give(s *side) {
	c.rec.captures.held.Add(-int64(cap(s.front) + cap(s.tail)))
	*s = side{known: s.known, hop: s.hop}
}

// grow takes n bytes of the budget; ended flows make room.
func (a *captures) grow(n int) bool {
	if a.held.Add(int64(n)) <= captureBudget {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = slices.DeleteFunc(a.ended, func(old *Flow) bool {
		c := old.capture.Load()
		// A late chunk of an ended flow may hold its lock and wait for ours.
		if a.held.Load() <= captureBudget || !c.mu.TryLock() {
			return false
		}
		defer c.mu.Unlock()
		c.release()
		a.shed++
		return true
	})
	if a.held.Load() <= captureBudget {
		return true
	}
	a.held.Add(-int64(n))
	return false
}

// release gives up all bytes.
func (c *capture) release() {
	c.shed, c.heads = true, [2]http.Header{}
	for i := range c.side {
		c.give(&c.side[i])
	}
}

// endCapture notes that a flow with captured bytes has ended.
func (a *captures) endCapture(f *Flow) {
	if f.capture.Load() == nil {
		return
	}
	a.mu.Lock()
	a.ended = append(a.ended, f)
	a.mu.Unlock()
}

// forget gives up the bytes of a flow that is no longer remembered.
func (a *captures) forget(f *Flow) {
	c := f.capture.Load()
	if c == nil {
		return
	}
	a.flows.Add(-1)
	a.mu.Lock()
	if i := slices.Index(a.ended, f); i >= 0 {
		a.ended = slices.Delete(a.ended, i, i+1)
	}
	a.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.release()
}
