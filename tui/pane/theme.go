package pane

import "mesh/tui/grid"

// Theme is how things look. Colour only repeats what shape and words say.
type Theme struct {
	Text, Dim, Faint       grid.Style // what is read, what is beside it, lines and grounds
	Title, Key             grid.Style
	Good, Warn, Bad, Info  grid.Style
	Selected, Bar          grid.Style // laid over a row; the lines at the top and the bottom
	Alarm, Caution         grid.Style // the banner
	Chunk, Many, First     grid.Style // in the lanes: one chunk, several in one cell, the first byte
	Blocked, Held, Waiting grid.Style
	Names                  []grid.Style // by which apps are told apart
}

// Dark is for terminals with a dark background.
func Dark() *Theme {
	t := base()
	t.Dim = fg(245)
	t.Faint = fg(239)
	t.Selected = grid.Style{BG: grid.Indexed(237), Attr: grid.Bold}
	t.Bar = grid.Style{BG: grid.Indexed(235)}
	t.Chunk, t.Many = fg(39), fg(45)
	t.Waiting = fg(240)
	t.Names = []grid.Style{fg(75), fg(114), fg(180), fg(176), fg(80), fg(209), fg(147), fg(185)}
	return t
}

// Light is for terminals with a light background.
func Light() *Theme {
	t := base()
	t.Dim = fg(241)
	t.Faint = fg(246)
	t.Key = fg(25).Bold() // the 16 colours of many terminals are too bright for this
	t.Good, t.Warn, t.Info = fg(22), fg(94), fg(25)
	t.Bad, t.Blocked = fg(124).Bold(), fg(124)
	t.Selected = grid.Style{BG: grid.Indexed(254), Attr: grid.Bold}
	t.Bar = grid.Style{BG: grid.Indexed(255)}
	t.Chunk, t.Many = fg(26), fg(19)
	t.First, t.Held = fg(22).Bold(), fg(130)
	t.Waiting = fg(245)
	t.Names = []grid.Style{fg(25), fg(22), fg(94), fg(90), fg(23), fg(88), fg(54), fg(58)}
	return t
}

// Plain does without colours.
func Plain() *Theme {
	bold, faint, reverse := grid.Style{Attr: grid.Bold}, grid.Style{Attr: grid.Faint}, grid.Style{Attr: grid.Reverse}
	return &Theme{
		Dim: faint, Faint: faint, Title: bold, Key: bold, Warn: bold, Bad: bold,
		Selected: reverse, Bar: grid.Style{}, Alarm: reverse.Bold(), Caution: reverse,
		Many: grid.Style{Attr: grid.Underline}, First: bold, Blocked: bold, Waiting: faint,
		Names: []grid.Style{{}},
	}
}

func base() *Theme {
	return &Theme{
		Title: grid.Style{Attr: grid.Bold}, Key: fg(6).Bold(),
		Good: fg(2), Warn: fg(3), Bad: fg(1).Bold(), Info: fg(6),
		Alarm:   grid.Style{FG: grid.Indexed(231), BG: grid.Indexed(124), Attr: grid.Bold},
		Caution: grid.Style{FG: grid.Indexed(16), BG: grid.Indexed(179)},
		First:   fg(2).Bold(), Blocked: fg(1), Held: fg(3),
	}
}

func fg(n uint8) grid.Style { return grid.Style{FG: grid.Indexed(n)} }

// Name gives the style of an app's name, always the same for the same name.
func (t *Theme) Name(app string) grid.Style {
	h := uint32(2166136261)
	for i := range len(app) {
		h = (h ^ uint32(app[i])) * 16777619
	}
	return t.Names[h%uint32(len(t.Names))]
}
