package tui

import (
	"strconv"

	tea "charm.land/bubbletea/v2"

	"mesh/tui/grid"
)

// title is what the terminal calls its window: the mesh, and what is wrong with
// it.
func (m *model) title() string {
	title := "mesh"
	if name := grid.Plain(m.world.Mesh.Name); name != "" {
		title += ": " + name
	}
	ready, all, broken := m.readiness()
	switch {
	case m.stopping() != "":
		title += " · stopping"
	case broken > 0:
		title += " ✖ " + strconv.Itoa(broken)
	case ready < all:
		title += " · " + strconv.Itoa(ready) + "/" + strconv.Itoa(all)
	}
	return title
}

// progress shows in the terminal's own bar how far the mesh has come, where the
// terminal has one: apps that are not ready yet, and failures.
func (m *model) progress() *tea.ProgressBar {
	ready, all, broken := m.readiness()
	switch {
	case all == 0 || m.raw.on:
		return nil
	case m.stopping() != "":
		return tea.NewProgressBar(tea.ProgressBarIndeterminate, 0)
	case broken > 0:
		return tea.NewProgressBar(tea.ProgressBarError, 100*ready/all)
	case ready < all:
		return tea.NewProgressBar(tea.ProgressBarDefault, 100*ready/all)
	}
	return nil
}
