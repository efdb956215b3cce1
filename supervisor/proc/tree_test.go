package proc

import (
	"slices"
	"testing"
)

func TestFamily(t *testing.T) {
	p := func(pid, parent, group, session int, start uint64) process {
		return process{ident: ident{pid, start}, parent: parent, group: group, session: session}
	}
	zombie := func(p process) process { p.dead = true; return p }
	nobody := func(process) bool { return false }
	leader := root{leader: ident{100, 50}}
	for name, c := range map[string]struct {
		table  []process
		roots  []root
		marked func(process) bool
		want   []int
	}{
		"children of children": {
			table: []process{p(100, 1, 100, 100, 50), p(101, 100, 100, 100, 51), p(102, 101, 102, 102, 52), p(103, 1, 103, 103, 53)},
			want:  []int{100, 101, 102},
		},
		"an orphan of the session": {
			table: []process{p(102, 1, 101, 100, 52), p(103, 102, 103, 103, 53)},
			want:  []int{102, 103},
		},
		"an orphan of the group": {
			table: []process{p(102, 1, 100, 7, 52)},
			want:  []int{102},
		},
		"a zombie counts by its children only": {
			table: []process{zombie(p(100, 1, 100, 100, 50)), p(101, 100, 101, 101, 51)},
			want:  []int{101},
		},
		"the number is another's": {
			table: []process{p(100, 1, 100, 100, 900), p(101, 100, 100, 100, 901)},
			want:  nil,
		},
		"a marked one": {
			table:  []process{p(300, 1, 300, 300, 60), p(301, 300, 300, 300, 61)},
			marked: func(p process) bool { return p.pid == 300 },
			want:   []int{300, 301},
		},
		"a marked one that is older is another's": {
			table:  []process{p(300, 1, 300, 300, 49)},
			marked: func(process) bool { return true },
			want:   nil,
		},
		"a known one": {
			table: []process{p(400, 1, 400, 400, 60), p(401, 1, 401, 401, 99)},
			roots: []root{{leader: leader.leader, known: []ident{{400, 60}, {401, 98}}}},
			want:  []int{400},
		},
	} {
		t.Run(name, func(t *testing.T) {
			all := table{}
			for _, p := range c.table {
				all[p.pid] = p
			}
			if c.marked == nil {
				c.marked = nobody
			}
			if c.roots == nil {
				c.roots = []root{leader}
			}
			var got []int
			for _, p := range all.family(c.roots, c.marked) {
				got = append(got, p.pid)
			}
			slices.Sort(got)
			if !slices.Equal(got, c.want) {
				t.Errorf("found %v, want %v", got, c.want)
			}
		})
	}
}
