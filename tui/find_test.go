package tui

import (
	"context"
	"errors"
	"testing"
)

// TestFindSaysWhyAnAppIsNotFound asks for an app in the palette.
func TestFindSaysWhyAnAppIsNotFound(t *testing.T) {
	var asked []string
	s := open(t, 80, 24, Options{NoColor: true, Explain: func(_ context.Context, app string) ([]string, error) {
		asked = append(asked, app)
		if app == "gone" {
			return nil, errors.New("the mesh has stopped")
		}
		return []string{
			"consul: asking consul for " + app + ": no healthy services found",
			"mdns: nobody on lo announces " + app + "; 14 announcements and answers have been heard there",
			"calls go nowhere",
		}, nil
	}})
	find := func(text string) {
		s.press(":")
		s.text(text)
		s.press("enter")
	}
	find("find ghost")
	s.shows("Where ghost is found", "consul ", "no healthy services found", "mdns ", "nobody on lo announces ghost", "calls go nowhere")
	s.press("esc")
	s.hides("Where ghost is found")
	find("find")
	s.shows("which app?")
	find("find gone")
	s.shows("looking for gone: the mesh has stopped")
	if len(asked) != 2 {
		t.Errorf("asked for %v", asked)
	}
}
