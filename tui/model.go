package tui

import (
	"context"
	"time"

	tea "charm.land/bubbletea/v2"

	"mesh/runtime/flow/filter"
	"mesh/supervisor/state"
	"mesh/tui/grid"
	"mesh/tui/pane"
)

// view is one pane as the model sees it.
type view interface {
	Draw(a grid.Area)
	Bindings() []pane.Binding
	Click(x, y int) pane.Action
	Wheel(n, x int)
}

// filtered is a pane whose list can be filtered.
type filtered interface {
	SetFilter(text string) error
	Filtered() string
	Reads(text string) bool
	Complete(text string) filter.Completion
}

// visit is a view that was left, as it was.
type visit struct {
	view   pane.View
	filter string // of its list

	// streams is the filter that the streams had when this view was left for them
	// with another one; nil: it stayed.
	streams *string
}

// model is the only Bubble Tea model. It routes: keys to panes, snapshots to
// the world, areas to whoever draws.
type model struct {
	mesh    Mesh
	flows   Flows
	opt     Options
	done    <-chan struct{}                     // closed when the screen is left
	do      func(c state.Command) error         // carries out a command
	explain func(app string) ([]string, error)  // nil: names cannot be asked for
	edit    func(file string, at place) tea.Cmd // nil: there is no editor
	mend    func(file string, at place) tea.Cmd // the same for a mesh.toml with mistakes; nil: as any file
	attach  func(app string) tea.Cmd            // nil: the terminals of apps are out of reach

	compose func(d draft) tea.Cmd                      // lets the user edit a call; nil: there is no editor
	call    func(c Invocation) (status int, err error) // makes a call

	world    pane.World
	apps     *pane.Apps
	streams  *pane.Streams
	lanes    *pane.Lanes
	logs     *pane.Logs
	topology *pane.Topology
	parts    *pane.Components
	plan     *pane.Plan
	view     pane.View
	history  []visit

	w, h    int
	buf     grid.Buffer
	frame   string
	stale   bool // the frame no longer shows the model
	body    grid.Area
	bodyY   int
	tabs    [pane.Views]int // where the titles end
	overlay overlay
	found   explained
	over    int // first line of the overlay that is shown
	long    int // lines of the overlay
	input   *input
	ask     *question
	keys    []pane.Binding

	message  string
	bad      bool // the message tells of a failure
	forget   time.Time
	pulling  pulling
	pace     *pace // nil: the program's own
	raw      raw
	blurred  bool
	mouse    bool
	quitting bool
	reason   error
	fault    error
}

func newModel(ctx context.Context, mesh Mesh, flows Flows, opt Options) *model {
	m := &model{
		mesh: mesh, flows: flows, opt: opt, done: ctx.Done(), mouse: true, stale: true, w: 80, h: 24,
		do: func(c state.Command) error { return mesh.Do(ctx, c) },
	}
	m.call = func(c Invocation) (int, error) { return opt.Invoke(ctx, mesh.State(), c) }
	if opt.Explain != nil {
		m.explain = func(app string) ([]string, error) { return opt.Explain(ctx, app) }
	}
	if opt.Edit != nil {
		m.compose = func(d draft) tea.Cmd { return openDraft(ctx, opt.Edit, d) }
		m.edit = func(file string, at place) tea.Cmd { return openEditor(ctx, silent(opt.Edit), file, at) }
	}
	if opt.Mend != nil {
		m.mend = func(file string, at place) tea.Cmd { return openEditor(ctx, opt.Mend, file, at) }
	}
	if opt.Terminal != nil {
		m.attach = func(app string) tea.Cmd { return openTerminal(ctx, opt.Terminal, app) }
	}
	m.world = pane.World{Now: opt.Now(), Mesh: &state.Mesh{}, Theme: theme(opt, true)}
	m.apps, m.streams = pane.NewApps(&m.world), pane.NewStreams(&m.world)
	m.lanes, m.logs = pane.NewLanes(&m.world), pane.NewLogs(&m.world)
	m.topology = pane.NewTopology(&m.world, m.streams)
	m.parts, m.plan = pane.NewComponents(&m.world), pane.NewPlan(&m.world)
	m.keys = m.bindings()
	_ = m.rebind(opt.Keys) // CheckKeys has said what is wrong with them
	return m
}

func theme(o Options, dark bool) *pane.Theme {
	switch {
	case o.NoColor:
		return pane.Plain()
	case o.Theme == "light", o.Theme != "dark" && !dark:
		return pane.Light()
	}
	return pane.Dark()
}

func (m *model) pane(v pane.View) view {
	return [...]view{m.apps, m.streams, m.lanes, m.logs, m.topology, m.parts, m.plan}[v]
}

