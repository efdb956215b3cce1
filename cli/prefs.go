package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/spf13/cobra"

	"mesh/runtime/flow/filter"
	"mesh/supervisor/control"
	"mesh/tui"
)

// prefs is what a user wants of the screen, in every project:
// $XDG_CONFIG_HOME/mesh/screen.toml, ~/.config/mesh/screen.toml without it.
type prefs struct {
	file    string // "" when there is none
	theme   string
	keys    tui.Keys
	filters map[string]string
}

// themes are those of the screen.
func themes() []string { return []string{"auto", "dark", "light", "none"} }

// prefs reads the user's file; without one everything is as usual.
func (e Env) prefs() (prefs, error) {
	if t := e.project.theme; t != "" && !slices.Contains(themes(), t) {
		return prefs{}, usage(&hinted{fmt.Errorf("there is no theme %q", t), "there are " + strings.Join(themes(), ", ")})
	}
	dir := e.getenv("XDG_CONFIG_HOME")
	if dir == "" {
		home := e.getenv("HOME")
		if home == "" {
			return prefs{}, nil
		}
		dir = filepath.Join(home, ".config")
	}
	file := filepath.Join(dir, "mesh", "screen.toml")
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return prefs{}, nil
	}
	if err != nil {
		return prefs{}, fmt.Errorf("reading what you want of the screen: %w", err)
	}
	return parsePrefs(file, string(text))
}

// parsePrefs reads the text of a screen.toml; the error lists every mistake with
// its line.
func parsePrefs(file, text string) (prefs, error) {
	p := prefs{file: file, keys: tui.Keys{}, filters: map[string]string{}}
	var top map[string]any
	if _, err := toml.Decode(text, &top); err != nil {
		if at, ok := errors.AsType[toml.ParseError](err); ok {
			return p, fmt.Errorf("%s:%d:%d: %s", file, at.Position.Line, at.Position.Col, at.Message)
		}
		return p, fmt.Errorf("%s: %w", file, err)
	}
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s:%d: %s", file, lineOf(text, key), fmt.Sprintf(format, args...)))
	}
	for _, name := range slices.Sorted(maps.Keys(top)) {
		table, isTable := top[name].(map[string]any)
		switch theme, _ := top[name].(string); {
		case name == "theme" && slices.Contains(themes(), theme):
			p.theme = theme
		case name == "theme":
			bad(name, "theme is one of %s", strings.Join(themes(), ", "))
		case name == "keys" && isTable:
			p.readKeys("", table, bad)
		case name == "filters" && isTable:
			for _, f := range slices.Sorted(maps.Keys(table)) {
				s, ok := table[f].(string)
				if !ok {
					bad(f, "the filter %s is no text", f)
				}
				p.filters[f] = s
			}
		case name == "keys" || name == "filters":
			bad(name, "%s is a table: write [%s]", name, name)
		default:
			hint := ""
			if near := control.Nearest(name, []string{"theme", "keys", "filters"}); near != "" {
				hint = "; did you mean " + near + "?"
			}
			bad(name, "there is no %q here, only theme, keys and filters%s", name, hint)
		}
	}
	if many, ok := tui.CheckKeys(p.keys).(interface{ Unwrap() []error }); ok {
		for _, err := range many.Unwrap() {
			if k, ok := errors.AsType[*tui.KeyError](err); ok {
				_, last, _ := strings.Cut("."+k.Command, ".")
				bad(last, "%s", k.Error())
			}
		}
	}
	return p, usage(errors.Join(errs...))
}

// readKeys reads a table of keys; a table in it is one of a view.
func (p *prefs) readKeys(view string, table map[string]any, bad func(key, format string, args ...any)) {
	for _, name := range slices.Sorted(maps.Keys(table)) {
		switch v := table[name].(type) {
		case string:
			p.keys[view+name] = slices.DeleteFunc([]string{v}, func(s string) bool { return s == "" })
		case []any:
			p.keys[view+name] = []string{}
			for _, one := range v {
				s, ok := one.(string)
				if !ok {
					bad(name, "a key of %s is no text", name)
				}
				p.keys[view+name] = append(p.keys[view+name], s)
			}
		case map[string]any:
			p.readKeys(view+name+".", v, bad)
		default:
			bad(name, "%s takes a key such as \"R\", or several: [\"R\", \"f5\"]", name)
		}
	}
}

