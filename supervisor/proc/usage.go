package proc

import "time"

const (
	// usageAge is how old a figure may be that Usage gives without looking
	// again.
	usageAge = 250 * time.Millisecond
	// walkAge is how long members are taken for all there are. Looking for new
	// ones means asking every thread for its children, which costs ten times
	// as much as asking the members what they have used.
	walkAge = 2 * time.Second
)

// usage is what the tree has used up to a moment.
type usage struct {
	at    time.Time
	walk  time.Time // when new members were last looked for
	ticks uint64    // grows only: what ended members have used stays counted
	rss   uint64
}

// Usage gives the processor time that the tree has used so far and the memory
// that is resident now, counting pages that its processes share once for each
// of them. Its cost depends on the size of the tree alone. On the way it finds
// members, which are remembered should they leave the tree.
func (c *Child) Usage() (cpuSeconds float64, rss uint64) {
	c.mu.Lock()
	if time.Since(c.used.at) < usageAge {
		defer c.mu.Unlock()
		return c.used.seconds(), c.used.rss
	}
	walk := time.Since(c.used.walk) >= walkAge
	if walk {
		c.used.walk = time.Now()
	}
	now := c.descendants(walk)
	strays := c.remember(now)
	c.used.at, c.used.rss = time.Now(), 0
	for _, p := range now {
		m := c.known[p.ident]
		if p.ticks > m.ticks {
			c.used.ticks += p.ticks - m.ticks
			m.ticks = p.ticks
		}
		c.used.rss += p.rss
		c.known[p.ident] = m
	}
	sum := c.used
	c.mu.Unlock()
	c.g.saw(strays)
	return sum.seconds(), sum.rss
}

func (u usage) seconds() float64 { return float64(u.ticks) / ticksPerSecond }

// descendants gives the leader and the known members, and with walk all that
// has come out of them. c.mu is held.
func (c *Child) descendants(walk bool) []process {
	var found []process
	in := map[int]bool{}
	next := make([]ident, 0, len(c.known)+1)
	next = append(next, c.leader)
	for id := range c.known {
		next = append(next, id)
	}
	for len(next) > 0 {
		id := next[len(next)-1]
		next = next[:len(next)-1]
		p, ok := look(id.pid)
		if !ok || in[id.pid] || p.dead || p.ident != id {
			continue
		}
		in[id.pid] = true
		found = append(found, p)
		if !walk {
			continue
		}
		for _, pid := range childrenOf(id.pid) {
			if child, ok := look(pid); ok && !in[pid] {
				next = append(next, child.ident)
			}
		}
	}
	return found
}
