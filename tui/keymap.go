package tui

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"mesh/tui/pane"
)

// Keys gives commands other keys than those they come with: from the name that
// the palette knows a command by, such as "restart", to the keys, named as
// CheckKeys explains. With a view before it, "logs.up", only that of the view is
// meant. No keys leave it to the palette.
type Keys map[string][]string

// KeyError is something wrong with Keys.
type KeyError struct {
	Command string // which of them it is about
	Msg     string
	Hint    string
}

// Error says what is wrong.
func (e *KeyError) Error() string {
	if e.Hint == "" {
		return e.Msg
	}
	return e.Msg + "; " + e.Hint
}

// CheckKeys says everything that is wrong with keys, each a *KeyError of what
// errors.Join gave: commands and keys that there are not, and keys that would
// mean two things at once. A key is a character, or up, down, left, right,
// enter, esc, tab, space, backspace, delete, insert, home, end, pgup, pgdown, f1
// to f12, with ctrl+, alt+ or shift+ before it.
func CheckKeys(keys Keys) error {
	m := newModel(context.Background(), nil, nil, Options{Now: time.Now})
	return errors.Join(m.rebind(keys)...)
}

// lists gives the bindings by the name of their view, those of the whole screen
// under "".
func (m *model) lists() map[string][]pane.Binding {
	all := map[string][]pane.Binding{"": m.keys}
	for v := range pane.Views {
		all[strings.ToLower(v.String())] = m.pane(v).Bindings()
	}
	return all
}

// rebind gives commands their keys and says what is wrong.
func (m *model) rebind(keys Keys) (errs []error) {
	lists := m.lists()
	for _, command := range slices.Sorted(maps.Keys(keys)) {
		for _, k := range keys[command] {
			if hint, ok := knownKey(k); !ok {
				errs = append(errs, &KeyError{command, fmt.Sprintf("there is no key %q", k), hint})
			}
		}
		view, name, only := strings.Cut(command, ".")
		if !only {
			view, name = "", command
		}
		found := false
		for of, list := range lists {
			if only && of != view {
				continue
			}
			for i := range list {
				if list[i].Name == name {
					list[i].Keys, found = keys[command], true // panes share their list
				}
			}
		}
		if !found {
			errs = append(errs, m.unknown(command, view, name, only))
		}
	}
	return append(errs, clashes(lists, keys)...)
}

// unknown says that there is no such command.
func (m *model) unknown(command, view, name string, only bool) error {
	var names []string
	lists := m.lists()
	if _, ok := lists[view]; only && !ok {
		delete(lists, "")
		return &KeyError{command, fmt.Sprintf("there is no view %q", view), "there are " + strings.Join(slices.Sorted(maps.Keys(lists)), ", ")}
	}
	for of, list := range lists {
		if only && of != view {
			continue
		}
		for i := range list {
			names = append(names, list[i].Name)
		}
	}
	slices.Sort(names)
	hint := "`?` on the screen and the palette name them"
	for _, n := range names {
		if strings.HasPrefix(n, name[:min(2, len(name))]) && near(n, name) {
			hint = fmt.Sprintf("did you mean %q?", n)
			break
		}
	}
	return &KeyError{command, fmt.Sprintf("there is no command %q", name), hint}
}

// near says whether two names have nearly the same letters.
func near(a, b string) bool {
	left := []rune(a)
	missing := 0
	for _, r := range b {
		if i := slices.Index(left, r); i >= 0 {
			left = slices.Delete(left, i, i+1)
		} else {
			missing++
		}
	}
	return missing+len(left) <= 2
}

// clashes finds keys with two meanings: twice in one view, and those that would
// hide the way out. Where a key comes with a view by itself, the view wins.
func clashes(lists map[string][]pane.Binding, keys Keys) (errs []error) {
	mine := func(view, name string) (string, bool) {
		for _, command := range []string{view + "." + name, name} {
			if _, ok := keys[command]; ok {
				return command, true
			}
		}
		return "", false
	}
	always := map[string]string{}
	for _, b := range lists[""] {
		if b.Name == "help" || b.Name == "quit" || b.Name == "palette" {
			for _, k := range b.Keys {
				always[k] = b.Name
			}
		}
	}
	for _, view := range slices.Sorted(maps.Keys(lists)) {
		taken := map[string]string{}
		for _, b := range lists[view] {
			for _, k := range b.Keys {
				command, chosen := mine(view, b.Name)
				other, twice := taken[k]
				if !twice && view != "" {
					other, twice = always[k], chosen && always[k] != ""
				}
				if old, ok := mine(view, other); twice && !chosen {
					command, chosen = old, ok
				}
				if twice && chosen {
					errs = append(errs, &KeyError{command, fmt.Sprintf("%q would mean %q and %q%s", k, other, b.Name, in(view)), "give one of them another key"})
				}
				taken[k] = b.Name
			}
		}
	}
	return errs
}

func in(view string) string {
	if view == "" {
		return ""
	}
	return " in " + view
}

// knownKey says whether Bubble Tea gives a key that name.
func knownKey(key string) (hint string, ok bool) {
	name := key
	for _, mod := range []string{"ctrl+", "alt+", "shift+"} {
		name = strings.TrimPrefix(name, mod)
	}
	switch name {
	case "up", "down", "left", "right", "enter", "esc", "tab", "space", "backspace", "delete", "insert", "home", "end", "pgup", "pgdown",
		"f1", "f2", "f3", "f4", "f5", "f6", "f7", "f8", "f9", "f10", "f11", "f12":
		return "", key != "ctrl+c"
	}
	switch r, n := utf8.DecodeRuneInString(name); {
	case name == " ":
		return `write "space"`, false
	case n == 0 || n != len(name) || !unicode.IsPrint(r):
		return `write a character such as "R", or a name such as "f5", "pgup", "ctrl+r"`, false
	case strings.HasSuffix(key, "shift+"+name):
		return fmt.Sprintf("write %q", strings.ToUpper(name)), false
	case name != key && unicode.IsUpper(r):
		return fmt.Sprintf("write %q", strings.ToLower(key)), false
	case key == "ctrl+c":
		return "it always quits", false
	}
	return "", true
}
