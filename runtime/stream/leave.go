package stream

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Expects says whether the caller of a call waits for leave before it sends the
// body. It is given by reading the body.
func Expects(c *Call) bool {
	v := c.Header["Expect"]
	return c.Body != nil && len(v) > 0 && strings.EqualFold(v[0], "100-continue")
}

// LeaveWait is how long a body waits for leave before it is sent all the same:
// many servers never give it.
const LeaveWait = time.Second

var errUnwanted = errors.New("the app did not want the body")

// leave is what a body waits for before it is read and sent to a peer that says
// whether it wants it. Nil waits for nothing.
type leave chan bool

func (l leave) give(wanted bool) {
	select {
	case l <- wanted:
	default: // given before, or nobody waits
	}
}

// wait returns when the body may be sent, or why it may not.
func (l leave) wait(ctx context.Context) error {
	if l == nil {
		return nil
	}
	t := time.NewTimer(LeaveWait)
	defer t.Stop()
	select {
	case wanted := <-l:
		if !wanted {
			return errUnwanted
		}
	case <-t.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// informer sends informational replies to the caller until there is a reply. Nil
// has nothing to say.
type informer struct {
	to      frames
	mu      sync.Mutex // one message at a time
	replied bool
}

func (i *informer) say(status int, h http.Header) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.replied {
		_ = i.to.send(&outFrame{head: informHead(status, h)}) // a failure shows in the reply's
	}
}

func (i *informer) end() {
	if i != nil {
		i.mu.Lock()
		i.replied = true
		i.mu.Unlock()
	}
}
