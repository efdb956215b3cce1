package tui

import (
	"cmp"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"mesh/supervisor/state"
	"mesh/tui/pane"
)

// bindings gives the keys that work in every view.
func (m *model) bindings() []pane.Binding {
	act := func(keys []string, name, help, hint string, what pane.Ask) pane.Binding {
		return pane.Binding{Keys: keys, Name: name, Help: help, Hint: hint, Do: func(string) pane.Action { return what }}
	}
	all := []pane.Binding{
		act([]string{"?"}, "help", "the keys that work here", "help", pane.AskHelp),
		{Keys: []string{":"}, Name: "palette", Help: "every key as a command", Hint: "command", Do: func(string) pane.Action {
			return pane.Prompt{Kind: pane.PromptPalette}
		}},
		act([]string{"q", "ctrl+c"}, "quit", "stop the mesh and leave; again: kill it", "quit", pane.AskQuit),
		act([]string{"space"}, "freeze", "freeze the view; recording goes on", "freeze", pane.AskFreeze),
		act([]string{"s", "ctrl+o"}, "raw logs", "the logs as they come, without the screen", "", pane.AskRaw),
		act([]string{"!"}, "notices", "everything the mesh has to say", "", pane.AskNotices),
		{Keys: []string{"e"}, Name: "edit", Help: "open mesh.toml, at its error if it has one", Do: func(string) pane.Action { return pane.Open{} }},
		act([]string{"esc", "backspace"}, "back", "the view before", "", pane.AskBack),
		{Keys: []string{"m"}, Name: "mouse", Help: "leave the mouse to the terminal, or take it", Do: func(string) pane.Action {
			m.mouse = !m.mouse
			if m.mouse {
				return pane.Say{Text: "the mouse selects rows and tabs"}
			}
			return pane.Say{Text: "the mouse selects text; m takes it back"}
		}},
	}
	all = append(all, pane.Binding{Name: "fault", Arg: "APP|NAME [on|off|delay=300ms …]", Help: "disturb calls on purpose, or no longer", Do: func(arg string) pane.Action {
		words := strings.Fields(arg)
		if len(words) == 0 {
			return pane.Say{Text: "fault orders delay=300ms rate=0.2, or abort=503 bandwidth=64k cut_after=10k; fault orders off"}
		}
		c, err := state.ParseFault(words[0], words[1:])
		if err != nil {
			return pane.Say{Text: err.Error(), Bad: true}
		}
		return pane.Do{Command: c}
	}})
	all = append(all, m.findBinding())
	all = append(all, m.savedKeys()...)
	for v := range pane.Views {
		all = append(all, pane.Binding{
			Keys: []string{string('1' + rune(v))}, Name: strings.ToLower(v.String()), Help: "show " + strings.ToLower(v.String()),
			Do: func(string) pane.Action { return pane.Show{View: v} },
		})
	}
	return all
}

// key routes a key to whatever has the word.
func (m *model) key(k tea.KeyPressMsg) tea.Cmd {
	name := k.String()
	if name == "ctrl+c" {
		return m.interrupt()
	}
	switch {
	case m.ask != nil:
		return m.answer(name)
	case m.input != nil:
		return m.input.update(m, k)
	case m.raw.on:
		return m.rawKey(name)
	case m.overlay != overNone:
		if m.overlayKey(name) {
			return nil
		}
	}
	m.message = ""
	if name == "esc" && m.view == pane.ViewLanes && m.lanes.Unpick() {
		return nil
	}
	if a, ok := pane.Press(m.pane(m.view).Bindings(), name); ok {
		return m.act(a)
	}
	if a, ok := pane.Press(m.keys, name); ok {
		return m.act(a)
	}
	return nil
}

// act carries out what a pane or a key asks for.
func (m *model) act(a pane.Action) tea.Cmd {
	switch a := a.(type) {
	case pane.Ask:
		return m.actAsk(a)
	case pane.Do:
		if a.Ask != "" {
			m.ask = &question{text: a.Ask, answers: []answer{{"y", "yes", func() tea.Cmd { return m.command(a.Command) }}, {"n", "no", nil}}}
			return nil
		}
		return m.command(a.Command)
	case pane.Show:
		return m.actShow(a)
	case pane.Find:
		return m.find(a.App)
	case pane.Attach:
		return m.visitTerminal(a.App)
	case pane.Prompt:
		m.input = newInput(m, a)
	case pane.Open:
		return m.open(a.Place)
	case pane.Say:
		m.say(a.Text, a.Bad)
	case pane.Copy:
		return m.copyFlow(a)
	case pane.Again:
		return m.again(a)
	}
	return nil
}

