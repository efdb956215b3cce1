package proc

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"
)

const (
	// helperName is what the helper is called by ps. It does not contain our
	// own name, so that killing us by name does not take the helper along.
	helperName  = "guardian"
	helperHello = "here\n"
	helperEnv   = "MESH_GUARDIAN" // the run, and the start time of the process that is watched

	sweepFor   = 5 * time.Second // how long the helper tries
	sweepAgain = 10 * time.Millisecond
	sweepSure  = 3 // looks in a row that find nothing
)

// GuardianMain is the whole life of the helper process: it listens on stdin
// until that ends, and if that was without a farewell, it ends every tree it
// was told of. The result is the exit code.
func GuardianMain(stdin io.Reader) int {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE,
		syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU)
	w := watched{trees: map[ident]*tree{}, strays: map[ident]bool{}}
	if n, err := fmt.Sscanf(os.Getenv(helperEnv), "%s %d", &w.run, &w.start); n != 2 || err != nil {
		return 2 // started by hand
	}
	rename(helperName)
	_, _ = os.Stdout.WriteString(helperHello) // if nobody listens any more, there is all the more to do
	os.Stdout.Close()
	debug.FreeOSMemory() // what the start of a large program has touched

	d := json.NewDecoder(stdin)
	for {
		var next word
		if err := d.Decode(&next); err != nil {
			break
		}
		if next.Bye {
			return 0
		}
		w.hear(next)
	}
	if left := w.sweep(); left > 0 {
		return 1
	}
	return 0
}

// watched is what the helper knows.
type watched struct {
	run    string
	start  uint64 // of the process that is watched; nothing of the run is older
	trees  map[ident]*tree
	strays map[ident]bool
}

func (w *watched) hear(next word) {
	if t := next.Add; t != nil {
		w.trees[ident{t.PID, t.Start}] = t
	}
	if t := next.Drop; t != nil {
		delete(w.trees, ident{t.PID, t.Start})
	}
	for _, s := range next.Seen {
		w.strays[ident{s.PID, s.Start}] = true
	}
	for id := range w.strays {
		if len(next.Seen) > 0 && !id.alive() {
			delete(w.strays, id)
		}
	}
}

// roots gives where to begin looking. The first one stands for members that
// were told one by one, and keeps those in view that are older than any tree
// that is still known.
func (w *watched) roots() []root {
	first := root{leader: ident{start: w.start, pid: -1}}
	for id := range w.strays {
		first.known = append(first.known, id)
	}
	all := []root{first}
	for id := range w.trees {
		all = append(all, root{leader: id})
	}
	return all
}

// sweep kills until nothing is found and gives the number of those that
// cannot be killed.
func (w *watched) sweep() int {
	roots, bears := w.roots(), marked(w.run+"/")
	quiet := 0
	for until := time.Now().Add(sweepFor); ; {
		found := scan().family(roots, bears)
		for _, p := range found {
			_ = p.signal(syscall.SIGKILL)
			// Its children will have another parent when it is gone.
			roots[0].known = append(roots[0].known, p.ident)
		}
		if quiet++; len(found) > 0 {
			quiet = 0
		}
		if quiet == sweepSure || time.Now().After(until) {
			return len(found)
		}
		<-time.After(sweepAgain)
	}
}
