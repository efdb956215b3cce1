package tui

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"mesh/runtime/flow"
	"mesh/supervisor/state"
)

// hostile gives a text as nobody would wish for.
func hostile(r *rand.Rand) string {
	pieces := []string{
		"", "a", "orders-2", strings.Repeat("long", 60), "日本語のログ", "👩‍👩‍👧‍👦👍🏽🇩🇪", "e\u0301\u202eevil\u2066", "\x1b[31mred", "\x1b[2J\x1b[9;9H", "\x1b]0;title\x07",
		"\x1bP1$r", "\x00\x01\x7f", "\xff\xfe\x80", "\r\n", "\n\n\n", "\t\t", "\u009b5n", "क्षि", "\u0e33\u0e33", "line one\nline two", "\x1b[38;5", "ｱﾞ", "│▒◆", "\u200b\u200d\ufeff",
	}
	var b strings.Builder
	for range 1 + r.IntN(4) {
		b.WriteString(pieces[r.IntN(len(pieces))])
	}
	return b.String()
}

func anyDuration(r *rand.Rand) time.Duration {
	return time.Duration(r.Int64N(int64(1)<<(1+r.IntN(60)))) - time.Duration(r.IntN(2))
}

// anyMesh gives a mesh in any state, also in those that make no sense.
func anyMesh(r *rand.Rand) *state.Mesh {
	phases := []state.Phase{state.Pending, state.Starting, state.Ready, state.Stopping, state.Stopped, state.Backoff, state.Done, state.Failed, "unheard of", ""}
	m := &state.Mesh{Version: r.Uint64(), Name: hostile(r), File: hostile(r), Stopping: r.IntN(8) == 0}
	for range r.IntN(12) {
		app := state.App{ID: hostile(r), External: r.IntN(5) == 0}
		for range r.IntN(4) {
			app.Instances = append(app.Instances, state.Instance{
				Name: hostile(r), Phase: phases[r.IntN(len(phases))], Reason: hostile(r), Since: noon().Add(anyDuration(r)), Next: noon().Add(anyDuration(r)),
				PID: r.IntN(2) * r.Int(), Restarts: r.IntN(9) - 1, AppPort: r.IntN(70000), CPU: r.Float64() * 50, Memory: r.Uint64(), Calls: r.IntN(1 << 30), Waiting: r.IntN(3),
			})
		}
		if len(m.Apps) > 0 {
			app.DependsOn = []state.Dependency{{App: m.Apps[0].ID}, {App: "nobody"}}
		}
		m.Apps = append(m.Apps, app)
	}
	for range r.IntN(6) {
		m.Components = append(m.Components, state.Component{
			Name: hostile(r), Type: hostile(r), Version: hostile(r), App: hostile(r), Scopes: []string{hostile(r)}, State: []string{"ready", "degraded", "outdated", hostile(r)}[r.IntN(4)],
			Reason: hostile(r), Since: noon().Add(anyDuration(r)), Next: noon().Add(anyDuration(r)), Place: hostile(r),
		})
	}
	m.Review = r.IntN(3) == 0
	if r.IntN(2) == 0 {
		m.Edit = &state.Edit{At: noon().Add(anyDuration(r)), State: []state.EditState{state.EditPending, state.EditApplied, state.EditBroken, "?"}[r.IntN(4)], Error: hostile(r)}
		if r.IntN(2) == 0 {
			m.Edit.Plan = &state.Plan{Items: []state.PlanItem{{Kind: hostile(r), Name: hostile(r), Action: state.Action(hostile(r)), Why: []string{hostile(r)}, Streams: r.IntN(3)}}}
		}
	}
	for range r.IntN(5) {
		m.Notices = append(m.Notices, state.Notice{At: noon(), Level: []string{"error", "warning", "info", "?"}[r.IntN(4)], App: hostile(r), Text: hostile(r) + "\n" + hostile(r), Hint: hostile(r)})
	}
	return m
}

