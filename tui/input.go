package tui

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"

	"mesh/runtime/flow/filter"
	"mesh/tui/grid"
	"mesh/tui/pane"
)

// maxOptions is how many completions are shown at once.
const maxOptions = 8

// input is the line in which a filter, a search or a command is typed.
type input struct {
	kind    pane.PromptKind
	list    filtered // what a filter is for
	line    textinput.Model
	before  string // the filter to go back to
	err     error
	options []option
	pick    int  // the chosen option; -1: none
	old     bool // the text is the one of before: typing replaces it
}

// option is a way to go on.
type option struct {
	text, about string
	value       string // what it stands for; "": text
}

func newInput(m *model, p pane.Prompt) *input {
	in := &input{kind: p.Kind, line: textinput.New(), pick: -1, old: p.Text != "" && p.Text != "@"}
	if list, ok := m.pane(m.view).(filtered); ok && p.Kind == pane.PromptFilter {
		in.list, in.before = list, list.Filtered()
	}
	in.line.SetVirtualCursor(true)
	in.line.Focus()
	in.line.SetValue(p.Text)
	in.line.CursorEnd()
	in.complete(m)
	return in
}

// update takes a key or pasted text.
func (in *input) update(m *model, msg tea.Msg) tea.Cmd {
	if k, ok := msg.(tea.KeyPressMsg); ok {
		switch k.String() {
		case "esc":
			if in.list != nil {
				_ = in.list.SetFilter(in.before) // it was accepted before
			}
			m.input, m.message = nil, ""
			return nil
		case "enter":
			return in.enter(m)
		case "tab", "down", "ctrl+n":
			in.choose(1, k.String() == "tab")
			return nil
		case "shift+tab", "up", "ctrl+p":
			in.choose(-1, false)
			return nil
		}
	}
	if in.old && typed(msg) {
		in.line.SetValue("")
	}
	in.old = false
	in.line, _ = in.line.Update(msg)
	in.pick = -1
	in.complete(m)
	return nil
}

// typed says whether a message brings text.
func typed(msg tea.Msg) bool {
	switch msg := msg.(type) {
	case tea.KeyPressMsg:
		return msg.Text != ""
	case tea.PasteMsg:
		return true
	}
	return false
}

// choose moves through the options; tab on the only one takes it over.
func (in *input) choose(step int, tab bool) {
	if len(in.options) == 0 {
		return
	}
	in.pick = (in.pick + step + len(in.options)) % len(in.options)
	if tab && in.kind != pane.PromptPalette {
		in.line.SetValue(cmp.Or(in.options[in.pick].value, in.options[in.pick].text))
		in.line.CursorEnd()
	}
}

// complete works out what the line could go on with, and applies a filter
// while it is being typed.
func (in *input) complete(m *model) {
	text := in.line.Value()
	in.err, in.options = nil, nil
	switch in.kind {
	case pane.PromptFilter:
		if in.list == nil {
			return
		}
		if name, ok := strings.CutPrefix(text, "@"); ok {
			in.options = m.saved(name)
			return
		}
		c := in.list.Complete(text)
		if word := text[c.From:]; len(c.Options) > 0 && word != "" && !strings.ContainsAny(word, ":=~<>!") {
			_ = in.list.SetFilter(text[:c.From]) // a name that is being typed is no text to look for
		} else {
			in.err = in.list.SetFilter(text)
		}
		for i, s := range c.Options {
			in.options = append(in.options, option{text: text[:c.From] + s, about: c.About[i]})
		}
	case pane.PromptPalette:
		for _, b := range m.commands(text) {
			about := b.Help
			if len(b.Keys) > 0 {
				about += "  " + keyName(b.Keys[0])
			}
			in.options = append(in.options, option{text: strings.TrimSpace(b.Name + " " + b.Arg), about: about})
		}
	case pane.PromptSearch:
	}
}

// enter closes the line and does what it says.
func (in *input) enter(m *model) tea.Cmd {
	text := strings.TrimSpace(in.line.Value())
	switch in.kind {
	case pane.PromptFilter:
		if in.pick >= 0 {
			text = in.options[in.pick].text
		}
		if strings.HasPrefix(text, "@") {
			if len(in.options) == 0 {
				in.err = fmt.Errorf("no filter is saved as %s for this list", text)
				return nil
			}
			if text = m.recall(text); text[0] == '@' { // the first that begins so
				text = in.options[0].value
			}
		}
		if in.list == nil {
			break
		}
		if in.err = in.list.SetFilter(text); in.err != nil {
			return nil
		}
	case pane.PromptSearch:
		m.input = nil
		return m.act(m.logs.Search(text))
	case pane.PromptPalette:
		m.input = nil
		list := m.commands(text)
		if len(list) == 0 {
			m.say("there is no command "+text, true)
			return nil
		}
		b := list[max(0, in.pick)]
		return m.act(b.Do(argument(b.Name, text)))
	}
	m.input = nil
	return nil
}

