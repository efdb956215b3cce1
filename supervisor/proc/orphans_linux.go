package proc

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// adopt makes orphans of our children our own children while we live. Those
// who have shed both mark and session can then still be told from the rest of
// the system, and in a container, where we may be the first process, zombies
// go away.
func (g *Guardian) adopt() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("adopting orphans: %w", err)
	}
	died := make(chan os.Signal, 1)
	signal.Notify(died, syscall.SIGCHLD)
	g.kept.Go(func() {
		defer signal.Stop(died)
		for {
			select {
			case <-died:
				g.reap()
			case <-g.stop:
				return
			}
		}
	})
	return nil
}

// reap waits for the zombies that nobody else waits for. Those are the ones in
// a foreign session that we did not start: what this program starts otherwise,
// by os/exec, stays in its own session, and a process cannot come back to a
// session that it or a parent of it has left.
func (g *Guardian) reap() {
	g.forking.Lock()
	defer g.forking.Unlock()
	for _, p := range g.foreign() {
		if p.dead {
			var status unix.WaitStatus
			_, _ = unix.Wait4(p.pid, &status, unix.WNOHANG, nil)
		}
	}
}

// foreign gives our children in foreign sessions that were not started by us.
// g.forking is held.
func (g *Guardian) foreign() []process {
	me, _ := look(g.self.pid)
	var found []process
	for _, pid := range childrenOf(g.self.pid) {
		if p, ok := look(pid); ok && p.session != me.session && !g.started(p.ident) {
			found = append(found, p)
		}
	}
	return found
}

func (g *Guardian) started(id ident) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.helper != nil && g.helper.pid() == id.pid {
		return true
	}
	for _, t := range g.trees {
		if t.PID == id.pid && t.Start == id.start {
			return true
		}
	}
	return false
}

// endOrphans kills what was adopted and still lives when all trees have ended:
// members of a tree that had shed everything by which they could be found.
func (g *Guardian) endOrphans() {
	if !g.adopting {
		return
	}
	g.forking.Lock()
	defer g.forking.Unlock()
	g.mu.Lock()
	busy := len(g.trees) > 0
	g.mu.Unlock()
	if busy {
		return
	}
	over := time.After(giveUp)
	for {
		var alive []ident
		for _, p := range g.foreign() {
			if !p.dead {
				alive = append(alive, p.ident)
			}
		}
		if len(alive) == 0 {
			return
		}
		nobody := func(process) bool { return false }
		found := scan().family([]root{{leader: ident{pid: -1, start: g.self.start}, known: alive}}, nobody)
		for _, p := range found {
			_ = p.signal(syscall.SIGKILL)
		}
		if awaitGone(found, over, nil) == graceOver {
			return
		}
	}
}
