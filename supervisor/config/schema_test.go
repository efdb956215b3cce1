package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/rogpeppe/go-internal/txtar"
)

func schema(t *testing.T) map[string]any {
	t.Helper()
	var s map[string]any
	if err := json.Unmarshal(Schema(), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSchemaAgrees holds the schema against the decoder: it takes the file
// with every key, and refuses what the decoder calls unknown or mistyped.
func TestSchemaAgrees(t *testing.T) {
	s := schema(t)
	whole, err := os.ReadFile("testdata/whole.toml")
	if err != nil {
		t.Fatal(err)
	}
	if why := conforms(s, decoded(t, string(whole)), ""); why != "" {
		t.Errorf("a good file does not fit the schema: %s", why)
	}
	archive, err := txtar.ParseFile("testdata/mistakes.txtar")
	if err != nil {
		t.Fatal(err)
	}
	// What only a program can find: the file system, variables, other apps.
	beyond := []string{
		"app-ids", "app-ids-clash", "port-for-instances", "ports-twice", "no-port", "external", "depends", "cycles", "dir", "env-file",
		"variables", "wide", "long", "patterns", "names-needs", "names-unused", "names-format",
	}
	for _, f := range archive.Files {
		name, ok := strings.CutSuffix(f.Name, ".toml")
		if !ok || slices.Contains(beyond, name) {
			continue
		}
		var root map[string]any
		if _, err := toml.Decode(string(f.Data), &root); err != nil {
			continue // not even TOML
		}
		if why := conforms(s, plainJSON(t, root), ""); why == "" {
			t.Errorf("the schema takes %s, which the decoder refuses", f.Name)
		}
	}
}

// TestEveryKey gives each key of the schema to the decoder, which must know
// it, and wants a description of each.
func TestEveryKey(t *testing.T) {
	keys := 0
	var walk func(s map[string]any, path string)
	walk = func(s map[string]any, path string) {
		if properties, ok := s["properties"].(map[string]any); ok {
			for _, name := range slices.Sorted(maps.Keys(properties)) {
				child, _ := properties[name].(map[string]any)
				if child["description"] == "" || child["description"] == nil {
					t.Errorf("%s.%s has no description", path, name)
				}
				keys++
				walk(child, path+"."+name)
				// A date fits nothing: known keys are mistyped, others unknown.
				text := strings.TrimPrefix(path+"."+name, ".") + " = 1979-05-27"
				_, err := project{}.parse(t, strings.ReplaceAll(text, "*", "x"))
				if err == nil || strings.Contains(err.Error(), "unknown key") {
					t.Errorf("the decoder does not know %s: %v", text, err)
				}
			}
		}
		if more, ok := s["additionalProperties"].(map[string]any); ok {
			walk(more, path+".*")
		}
	}
	walk(schema(t), "")
	if keys < 60 {
		t.Errorf("the schema has %d keys only", keys)
	}
}

func TestSchemaForEditors(t *testing.T) {
	s := schema(t)
	get := func(keys ...string) any {
		var v any = s
		for _, key := range keys {
			m, _ := v.(map[string]any)
			v = m[key]
		}
		return v
	}
	app := []string{"properties", "apps", "additionalProperties"}
	for want, keys := range map[string][]string{
		"http://json-schema.org/draft-07/schema#":                                 {"$schema"},
		"[map[enum:[http https h2c grpc grpcs]] map[pattern:\\$\\{ type:string]]": append(slices.Clone(app), "properties", "protocol", "anyOf"),
		"15s":    append(slices.Clone(app), "properties", "hold", "default"),
		"false":  append(slices.Clone(app), "additionalProperties"),
		"[type]": {"properties", "components", "additionalProperties", "required"},
	} {
		if got := fmt.Sprint(get(keys...)); got != want {
			t.Errorf("%s is %s, want %s", strings.Join(keys, "."), got, want)
		}
	}
}

func decoded(t *testing.T, text string) any {
	t.Helper()
	var root map[string]any
	if _, err := toml.Decode(text, &root); err != nil {
		t.Fatal(err)
	}
	return plainJSON(t, root)
}

// plainJSON gives a value the types of encoding/json.
func plainJSON(t *testing.T, v any) any {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// conforms is as much of a validator as the schema needs. It says what does
// not fit, "" when all does.
func conforms(s map[string]any, v any, path string) string {
	if choices, ok := s["anyOf"].([]any); ok {
		var whys []string
		for _, c := range choices {
			choice, _ := c.(map[string]any)
			why := conforms(choice, v, path)
			if why == "" {
				return ""
			}
			whys = append(whys, why)
		}
		return strings.Join(whys, "; ")
	}
	if words, ok := s["enum"].([]any); ok && !slices.Contains(words, v) {
		return fmt.Sprintf("%s is %v, not one of %v", path, v, words)
	}
	types := map[string]bool{}
	switch typ := s["type"].(type) {
	case string:
		types[typ] = true
	case []any:
		for _, one := range typ {
			types[fmt.Sprint(one)] = true
		}
	}
	bad := func(is string) bool { return len(types) > 0 && !types[is] }
	switch v := v.(type) {
	case string:
		if pattern, ok := s["pattern"].(string); bad("string") || ok && !regexp.MustCompile(pattern).MatchString(v) {
			return fmt.Sprintf("%s is %q", path, v)
		}
		if least, ok := s["minLength"].(float64); ok && len(v) < int(least) {
			return path + " is empty"
		}
	case bool:
		if bad("boolean") {
			return fmt.Sprintf("%s is %v", path, v)
		}
	case float64:
		least, hasLeast := s["minimum"].(float64)
		most, hasMost := s["maximum"].(float64)
		whole := types["integer"] && v == math.Trunc(v)
		if bad("number") && !whole || hasLeast && v < least || hasMost && v > most {
			return fmt.Sprintf("%s is %v", path, v)
		}
	case []any:
		if least, ok := s["minItems"].(float64); bad("array") || ok && len(v) < int(least) {
			return path + " is a list"
		}
		if items, ok := s["items"].(map[string]any); ok {
			for i, item := range v {
				if why := conforms(items, item, fmt.Sprintf("%s[%d]", path, i)); why != "" {
					return why
				}
			}
		}
	case map[string]any:
		return conformsTable(s, v, path, bad("object"))
	}
	return ""
}

func conformsTable(s, v map[string]any, path string, bad bool) string {
	if bad {
		return path + " is a table"
	}
	if need, ok := s["required"].([]any); ok {
		for _, key := range need {
			if v[fmt.Sprint(key)] == nil {
				return fmt.Sprintf("%s has no %s", path, key)
			}
		}
	}
	properties, _ := s["properties"].(map[string]any)
	for key, value := range v {
		child, known := properties[key].(map[string]any)
		if !known {
			if s["additionalProperties"] == false {
				return fmt.Sprintf("%s.%s is unknown", path, key)
			}
			child, _ = s["additionalProperties"].(map[string]any)
		}
		if why := conforms(child, value, path+"."+key); why != "" {
			return why
		}
	}
	return ""
}
