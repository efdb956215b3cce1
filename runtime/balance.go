package runtime

// Balance is how calls to an app are spread over its instances.
type Balance string

// The ways to balance.
const (
	RoundRobin    Balance = "round-robin"     // each in turn
	LeastInFlight Balance = "least-in-flight" // whoever has the fewest calls under way
)

// balances are those of one sidecar.
type balances struct{ own, others Balance }

// SetBalance changes how calls of this process to the sidecar's app are spread
// over the instances of it that run here, and how calls of the app to others
// elsewhere are spread over theirs. "" means RoundRobin.
func (s *Sidecar) SetBalance(own, others Balance) { s.spread.Store(&balances{own, others}) }

func (s *Sidecar) balance() Balance       { return s.spread.Load().own }
func (s *Sidecar) balanceOthers() Balance { return s.spread.Load().others }

// least gives which of n has the least load, the first of them when several
// have, counted from where the turn is. Who is not fit counts only when nobody is.
func least(n, turn uint32, load func(i uint32) (calls int64, fit bool)) uint32 {
	best, fewest := turn, int64(-1)
	for k := range n {
		if calls, fit := load((turn + k) % n); fit && (fewest < 0 || calls < fewest) {
			best, fewest = turn+k, calls
		}
	}
	return best
}

// least gives where the instance stands that is ready and has the fewest calls.
func (g *peerGroup) least(turn uint32) uint32 {
	return least(uint32(len(g.all)), turn, func(i uint32) (int64, bool) {
		s := g.all[i]
		stats := s.app.Stats()
		// Those on the wire have not come to the app yet, or have, and then are
		// both: the larger number holds.
		return max(int64(stats.Calls+stats.Waiting), s.o.Peers.wires.load(s.wire)), s.app.Ready()
	})
}