// Init asks for the first snapshot and the background of the terminal.
func (m *model) Init() tea.Cmd {
	if m.opt.NoColor || m.opt.Theme == "dark" || m.opt.Theme == "light" {
		return m.pull(0)
	}
	return tea.Batch(m.pull(0), tea.RequestBackgroundColor)
}

// Update routes a message. A panic in it, or in the drawing that follows,
// ends the screen and nothing else.
func (m *model) Update(msg tea.Msg) (next tea.Model, cmd tea.Cmd) {
	defer func() {
		if e := caught(recover()); e != nil {
			m.fault, next, cmd = e, m, tea.Quit
		}
	}()
	begun, frame, mesh := m.opt.Now(), m.frame, m.world.Mesh
	cmd = m.route(msg)
	if m.stale {
		m.draw()
		average(&m.pulling.frame, m.opt.Now().Sub(begun))
	}
	if _, look := msg.(pulled); !look || m.frame != frame || m.world.Mesh != mesh {
		m.pace.hurry()
	}
	return m, cmd
}

func (m *model) route(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case pulled:
		return m.take(&msg)
	case tea.WindowSizeMsg:
		m.w, m.h, m.stale = msg.Width, msg.Height, true
	case tea.KeyPressMsg:
		m.stale = true
		return m.then(m.key(msg))
	case tea.PasteMsg:
		m.stale = true
		if m.input != nil {
			return m.then(m.input.update(m, msg))
		}
	case tea.MouseClickMsg:
		m.stale = true
		return m.then(m.click(msg.Mouse()))
	case tea.MouseWheelMsg:
		m.stale = true
		m.wheel(msg.Mouse())
	case tea.FocusMsg:
		m.blurred = false
		return m.pull(0)
	case tea.BlurMsg:
		m.blurred = true
	case tea.BackgroundColorMsg:
		m.world.Theme, m.stale = theme(m.opt, msg.IsDark()), true
	case finished:
		m.stale = true
		return m.finish(msg)
	case explained:
		m.stale = true
		return m.tell(msg)
	case exported:
		m.stale = true
		return m.took(msg)
	case draft:
		m.stale = true
		return m.drafted(msg)
	}
	return nil
}

// then adds a pull when what was done asks for other data than before.
func (m *model) then(cmd tea.Cmd) tea.Cmd {
	if m.wants() == m.pulling.wants {
		return cmd
	}
	return tea.Batch(cmd, m.pull(0))
}

// View gives the last frame; it is the same string until something changes.
func (m *model) View() tea.View {
	v := tea.View{Content: m.frame, AltScreen: !m.raw.on, ReportFocus: true, WindowTitle: m.title(), ProgressBar: m.progress()}
	if m.mouse && !m.raw.on {
		v.MouseMode = tea.MouseModeCellMotion
	}
	return v
}

// show switches to a view.
func (m *model) show(v pane.View) {
	if v == m.view || v < 0 || v >= pane.Views {
		return
	}
	m.leave(m.visit())
	m.view = v
	m.arrive()
}

// leave notes how a view was, for back to find.
func (m *model) leave(v visit) {
	m.history = append(m.history[max(0, len(m.history)-50):], v)
}

func (m *model) visit() visit {
	v := visit{view: m.view}
	if list, ok := m.pane(m.view).(filtered); ok {
		v.filter = list.Filtered()
	}
	return v
}

// arrive gives a view what it shows by itself.
func (m *model) arrive() {
	if m.view == pane.ViewLanes && m.lanes.Flow() == "" {
		m.lanes.Choose(m.streams.Selected())
	}
	m.refresh(true)
}

// back goes to the view before, with the filter that it had.
func (m *model) back() {
	n := len(m.history)
	if n == 0 {
		return
	}
	last := m.history[n-1]
	m.view, m.history = last.view, m.history[:n-1]
	if list, ok := m.pane(m.view).(filtered); ok && list.Filtered() != last.filter {
		_ = list.SetFilter(last.filter) // it was accepted before
	}
	if last.streams != nil {
		_ = m.streams.SetFilter(*last.streams) // so was this
	}
	m.arrive()
}

// refresh lets the panes take in the world; lists says that it has new flows.
func (m *model) refresh(lists bool) {
	m.stale = true
	m.apps.Refresh()
	m.parts.Refresh()
	if m.world.Frozen {
		return
	}
	m.lanes.Refresh()
	if lists {
		m.streams.Refresh()
	}
	if lists && m.view == pane.ViewTopology {
		m.topology.Refresh()
	}
}

// say shows a message for a while.
func (m *model) say(text string, bad bool) {
	m.message, m.bad, m.stale = text, bad, true
	m.forget = m.opt.Now().Add(messageTime)
}

// messageTime is how long a message stands.
const messageTime = 6 * time.Second
