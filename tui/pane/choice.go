package pane

import (
	"mesh/runtime/flow/filter"
	"mesh/tui/grid"
)

// choice is the filter of a list with rows of type T. Panes embed it.
type choice[T any] struct {
	lang    *filter.Language[T]
	filter  *filter.Of[T]
	all     func() []T // what there is to choose from
	changed func()     // takes another filter into account
}

// match says whether the filter chooses a row.
func (c *choice[T]) match(row *T) bool { return c.filter.Match(row) }

// SetFilter shows only what a filter chooses; "" shows everything. When the text
// cannot be read, the *filter.Error says why, and nothing changes.
func (c *choice[T]) SetFilter(text string) error {
	f, err := c.lang.Parse(text)
	if err != nil {
		return err
	}
	c.filter = f
	c.changed()
	return nil
}

// Reads says whether a text is a filter of this list.
func (c *choice[T]) Reads(text string) bool {
	_, err := c.lang.Parse(text)
	return err == nil
}

// Filtered gives the text of the filter, "" when everything is shown.
func (c *choice[T]) Filtered() string { return c.filter.String() }

// Complete proposes how a filter goes on.
func (c *choice[T]) Complete(text string) filter.Completion { return c.lang.Complete(text, c.all()) }

// drawHead draws what stands above the rows of a list: the filter, and how many
// rows it chooses. It gives the area below. Without rows it says why, in the words
// of empty when there is no filter, and ok is false. row is what one is called.
func (c *choice[T]) drawHead(a grid.Area, t *Theme, rows int, row, empty string) (below grid.Area, ok bool) {
	switch {
	case rows == 0 && c.filter.Empty():
		a.Text(2, 1, empty, t.Dim)
		return a, false
	case rows == 0:
		a.Text(2, 1, "no "+row+" matches the filter "+c.Filtered()+": x shows all of them", t.Dim)
		return a, false
	case c.filter.Empty():
		return a, true
	}
	x := a.Text(1, 0, "filter ", t.Dim)
	x = a.Text(x, 0, c.Filtered(), t.Warn.Bold())
	a.Text(x+2, 0, count(uint64(rows))+" of "+Plural(len(c.all()), row)+", x shows all", t.Dim)
	return a.Rows(1, -1), true
}

// filterKeys are the keys of a list that can be filtered.
func (c *choice[T]) filterKeys(what string) []Binding {
	return []Binding{
		{Keys: []string{"/"}, Name: "filter", Arg: "[FILTER]", Help: "show only some " + what, Hint: "filter", Do: func(arg string) Action {
			if arg == "" {
				return Prompt{Kind: PromptFilter, Text: c.Filtered()}
			}
			if err := c.SetFilter(arg); err != nil {
				return Say{Text: err.Error(), Bad: true}
			}
			return nil
		}},
		{Keys: []string{"x"}, Name: "no filter", Help: "show all " + what + " again", Do: func(string) Action {
			_ = c.SetFilter("") // blank text is always right
			return nil
		}},
	}
}
