package tui

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"mesh/tui/pane"
)

func TestCommandsGetOtherKeys(t *testing.T) {
	keys := Keys{"restart": {"R", "f5"}, "logs.up": {"i"}, "quit": {"ctrl+q"}, "streams.filter": {"\\"}, "freeze": {}}
	if err := CheckKeys(keys); err != nil {
		t.Fatal(err)
	}
	s := open(t, 80, 24, Options{NoColor: true, Keys: keys})
	s.press("r")
	s.send(keyPress("R"))
	if got := s.mesh.asked(); len(got) != 1 || got[0].App != "bill" {
		t.Errorf("r and R ask for %+v, want one restart", got)
	}
	s.press("down")
	s.shows("^q quit")
	s.press("4", "i")
	s.shows("▸panic: no such table")
	s.press("2", "\\")
	s.text("path~quote")
	s.press("enter")
	s.shows("filter path~quote")
	s.press("space")
	s.hides("frozen")
	s.press("?")
	s.shows("\\                 show only some streams")
	s.press("esc", "esc", "q")
	if len(s.mesh.asked()) != 1 {
		t.Error("q still quits")
	}
}

// TestWrongKeysAreExplained: each mistake is named, with what to do.
func TestWrongKeysAreExplained(t *testing.T) {
	err := CheckKeys(Keys{
		"restrat": {"r"}, "logz.up": {"i"}, "help": {"ctrl+R"}, "wrap": {"shift+w"}, "freeze": {"spce"}, "logs.mark": {"t"}, "streams.follow": {"q"}, "streams.nothing": {"b"},
	})
	many, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("got %v", err)
	}
	got := map[string]string{}
	for _, err := range many.Unwrap() {
		if k, ok := errors.AsType[*KeyError](err); ok {
			got[k.Command] = k.Error()
		}
	}
	for command, want := range map[string]string{
		"restrat":         `there is no command "restrat"; did you mean "restart"?`,
		"logz.up":         `there is no view "logz"; there are apps, components, lanes, logs, plan, streams, topology`,
		"help":            `there is no key "ctrl+R"; write "ctrl+r"`,
		"wrap":            `there is no key "shift+w"; write "W"`,
		"freeze":          `there is no key "spce"; write a character such as "R", or a name such as "f5", "pgup", "ctrl+r"`,
		"logs.mark":       `"t" would mean "times" and "mark" in logs; give one of them another key`,
		"streams.follow":  `"q" would mean "quit" and "follow" in streams; give one of them another key`,
		"streams.nothing": `there is no command "nothing"; ` + "`?` on the screen and the palette name them",
	} {
		if got[command] != want {
			t.Errorf("%s: %s, want %s", command, got[command], want)
		}
	}
	if len(got) != 8 {
		t.Errorf("there are %d mistakes: %v", len(got), got)
	}
}

// TestHelpListsExactlyTheKeysThatWork: keys that come with the screen exist, mean one thing
// in each view, and are in the help, which lists nothing else.
func TestHelpListsExactlyTheKeysThatWork(t *testing.T) {
	s := open(t, 200, 120, Options{NoColor: true})
	for view, list := range s.m.lists() {
		taken := map[string]string{}
		for _, b := range list {
			for _, k := range b.Keys {
				if hint, ok := knownKey(k); !ok && k != "ctrl+c" {
					t.Errorf("%s %s: %q is no key: %s", view, b.Name, k, hint)
				}
				if taken[k] != "" {
					t.Errorf("%s: %q means %s and %s", view, k, taken[k], b.Name)
				}
				taken[k] = b.Name
			}
		}
	}
	for v := range pane.Views {
		s.m.overlay = overNone
		s.press(string('1' + rune(v)))
		s.press("?")
		works := map[string]string{} // by key: what it does
		for _, list := range [][]pane.Binding{s.m.keys, s.m.pane(v).Bindings()} {
			for _, b := range list {
				for _, k := range b.Keys {
					works[keyName(k)] = b.Help
				}
			}
		}
		listed := map[string][]string{}
		for line := range strings.SplitSeq(s.frame(), "\n") {
			for _, column := range columnsOf(line) {
				help := strings.TrimSpace(string(column[min(20, len(column)):]))
				for k := range strings.FieldsSeq(string(column[:min(20, len(column))])) {
					if help != "" {
						listed[k] = append(listed[k], help)
					}
				}
			}
		}
		says := func(k, help string) bool {
			return slices.ContainsFunc(listed[k], func(s string) bool {
				return s == help || (len(s) > 40 && strings.HasPrefix(help, s)) // cut
			})
		}
		for k, help := range works {
			if !says(k, help) {
				t.Errorf("%v: the help says of %s %q, want %q", v, k, listed[k], help)
			}
		}
		for of, list := range s.m.lists() { // and of no other view
			for _, b := range list {
				for _, k := range b.Keys {
					if works[keyName(k)] != b.Help && says(keyName(k), b.Help) {
						t.Errorf("%v: the help lists %s of %s: %s", v, k, of, b.Help)
					}
				}
			}
		}
		s.press("esc")
	}
}

// columnsOf cuts a line of the help, 200 wide, into its columns.
func columnsOf(line string) [][]rune {
	return slices.Collect(slices.Chunk([]rune(line), 66))
}

type shelf map[string]string

func (s shelf) Saved() (map[string]string, error) { return s, nil }

func (s shelf) Save(name, text string) error {
	if text == "" {
		delete(s, name)
	} else {
		s[name] = text
	}
	return nil
}

func TestFiltersAreSaved(t *testing.T) {
	kept := shelf{"mem": "mem>1MiB", "slow": "ttfb>1s or stalled"}
	s := open(t, 100, 24, Options{NoColor: true, Filters: kept})
	s.press("2", "F")
	s.shows("@slow", "ttfb>1s or stalled")
	s.hides("@mem") // which is about apps
	s.press("down", "enter")
	s.shows("filter ttfb>1s or stalled", "/quote")
	s.hides("/embed")
	s.press("x", "/")
	s.text("path~quote")
	s.press("enter", ":")
	s.text("save filter quotes")
	s.press("enter")
	if kept["quotes"] != "path~quote" {
		t.Errorf("kept are %v", kept)
	}
	s.press("x", "/")
	s.text("@quo")
	s.press("enter")
	s.shows("filter path~quote")
	s.press("/")
	s.text("@nobody")
	s.press("enter")
	s.shows("no filter is saved as @nobody")
	s.press("esc", ":")
	s.text("forget filter quotes")
	s.press("enter")
	if _, ok := kept["quotes"]; ok {
		t.Error("the filter is not forgotten")
	}
	s.press("6", "F")
	s.shows("`:save filter NAME` saves this one")
	s.press("7", "F")
	s.shows("there is nothing to filter here")
}
