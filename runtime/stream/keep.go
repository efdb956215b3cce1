package stream

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

// ReplayLimit is how much of a request's body is kept so that it can be sent
// once more: bodies that are longer, and streams that have begun to flow, are
// sent once only.
const ReplayLimit = 256 << 10

// Kept is a request's body that can be read several times, one try after the
// other. What a read brings is kept, up to ReplayLimit, also when the try that
// asked for it has been given up meanwhile.
type Kept struct {
	body  io.Reader
	known bool          // its length is known: it is no endless stream
	turn  chan struct{} // holds one while body is read

	mu   sync.Mutex // of what follows
	kept []byte
	read int   // bytes that were read of body
	over bool  // more was read than is kept
	end  error // how the body ended; nil: not yet
}

// Keep gives body, that can be read several times then; known says that its
// length is, so that it is no endless stream.
func Keep(body io.Reader, known bool) *Kept {
	return &Kept{body: body, known: known, turn: make(chan struct{}, 1)}
}

// Try gives the body for one more try.
func (k *Kept) Try() *Attempt { return &Attempt{k: k, given: make(chan struct{})} }

// Again says why the body cannot be sent from its beginning, or "".
func (k *Kept) Again() (why string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.over:
		return fmt.Sprintf("its body is longer than the %d KiB that are kept for another try", ReplayLimit>>10)
	case len(k.kept) > 0 && k.end == nil && !k.known:
		return "its body is a stream that had begun to flow"
	}
	return ""
}

// take keeps what a read has brought.
func (k *Kept) take(p []byte, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.read += len(p)
	if k.over = k.over || k.read > ReplayLimit; k.over {
		k.kept = nil
	} else {
		k.kept = append(k.kept, p...)
	}
	k.end = err
}

// waits says whether a read may have to wait and another try may follow: then
// whoever gives the present one up must not have to wait, too.
func (k *Kept) waits() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !k.over && Ready(k.body) == 0
}

// Attempt is a kept body from its beginning. One goroutine reads it.
type Attempt struct {
	k     *Kept
	at    int           // bytes read
	given chan struct{} // closed when the try has been given up
	once  sync.Once
}

var errGivenUp = errors.New("reading the body for a try that has been given up")

// GiveUp makes a Read that waits return, and all later ones fail.
func (a *Attempt) GiveUp() { a.once.Do(func() { close(a.given) }) }

// Read implements io.Reader.
func (a *Attempt) Read(p []byte) (int, error) {
	if n, err := a.replay(p); n > 0 || err != nil || len(p) == 0 {
		return n, err
	}
	k := a.k
	select {
	case k.turn <- struct{}{}:
	case <-a.given:
		return 0, errGivenUp
	}
	n, err := a.replay(p) // the read of another try was under way
	if n > 0 || err != nil {
		<-k.turn
		return n, err
	}
	if k.waits() {
		return a.wait(p)
	}
	defer func() { <-k.turn }()
	n, err = k.body.Read(p)
	k.take(p[:n], err)
	a.at += n
	return n, err
}

// wait reads in a goroutine of its own, which ends when the body's Read does: at
// the latest when the body is taken away from the call.
func (a *Attempt) wait(p []byte) (int, error) {
	type piece struct {
		b   []byte
		err error
	}
	came := make(chan piece, 1)
	b := make([]byte, min(len(p), waitRead))
	k := a.k
	go func() {
		defer func() { <-k.turn }()
		n, err := k.body.Read(b)
		k.take(b[:n], err)
		came <- piece{b[:n], err}
	}()
	select {
	case got := <-came:
		n := copy(p, got.b)
		a.at += n
		return n, got.err
	case <-a.given:
		return 0, errGivenUp
	}
}

// waitRead is the most that is read at once of a body that has to be waited for.
const waitRead = 16 << 10

// replay gives what is kept beyond what this try has read, or the body's end.
func (a *Attempt) replay(p []byte) (int, error) {
	select {
	case <-a.given:
		return 0, errGivenUp
	default:
	}
	k := a.k
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.over && a.at < k.read:
		return 0, errors.New("what follows of the body is no longer kept")
	case a.at < k.read:
		n := copy(p, k.kept[a.at:])
		a.at += n
		return n, nil
	}
	return 0, k.end
}

// Len says how much can be read without waiting.
func (a *Attempt) Len() int {
	k := a.k
	k.mu.Lock()
	kept, over := len(k.kept)-a.at, k.end != nil
	k.mu.Unlock()
	if kept > 0 {
		return kept
	}
	if over {
		return 0
	}
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
		return Ready(k.body)
	default: // another try is inside a read
		return 0
	}
}
