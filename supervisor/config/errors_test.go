package config

import (
	"errors"
	"fmt"
	"testing"
)

func TestErrorsAreTidy(t *testing.T) {
	at := func(file string, line, column int, msg string) *Error {
		return &Error{Place: Place{file, line, column}, Msg: msg}
	}
	list := Errors{at("b", 1, 1, "x"), at("a", 2, 1, "z"), at("a", 10, 1, "x"), at("a", 2, 1, "y"), at("a", 2, 1, "z"), at("a", 1, 9, "x")}.tidy()
	want := "a:1:9: x\n\na:2:1: y\n\na:2:1: z\n\na:10:1: x\n\nb:1:1: x"
	if got := list.Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	var one *Error
	if err := fmt.Errorf("loading: %w", list); !errors.As(err, &one) || one != list[0] {
		t.Errorf("a wrapped list gives %v, want its first mistake", one)
	}
}

func TestErrorAsShown(t *testing.T) {
	for _, c := range []struct {
		name, line string
		column     int
		want       string
	}{
		{"plain", "abc", 2, "f:1:2: m\n  abc\n   ^\n  h"},
		{"behind the line", "abc", 4, "f:1:4: m\n  abc\n     ^\n  h"},
		{"far behind the line", "abc", 40, "f:1:40: m\n  abc\n     ^\n  h"},
		{"tabs", "\ta\tb", 4, "f:1:4: m\n  \ta\tb\n  \t \t^\n  h"},
		{"wide", "日本x", 3, "f:1:3: m\n  日本x\n      ^\n  h"},
		{"combining", "e\u0301x", 3, "f:1:3: m\n  e\u0301x\n   ^\n  h"},
		{"escape sequence", "\x1b[2Jx", 5, "f:1:5: m\n  \uFFFD[2Jx\n      ^\n  h"},
		{"not UTF-8", "\xffx", 2, "f:1:2: m\n  \uFFFDx\n   ^\n  h"},
	} {
		e := &Error{Place: Place{"f", 1, c.column}, Msg: "m", Hint: "h", Line: c.line}
		if got := e.Error(); got != c.want {
			t.Errorf("%s: got\n%q\nwant\n%q", c.name, got, c.want)
		}
	}
	if got := (&Error{Place: Place{File: "f"}, Msg: "m"}).Error(); got != "f: m" {
		t.Errorf("without a line: got %q", got)
	}
}

func TestSuggest(t *testing.T) {
	words := []string{"command", "port", "protocol", "env", "env_file", "instances"}
	for word, want := range map[string]string{
		"comand": "command", "commnad": "command", "COMMAND": "command", "prot": "port", "protcol": "protocol",
		"instance": "instances", "envs": "env", "xyz": "", "": "", "e": "", "portocol": "protocol",
	} {
		if got := suggest(word, words); got != want {
			t.Errorf("%q gives %q, want %q", word, got, want)
		}
	}
}

func TestErrorsFromAFolder(t *testing.T) {
	at := func(file string) *Error { return &Error{Place: Place{File: file, Line: 1, Column: 2}, Msg: "x"} }
	all := Errors{at("/shop/mesh.toml"), at("/shop/sub/.env"), at("/shopping/mesh.toml")}
	if got, want := all.From("/shop").Error(), "mesh.toml:1:2: x\n\nsub/.env:1:2: x\n\n/shopping/mesh.toml:1:2: x"; got != want {
		t.Errorf("from the folder the mistakes are\n%s, want\n%s", got, want)
	}
	if got := all[0].Place.File; got != "/shop/mesh.toml" {
		t.Errorf("the mistakes themselves were changed: %s", got)
	}
}