func (m *model) actShow(a pane.Show) tea.Cmd {
	if a.Back {
		m.back()
		return nil
	}
	before := m.visit() // before a filter changes
	switch a.View {
	case pane.ViewLogs:
		if a.App != "" || !a.At.IsZero() {
			m.logs.Choose(a.App)
		}
		m.logs.Seek(a.At)
	case pane.ViewLanes:
		m.lanes.Choose(cmp.Or(a.Flow, m.lanes.Flow()))
	case pane.ViewStreams:
		if a.Filter != "" {
			old := m.streams.Filtered()
			before.streams = &old
			if err := m.streams.SetFilter(a.Filter); err != nil {
				m.say(err.Error(), true)
			}
		}
	case pane.ViewApps, pane.ViewTopology, pane.ViewComponents, pane.ViewPlan, pane.Views:
	}
	if a.View != m.view || before.filter != m.visit().filter { // esc takes back what has changed
		m.leave(before)
	}
	m.view = a.View
	m.arrive()
	return nil
}

func (m *model) actAsk(a pane.Ask) tea.Cmd {
	switch a {
	case pane.AskQuit:
		return m.quit()
	case pane.AskRaw:
		return m.enterRaw()
	case pane.AskUndo:
		return m.undo()
	case pane.AskBack:
		m.back()
	case pane.AskHelp:
		m.overlay, m.over = overHelp, 0
	case pane.AskNotices:
		m.overlay, m.over = overNotices, 0
	case pane.AskFreeze:
		if m.world.Frozen = !m.world.Frozen; !m.world.Frozen {
			return m.pull(0)
		}
	}
	return nil
}

// finished is the end of a command.
type finished struct {
	command state.Command
	err     error
	doing   string // instead of the name of a command
	said    string // what there is to say when it went well, instead of "done"
}

// command asks the mesh to do something and does not wait for it.
func (m *model) command(c state.Command) tea.Cmd {
	m.say(words(c)+"…", false)
	return func() tea.Msg { return finished{command: c, err: m.do(c)} }
}

// words says what a command does.
func words(c state.Command) string {
	s := string(c.Op)
	if c.App != "" {
		s += " " + c.App
	}
	switch c.Op {
	case state.Review:
		return "edits wait"
	case state.Apply:
		return "apply the edit"
	case state.Scale:
		return s + " to " + countOf(c.Count)
	case state.SetFault:
		if c.Fault != nil {
			return s + " " + c.Name + " " + c.Fault.String()
		}
		return s + " " + c.Name + onOff(c.On)
	case state.SetCapture:
		if c.Flow == "" {
			return s + " of new streams" + onOff(c.On)
		}
		return s + " of this stream" + onOff(c.On)
	case state.Restart, state.Stop, state.Start, state.Down:
	}
	return s
}

// onOff says which way a switch is turned.
func onOff(on bool) string {
	if on {
		return " on"
	}
	return " off"
}

func (m *model) finish(f finished) tea.Cmd {
	switch {
	case f.command.Op == state.Down:
		return m.stopped(f.err)
	case f.err != nil:
		m.say(cmp.Or(f.doing, words(f.command))+": "+f.err.Error(), true)
	case f.said != "":
		m.say(f.said, false)
	case f.doing == "":
		m.say(words(f.command)+": done", false)
	}
	return m.pull(0)
}

// click routes a click: tabs first, then the pane.
func (m *model) click(at tea.Mouse) tea.Cmd {
	if at.Button != tea.MouseLeft || m.ask != nil || m.raw.on {
		return nil
	}
	if at.Y == 0 {
		for v, end := range m.tabs {
			if at.X < end {
				m.overlay = overNone
				m.show(pane.View(v))
				return nil
			}
		}
		return nil
	}
	if m.overlay != overNone {
		m.overlay = overNone
		return nil
	}
	if _, h := m.body.Size(); at.Y >= m.bodyY && at.Y < m.bodyY+h {
		return m.act(m.pane(m.view).Click(at.X, at.Y-m.bodyY))
	}
	return nil
}

func (m *model) wheel(at tea.Mouse) {
	n := 1
	if at.Button == tea.MouseWheelUp {
		n = -1
	} else if at.Button != tea.MouseWheelDown {
		return
	}
	if m.overlay != overNone {
		m.over = max(0, m.over+n)
		return
	}
	m.pane(m.view).Wheel(n, at.X)
}

// shadowed says whether a key means something else in the present view.
func (m *model) shadowed(key string) bool {
	return slices.ContainsFunc(m.pane(m.view).Bindings(), func(b pane.Binding) bool { return slices.Contains(b.Keys, key) })
}
