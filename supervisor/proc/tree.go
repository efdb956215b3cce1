package proc

import "slices"

// ident names one process for all time: numbers are given out again, but not
// with the same start time.
type ident struct {
	pid   int
	start uint64 // in the system's own unit, since it was booted
}

// process is what one look has seen of a process.
type process struct {
	ident
	parent  int
	group   int
	session int
	dead    bool   // a zombie: it holds nothing but its number
	ticks   uint64 // processor time used
	rss     uint64 // bytes
}

// table is every process of the system at one moment, by number.
type table map[int]process

// root is where a tree begins.
type root struct {
	leader ident
	known  []ident // members that were seen before, which may have left since
}

// family gives the living members of the trees: the leaders, the members of
// their sessions and groups, known members, every process that bears the mark,
// and all that descends from these.
func (t table) family(roots []root, marked func(process) bool) []process {
	oldest := ^uint64(0)
	for _, r := range roots {
		oldest = min(oldest, r.leader.start)
	}
	children := make(map[int][]process)
	in := make(map[int]bool)
	var next []process
	add := func(p process) {
		if !in[p.pid] {
			in[p.pid] = true
			next = append(next, p)
		}
	}
	for _, p := range t {
		// Nothing in a tree is older than its leader; this spares the look
		// into the environment of most processes of the system.
		if p.start < oldest {
			continue
		}
		children[p.parent] = append(children[p.parent], p)
		if t.belongs(p, roots) || (!p.dead && marked(p)) {
			add(p)
		}
	}
	var found []process
	for len(next) > 0 {
		p := next[len(next)-1]
		next = next[:len(next)-1]
		if !p.dead {
			found = append(found, p)
		}
		for _, child := range children[p.pid] {
			add(child)
		}
	}
	return found
}

func (t table) belongs(p process, roots []root) bool {
	for _, r := range roots {
		if p.ident == r.leader || slices.Contains(r.known, p.ident) {
			return true
		}
		if p.session != r.leader.pid && p.group != r.leader.pid {
			continue
		}
		// The number of a session is that of its leader and stays taken while
		// the session has members. If another process bears it now, the
		// session of our leader was empty and this is a new one.
		if now, alive := t[r.leader.pid]; p.start >= r.leader.start && (!alive || now.ident == r.leader) {
			return true
		}
	}
	return false
}
