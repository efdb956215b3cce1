package supervisor

import (
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"strconv"
	"syscall"
	"time"

	"mesh/supervisor/proc"
)

// Ports are derived from the project, the app and the purpose, so that they
// stay the same from run to run. The range lies below the kernel's range for
// outgoing connections, whose sockets would get in the way.
const (
	portBase  = 20000
	portRange = 12000
)

// portBook hands out ports and remembers which are spoken for.
type portBook struct {
	salt  string
	taken map[int]bool // handed out
	fixed map[int]bool // those that the user has fixed
}

func newPortBook(salt string) *portBook {
	return &portBook{salt: salt, taken: map[int]bool{}, fixed: map[int]bool{}}
}

// pick gives a free port for a purpose such as "orders/1/http": always the
// same one as long as nobody else holds it.
func (b *portBook) pick(purpose string) (int, error) {
	h := fnv.New32a()
	_, _ = h.Write([]byte(b.salt + "\x00" + purpose))
	start := int(h.Sum32() % portRange)
	for i := range portRange {
		p := portBase + (start+i)%portRange
		if b.taken[p] || b.fixed[p] {
			continue
		}
		switch err := portFree(p); {
		case err == nil:
			b.taken[p] = true
			return p, nil
		case !errors.Is(err, errTaken): // the other ports will not do either
			return 0, fmt.Errorf("looking for a port for %s: %w", purpose, err)
		}
	}
	return 0, fmt.Errorf("no free port between %d and %d for %s", portBase, portBase+portRange-1, purpose)
}

// free gives a port back.
func (b *portBook) free(port int) { delete(b.taken, port) }

// errTaken is why a port cannot be had that somebody else holds.
var errTaken = errors.New("it is taken")

// portFree says why a server could not listen there now: errTaken, or what keeps
// us from finding out. A port that we have just closed may live on for a moment
// in a process that is being forked, until it has become another program.
func portFree(port int) error {
	for range 15 {
		err := proc.PortFree(port)
		if !errors.Is(err, syscall.EADDRINUSE) {
			return err //nolint:wrapcheck // the caller names the port
		}
		<-time.After(2 * time.Millisecond)
	}
	return errTaken
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