// anyFlow gives a flow whose lanes need not fit each other.
func anyFlow(r *rand.Rand, i int) *fakeFlow {
	f := &fakeFlow{view: flow.View{
		ID: fmt.Sprintf("%016x", r.Uint64()), Head: flow.Head{Caller: hostile(r), Callee: hostile(r), Verb: hostile(r), Path: hostile(r), Kind: hostile(r), Begun: noon()},
		Peer: flow.Peer{Instance: hostile(r), Transport: []string{"", "local", "grpc", "unary", hostile(r)}[r.IntN(5)], Addr: hostile(r)},
		Age:  anyDuration(r), Live: r.IntN(2) == 0, Status: r.IntN(700), Replied: anyDuration(r), Held: anyDuration(r), Holding: r.IntN(4) == 0,
	}}
	if r.IntN(3) == 0 {
		f.view.Err = hostile(r)
	}
	if i == 0 { // what is seen after the fact may be short
		f.view.ID = "x"
	}
	for lane := range f.marks {
		at := time.Duration(0)
		for range r.IntN(2) * r.IntN(400) {
			at += time.Duration(r.Int64N(1 << (1 + r.IntN(36))))
			f.put(flow.Dir(lane/4), flow.Hop(lane%4), at, r.IntN(1<<(1+r.IntN(20))))
		}
		if r.IntN(4) == 0 {
			f.block(flow.Dir(lane/4), flow.Hop(lane%4), anyDuration(r))
		}
	}
	return f
}

// TestAnyState plays random keys at random sizes on random meshes: nothing
// panics, every frame has exactly the lines of the terminal, none is wider,
// and no control character but colours gets through.
func TestAnyState(t *testing.T) {
	keys := []string{
		"1", "2", "3", "4", "5", "6", "7", "&", "b", "'", "\"", "c", "u", "S", "y", "up", "down", "left", "right", "enter", "esc", "tab", "home", "end", "pgup", "pgdown", "space", "?", "!", ":", "/", "x", "o", "O", "f", "n", "N",
		"w", "t", "a", "g", "G", "+", "-", "0", "[", "]", "{", "}", "r", "S", "e", "m", "<", "backspace", "k", "j", "l", "h",
	}
	rounds := 40
	if testing.Short() {
		rounds = 10
	}
	for seed := range uint64(rounds) {
		r := rand.New(rand.NewPCG(seed, 7))
		s := open(t, 1+r.IntN(160), 1+r.IntN(60), Options{NoColor: r.IntN(2) == 0, Attached: r.IntN(2) == 0})
		for range 30 {
			switch r.IntN(8) {
			case 0:
				s.mesh.set(func(m *state.Mesh) { *m = *anyMesh(r) })
				s.flows.all = nil
				for i := range r.IntN(30) {
					s.flows.all = append(s.flows.all, anyFlow(r, i))
				}
				for range r.IntN(40) {
					s.mesh.print(hostile(r), []string{"stdout", "stderr", "mesh", ""}[r.IntN(4)], hostile(r))
				}
			case 1:
				s.send(tea.WindowSizeMsg{Width: r.IntN(220), Height: r.IntN(70)})
			case 2:
				s.send(tea.MouseClickMsg{X: r.IntN(220), Y: r.IntN(70), Button: tea.MouseLeft})
			case 3:
				s.send(tea.MouseWheelMsg{X: r.IntN(220), Y: r.IntN(70), Button: []tea.MouseButton{tea.MouseWheelUp, tea.MouseWheelDown}[r.IntN(2)]})
			case 4:
				s.text([]string{"to:x", "stalled", "res", "err", hostile(r)}[r.IntN(5)])
			default:
				s.press(keys[r.IntN(len(keys))])
			}
			s.now = s.now.Add(time.Duration(r.IntN(400)) * ms)
			s.tick()
			if !fits(t, s) {
				t.Fatalf("seed %d", seed)
			}
		}
	}
}

func fits(t *testing.T, s *session) bool {
	t.Helper()
	if s.m.raw.on {
		return true
	}
	lines := strings.Split(s.m.View().Content, "\n")
	if len(lines) != max(1, s.m.h) {
		t.Errorf("%d lines at %d×%d", len(lines), s.m.w, s.m.h)
		return false
	}
	for i, l := range lines {
		if w := max(ansi.StringWidth(l), ansi.StringWidthWc(l)); w > s.m.w {
			t.Errorf("line %d is %d wide at %d×%d: %q", i, w, s.m.w, s.m.h, l)
			return false
		}
		for _, c := range plain(l) {
			if c < 0x20 || (c >= 0x7f && c < 0xa0) {
				t.Errorf("line %d holds %q: %q", i, c, l)
				return false
			}
		}
	}
	return true
}

// TestSmallest shows that a terminal of 20×5 is still of use.
func TestSmallest(t *testing.T) {
	s := open(t, 20, 5, Options{NoColor: true})
	s.shows("▸Apps", "↻ bill")
	s.press("2")
	s.shows("▸Streams", "web ▸ llm-2")
	s.press("enter")
	s.shows("▸Lanes", "◆▆")
	s.press("4")
	s.shows("▸Logs", "invo")
}
