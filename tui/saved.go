package tui

import (
	"maps"
	"slices"
	"strings"

	"mesh/tui/pane"
)

// Filters keeps filters under names.
type Filters interface {
	// Saved gives the filters by name.
	Saved() (map[string]string, error)
	// Save keeps a filter; text "" forgets it.
	Save(name, text string) error
}

// savedKeys are the keys of filters that are kept.
func (m *model) savedKeys() []pane.Binding {
	return []pane.Binding{
		{Keys: []string{"F"}, Name: "saved filters", Help: "choose one of the filters that were saved", Do: func(string) pane.Action {
			if _, ok := m.pane(m.view).(filtered); !ok {
				return pane.Say{Text: "there is nothing to filter here"}
			}
			if len(m.saved("")) == 0 {
				return pane.Say{Text: "no filter is saved for this list: `:save filter NAME` saves this one"}
			}
			return pane.Prompt{Kind: pane.PromptFilter, Text: "@"}
		}},
		{Name: "save filter", Arg: "NAME", Help: "keep the filter of this list under a name", Do: m.saveFilter},
		{Name: "forget filter", Arg: "NAME", Help: "forget a filter that was saved", Do: func(name string) pane.Action { return m.keep(name, "") }},
	}
}

func (m *model) saveFilter(name string) pane.Action {
	list, ok := m.pane(m.view).(filtered)
	if !ok || list.Filtered() == "" {
		return pane.Say{Text: "there is no filter to save: / sets one", Bad: true}
	}
	return m.keep(name, list.Filtered())
}

// keep saves a filter, or forgets it when text is "".
func (m *model) keep(name, text string) pane.Action {
	name = strings.TrimPrefix(name, "@")
	switch {
	case m.opt.Filters == nil:
		return pane.Say{Text: "filters cannot be saved here", Bad: true}
	case name == "" || strings.ContainsAny(name, " \t@\"'"):
		return pane.Say{Text: "a filter is saved under one word, such as slow", Bad: true}
	}
	if err := m.opt.Filters.Save(name, text); err != nil {
		return pane.Say{Text: "saving the filter: " + err.Error(), Bad: true}
	}
	if text == "" {
		return pane.Say{Text: "@" + name + " is forgotten"}
	}
	return pane.Say{Text: "saved: @" + name + " in / and in mesh tap is " + text}
}

// saved gives the filters that begin so and can be read by the present list.
func (m *model) saved(begin string) (options []option) {
	list, ok := m.pane(m.view).(filtered)
	if m.opt.Filters == nil || !ok {
		return nil
	}
	all, err := m.opt.Filters.Saved()
	if err != nil {
		m.say(err.Error(), true)
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if strings.HasPrefix(name, begin) && list.Reads(all[name]) {
			options = append(options, option{text: "@" + name, about: all[name], value: all[name]})
		}
	}
	return options
}

// recall turns the name of a saved filter into the filter, and leaves every other
// text as it is.
func (m *model) recall(text string) string {
	if name, ok := strings.CutPrefix(text, "@"); ok {
		for _, o := range m.saved(name) {
			if o.text == text {
				return o.value
			}
		}
	}
	return text
}