// commands gives the bindings that a text in the palette may mean, the best
// first: those of the present view, then those of the screen.
func (m *model) commands(text string) []pane.Binding {
	text = strings.ToLower(text)
	var exact, begins, inside []pane.Binding
	seen := map[string]bool{}
	for _, list := range [][]pane.Binding{m.pane(m.view).Bindings(), m.keys, m.apps.Bindings(), m.streams.Bindings(), m.logs.Bindings(), m.parts.Bindings(), m.plan.Bindings()} {
		for _, b := range list {
			if seen[b.Name] {
				continue
			}
			seen[b.Name] = true
			switch {
			case text == b.Name || (b.Arg != "" && strings.HasPrefix(text, b.Name+" ")):
				exact = append(exact, b)
			case strings.HasPrefix(b.Name, text):
				begins = append(begins, b)
			case letters(b.Name, text):
				inside = append(inside, b)
			}
		}
	}
	slices.SortStableFunc(begins, func(a, b pane.Binding) int { return len(a.Name) - len(b.Name) })
	return slices.Concat(exact, begins, inside)
}

// letters says whether the letters of text come in name in that order.
func letters(name, text string) bool {
	for _, r := range text {
		i := strings.IndexRune(name, r)
		if i < 0 {
			return false
		}
		name = name[i+1:]
	}
	return true
}

// argument gives what stands after the name of a command.
func argument(name, text string) string {
	if len(text) > len(name) && strings.EqualFold(text[:len(name)], name) {
		return strings.TrimSpace(text[len(name):])
	}
	return ""
}

// height gives the lines that the input needs.
func (in *input) height(m *model) int {
	n := 1 + min(len(in.options), maxOptions, max(0, m.h/3))
	if in.err != nil {
		n++
	}
	return n
}

// draw draws the options, the line, and below it what is wrong with it.
func (in *input) draw(m *model, a grid.Area) {
	w, h := a.Size()
	t := m.world.Theme
	y := h - 1
	prompt := [...]string{"filter ", "search ", ": "}[in.kind]
	if in.err != nil && h > 1 {
		in.drawError(a, y, grid.Width(prompt)+1, t)
		y--
	}
	x := a.Text(1, y, prompt, t.Key)
	runes, pos := []rune(in.line.Value()), in.line.Position()
	pos = min(max(0, pos), len(runes))
	left := ""
	if room := w - x - 2; room > 0 && pos > room { // keep the cursor in sight
		runes, pos, left = runes[pos-room:], room, "‹"
	}
	from := x
	x = a.Text(x, y, left+string(runes[:pos]), t.Text)
	if in.old {
		a.Paint(from, y, x-from, t.Selected)
		a.Text(x+2, y, "typing replaces it, ← edits it, ^u clears", t.Dim)
	}
	under := " "
	if pos < len(runes) {
		under = string(runes[pos : pos+1])
	}
	end := a.Text(x, y, under, t.Text)
	a.Paint(x, y, max(1, end-x), grid.Style{Attr: grid.Reverse})
	if pos+1 < len(runes) {
		a.Text(end, y, string(runes[pos+1:]), t.Text)
	}
	in.drawOptions(a.Rows(0, y), t)
}

func (in *input) drawOptions(a grid.Area, t *pane.Theme) {
	w, h := a.Size()
	first := max(0, in.pick-h+1)
	for y := range min(h, len(in.options)) {
		o := in.options[first+y]
		end := a.Cut(3, y, min(34, w-4), o.text, t.Text)
		if end+2 < w {
			a.Cut(end+2, y, w-end-3, o.about, t.Dim)
		}
		if first+y == in.pick {
			a.Paint(0, y, w, t.Selected)
			a.Text(1, y, "▸", t.Key.With(t.Selected))
		}
	}
}

// drawError points at what is wrong with a filter.
func (in *input) drawError(a grid.Area, y, x int, t *pane.Theme) {
	e, ok := errors.AsType[*filter.Error](in.err)
	if !ok {
		a.Text(1, y, in.err.Error(), t.Bad)
		return
	}
	caret := e.Caret()
	words := e.Msg
	if e.Hint != "" {
		words += "; " + e.Hint
	}
	w, _ := a.Size()
	end := a.Text(x, y, caret, t.Bad)
	if n := grid.Width(words); end+1+n > w { // no room behind it
		start := max(1, x+len(caret)-len(strings.TrimLeft(caret, " "))-n-1)
		a.Cut(start, y, w-start, words, t.Bad)
		return
	}
	a.Text(end+1, y, words, t.Bad)
}
