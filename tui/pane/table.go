package pane

import "mesh/tui/grid"

// column is one column of a table with rows of type T.
type column[T any] struct {
	title string
	width int  // in cells; of a growing column the least
	most  int  // of a growing column the most; 0: no limit
	grow  int  // its share of what the others leave; 0: none
	right bool // the title stands at the right
	drop  int  // which column goes first when there is no room; 0: never
	draw  func(cell grid.Area, row *T)
	cmp   func(a, b *T) int // natural order; nil: no sorting
}

// placed is a column with its place in the line.
type placed struct{ col, x, w int }

// place chooses the columns that fit into w cells, one blank between them.
func place[T any](cols []column[T], w int) []placed {
	gone := make([]bool, len(cols))
	for {
		need, worst := -1, -1
		for i := range cols {
			if gone[i] {
				continue
			}
			need += cols[i].width + 1
			if cols[i].drop > 0 && (worst < 0 || cols[i].drop > cols[worst].drop) {
				worst = i
			}
		}
		if need > w && worst >= 0 {
			gone[worst] = true
			continue
		}
		return arrange(cols, gone, w, w-need)
	}
}

// arrange gives the columns their places; free cells go to those that grow.
func arrange[T any](cols []column[T], gone []bool, w, free int) (out []placed) {
	growing := 0
	for i := range cols {
		if !gone[i] {
			growing += cols[i].grow
		}
	}
	x := 0
	for i := range cols {
		if gone[i] || x >= w {
			continue
		}
		width := cols[i].width
		if n := cols[i].grow; n > 0 && free > 0 {
			share := free * n / growing
			if cols[i].most > 0 {
				share = min(share, max(0, cols[i].most-width))
			}
			width, free, growing = width+share, free-share, growing-n
		}
		width = min(width, w-x)
		out = append(out, placed{i, x, width})
		x += width + 1
	}
	return out
}

// header draws the titles; the column that is sorted by is marked.
func header[T any](a grid.Area, cols []column[T], at []placed, sorted int, down bool, st grid.Style) {
	for _, p := range at {
		title := cols[p.col].title
		cell := a.Sub(p.x, 0, p.w, 1)
		if p.col == sorted {
			mark := "▴"
			if down {
				mark = "▾"
			}
			title += mark
		}
		if cols[p.col].right {
			cell.Right(p.w, 0, title, st)
		} else {
			cell.Cut(0, 0, p.w, title, st)
		}
	}
}

// text makes the draw function of a column that shows one string.
func text[T any](f func(row *T) (string, grid.Style)) func(grid.Area, *T) {
	return func(cell grid.Area, row *T) {
		w, _ := cell.Size()
		s, st := f(row)
		cell.Cut(0, 0, w, s, st)
	}
}

// number makes the draw function of a column that shows one string at the right.
// What has no room loses its end, and shows it: without its beginning a number
// would be another one.
func number[T any](f func(row *T) (string, grid.Style)) func(grid.Area, *T) {
	return func(cell grid.Area, row *T) {
		w, _ := cell.Size()
		s, st := f(row)
		if grid.Width(s) > w {
			cell.Cut(0, 0, w, s, st)
			return
		}
		cell.Right(w, 0, s, st)
	}
}
