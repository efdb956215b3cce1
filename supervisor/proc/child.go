package proc

import (
	"context"
	"os"
	"sync"
	"syscall"
	"time"
)

// Child is a running program and everything that came out of it.
type Child struct {
	spec     Spec
	g        *Guardian
	mark     string
	leader   ident
	terminal *os.File // our side of its terminal; nil without one
	reading  sync.WaitGroup

	memoryKills uint64 // of the system when it was started
	memoryTold  bool   // whether the system tells

	exited chan struct{}    // closed when the program itself has ended
	state  *os.ProcessState // after exited; nil when waiting failed
	at     time.Time        // of its end; after exited
	done   chan struct{}
	exit   Exit // after done

	mu       sync.Mutex
	asked    bool
	killed   bool
	stopping chan struct{} // closed by the first Stop
	killing  chan struct{} // closed when there is no patience left
	known    map[ident]member
	used     usage
}

// member is what is remembered of a process of the tree.
type member struct {
	ticks uint64 // processor time that has been counted
	stray bool   // it has left the session, so that nothing but memory may find it
}

// PID gives the process number of the program, which is also the number of its
// session and process group.
func (c *Child) PID() int { return c.leader.pid }

// Done is closed when the program has ended, nothing of its tree is left, and
// all of its output has been handed over.
func (c *Child) Done() <-chan struct{} { return c.done }

// Exited is closed when the program itself has ended. What is left of its tree
// may still have to be ended, and output to be read: Done tells when that is
// over.
func (c *Child) Exited() <-chan struct{} { return c.exited }

// Exit says how it ended. Call it after Done.
func (c *Child) Exit() Exit {
	<-c.done
	return c.exit
}

// Stop sends the polite signal to the whole tree and, when the grace is over,
// SIGKILL. It returns when Done is closed. The end of ctx, or a second call,
// kills at once.
func (c *Child) Stop(ctx context.Context) {
	c.mu.Lock()
	if c.asked {
		c.kill()
	} else {
		c.asked = true
		close(c.stopping)
	}
	c.mu.Unlock()
	select {
	case <-c.done:
		return
	case <-ctx.Done():
	}
	c.mu.Lock()
	c.kill()
	c.mu.Unlock()
	<-c.done
}

// kill ends all patience. c.mu is held.
func (c *Child) kill() {
	if !c.killed {
		c.killed = true
		close(c.killing)
	}
}

// live follows the child from its start to the end of its tree. It is joined
// through done.
func (c *Child) live(begun time.Time, std *stdio, last *tail) {
	defer close(c.done)
	select {
	case <-c.exited:
	case <-c.stopping:
	}
	asked := true
	select {
	case <-c.exited: // no signal has been sent yet, so it ended by itself
		asked = false
	default:
	}
	killed, grace, left := bringDown(c.members, c.spec.Signal, c.spec.Grace, c.killing)
	c.g.forget(c)
	if len(left) == 0 {
		<-c.exited
	}
	std.drain()
	c.reading.Wait()
	std.closeOurs()
	c.exit = Exit{Code: -1, Asked: asked, Killed: killed && asked, Last: last.lines(), Took: time.Since(begun), Left: left}
	if c.exit.Killed {
		c.exit.grace = grace
	}
	select {
	case <-c.exited:
	default:
		return
	}
	c.exit.Took = c.at.Sub(begun)
	if c.state == nil {
		return
	}
	c.exit.Code = c.state.ExitCode()
	if ws, ok := c.state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		c.exit.Signal = ws.Signal()
	}
	if c.exit.Signal == syscall.SIGKILL || c.exit.Code == 128+int(syscall.SIGKILL) {
		c.exit.killer = killerSince(c.memoryKills, c.memoryTold)
	}
}

// members looks for everything of the tree that is alive now.
func (c *Child) members() []process {
	t := scan()
	c.mu.Lock()
	known := make([]ident, 0, len(c.known))
	for id := range c.known {
		known = append(known, id)
	}
	found := t.family([]root{{leader: c.leader, known: known}}, marked(c.mark))
	strays := c.remember(found)
	c.mu.Unlock()
	c.g.saw(strays)
	return found
}

// remember keeps the members that are there now, forgets the others, and gives
// those that were not known and have left the session. c.mu is held.
func (c *Child) remember(now []process) (strays []seen) {
	kept := make(map[ident]member, len(now))
	for _, p := range now {
		m, known := c.known[p.ident]
		m.stray = p.session != c.leader.pid
		if m.stray && !known {
			strays = append(strays, seen{PID: p.pid, Start: p.start})
		}
		kept[p.ident] = m
	}
	c.known = kept
	return strays
}

// strays gives the known members that have left the session.
func (c *Child) strays() (strays []seen) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, m := range c.known {
		if m.stray {
			strays = append(strays, seen{PID: id.pid, Start: id.start})
		}
	}
	return strays
}