// lineOf gives the line of a text in which a key gets its value, 1 when it cannot
// be found.
func lineOf(text, key string) int {
	last := key[strings.LastIndexByte(key, '.')+1:]
	for _, k := range []string{key, last} {
		at := regexp.MustCompile(`(?m)^[ \t\[]*(?:[\w-]+\.)*["']?` + regexp.QuoteMeta(k) + `["']?[ \t]*[=\]]`).FindStringIndex(text)
		if at != nil {
			return strings.Count(text[:at[0]], "\n") + 1
		}
	}
	return 1
}

// themeFlag adds the flag that chooses a theme.
func themeFlag(cmd *cobra.Command, env Env) {
	cmd.Flags().StringVar(&env.project.theme, "theme", "", "of the screen: "+strings.Join(themes(), ", "))
	_ = cmd.RegisterFlagCompletionFunc("theme", cobra.FixedCompletions(themes(), cobra.ShellCompDirectiveNoFileComp)) // the flag is there
}

// shelf keeps the filters that are saved on the screen in the project's .mesh
// folder; those of the user's own file are there in every project.
type shelf struct {
	file string
	own  map[string]string
}

// Saved gives the filters by name.
func (s shelf) Saved() (map[string]string, error) {
	all := maps.Clone(s.own)
	if all == nil {
		all = map[string]string{}
	}
	text, err := os.ReadFile(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	var here map[string]string
	if err == nil {
		err = toml.Unmarshal(text, &here)
	}
	if err != nil {
		return all, fmt.Errorf("reading the filters that were saved: %w", err)
	}
	maps.Copy(all, here)
	return all, nil
}

// Save keeps a filter; text "" forgets it.
func (s shelf) Save(name, text string) error {
	here, err := shelf{file: s.file}.Saved()
	if err != nil {
		return err
	}
	_, saved := here[name]
	switch {
	case text != "":
		here[name] = text
	case saved:
		delete(here, name)
	case s.own[name] != "":
		return fmt.Errorf("%s is one of your own screen.toml: remove it there", name)
	default:
		return fmt.Errorf("no filter is saved as %s", name)
	}
	out, err := toml.Marshal(here)
	if err != nil {
		return fmt.Errorf("writing the filters: %w", err)
	}
	return replaceFile(s.file, out)
}

// shelf gives the filters that are saved for the project.
func (e Env) shelf() (shelf, error) {
	p, err := e.prefs()
	if err != nil {
		return shelf{}, err
	}
	file, err := e.find()
	if err != nil {
		return shelf{}, err
	}
	return shelf{file: filepath.Join(filepath.Dir(file), ".mesh", "filters.toml"), own: p.filters}, nil
}

// recalled puts saved filters in the place of their names, such as @slow.
func (e Env) recalled(words []string) (string, error) {
	var all map[string]string
	for i, w := range words {
		name, ok := strings.CutPrefix(w, "@")
		if !ok {
			continue
		}
		if all == nil {
			s, err := e.shelf()
			if err == nil {
				all, err = s.Saved()
			}
			if err != nil {
				return "", err
			}
		}
		text, ok := all[name]
		if !ok {
			hint := "`:save filter NAME` on the screen saves one"
			if len(all) > 0 {
				hint = "there are @" + strings.Join(slices.Sorted(maps.Keys(all)), ", @")
			}
			return "", usage(&hinted{fmt.Errorf("no filter is saved as %s", w), hint})
		}
		if _, err := filter.Parse(text); err != nil {
			return "", usage(&hinted{fmt.Errorf("the filter %s is not about streams: %w", w, err), "it was saved in another list of the screen"})
		}
		words = slices.Clone(words)
		words[i] = "(" + text + ")"
	}
	return strings.Join(words, " "), nil
}
