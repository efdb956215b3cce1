package proc

import (
	"slices"
	"syscall"
	"time"
)

const (
	lookAgain = 500 * time.Millisecond // while waiting for a tree: find members that were forked meanwhile
	firstNap  = time.Millisecond       // between two looks at the members
	longNap   = 25 * time.Millisecond
	giveUp    = 5 * time.Second // after SIGKILL: what lives then cannot be ended by us
)

// bringDown asks all that find finds to stop, and kills it when the grace is
// over or killing is closed. It returns when find finds nothing, and reports
// whether it had to kill, after which grace (0 when there was no patience),
// and the processes that are left nevertheless.
func bringDown(find func() []process, sig syscall.Signal, grace time.Duration, killing <-chan struct{}) (killed bool, after time.Duration, left []int) {
	patience := time.NewTimer(grace)
	defer patience.Stop()
	asked := map[ident]bool{}
	for !killed {
		members := find()
		if len(members) == 0 {
			return false, 0, nil
		}
		for _, p := range members {
			if !asked[p.ident] {
				asked[p.ident] = true
				_ = p.signal(sig)
				// A stopped process acts on the signal only when it goes on.
				_ = p.signal(syscall.SIGCONT)
			}
		}
		switch awaitGone(members, patience.C, killing) {
		case graceOver:
			killed, after = true, grace
		case noPatience:
			killed = true
		case allGone, lookOnce:
		}
	}
	limit := time.NewTimer(giveUp)
	defer limit.Stop()
	for {
		members := find()
		if len(members) == 0 {
			return killed, after, nil
		}
		for _, p := range members {
			_ = p.signal(syscall.SIGKILL)
		}
		if awaitGone(members, limit.C, nil) == graceOver {
			for _, p := range find() {
				left = append(left, p.pid)
			}
			return killed, after, left
		}
	}
}

// outcome says why a wait for processes has ended.
type outcome int

const (
	allGone outcome = iota
	lookOnce
	graceOver
	noPatience
)

// awaitGone waits until none of the members is alive, or until it is time to
// look for new ones. It asks the system at growing intervals: the members are
// mostly not our children, for which the system would tell us.
func awaitGone(members []process, over <-chan time.Time, killing <-chan struct{}) outcome {
	members = slices.Clone(members)
	nap := firstNap
	again := time.NewTimer(lookAgain)
	defer again.Stop()
	for {
		members = slices.DeleteFunc(members, func(p process) bool { return !p.alive() })
		if len(members) == 0 {
			return allGone
		}
		t := time.NewTimer(nap)
		select {
		case <-t.C:
			nap = min(nap*2, longNap)
		case <-again.C:
			return lookOnce
		case <-over:
			t.Stop()
			return graceOver
		case <-killing:
			t.Stop()
			return noPatience
		}
	}
}
