package config

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

func TestIndex(t *testing.T) {
	text := strings.Join([]string{
		/* 1 */ `a = 1 # b = 2`,
		/* 2 */ `"q.r" . 's' = "#\"}"`,
		/* 3 */ `"\u0041\x42\n" = 'x\'`,
		/* 4 */ `m = """`,
		/* 5 */ `n = 1`,
		/* 6 */ `\""" ""`,
		/* 7 */ `""""" `,
		/* 8 */ `l = [ # [`,
		/* 9 */ `  1, "]",`,
		/* 10 */ `  { x = [[2], []], y.z = '''}''', },`,
		/* 11 */ `]`,
		/* 12 */ `d = 1979-05-27 07:32:00`,
		/* 13 */ `	[t.u]  # comment`,
		/* 14 */ `v = { "日" = 日 }`,
		/* 15 */ `[[t.w]]`,
		/* 16 */ `k = 1`,
		/* 17 */ `[[ t . w ]]`,
		/* 18 */ `k = 2`,
		/* 19 */ `[t.w.x]`,
		/* 20 */ `[t]`,
		/* 21 */ `last=true`,
	}, "\n")
	x := newIndex(strings.ReplaceAll(text, "日 }", "3 }"))
	got := map[string]string{}
	for path, s := range x.spots {
		kl, kc := x.position(s.key)
		vl, vc := x.position(s.value)
		got[path] = fmt.Sprintf("%d:%d %d:%d", kl, kc, vl, vc)
	}
	want := map[string]string{
		`a`: "1:1 1:5", `"q.r"`: "2:1 2:15", `"q.r".s`: "2:9 2:15", `"AB\n"`: "3:1 3:18",
		`m`: "4:1 4:5", `l`: "8:1 8:5", `l[0]`: "9:3 9:3", `l[1]`: "9:6 9:6", `l[2]`: "10:3 10:3",
		`l[2].x`: "10:5 10:9", `l[2].x[0]`: "10:10 10:10", `l[2].x[0][0]`: "10:11 10:11", `l[2].x[1]`: "10:15 10:15",
		`l[2].y`: "10:20 10:26", `l[2].y.z`: "10:22 10:26", `d`: "12:1 12:5",
		`t`: "20:2 20:1", `t.u`: "13:5 13:2", `t.u.v`: "14:1 14:5", `t.u.v."日"`: "14:7 14:13",
		`t.w`: "15:5 15:1", `t.w[0]`: "15:5 15:1", `t.w[0].k`: "16:1 16:5", `t.w[1]`: "17:8 17:1", `t.w[1].k`: "18:1 18:5",
		`t.w[1].x`: "19:6 19:1", `t.last`: "21:1 21:6",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want - got +\n%s", diff)
	}
	if d := x.spots["d"]; x.text[d.value:d.end] != "1979-05-27 07:32:00" {
		t.Errorf("the date is %q", x.text[d.value:d.end])
	}
}

func TestTooDeep(t *testing.T) {
	deep := strings.Repeat("[", 500_000)
	_, err := project{}.parse(t, "a = "+deep)
	if err == nil || !strings.Contains(err.Error(), "mesh.toml:1:55: more than 50 arrays and tables inside each other") {
		t.Errorf("got %v", err)
	}
	_, err = project{}.parse(t, strings.Repeat("a.", 200_000)+"a = 1")
	if err == nil || !strings.Contains(err.Error(), "mesh.toml:1:102: more than 50 arrays and tables inside each other") {
		t.Errorf("got %v", err)
	}
	_, err = project{}.parse(t, strings.Repeat("#", maxSize+1))
	if err == nil || err.Error() != "/shop/mesh.toml: larger than 1048576 bytes: this is no mesh.toml" {
		t.Errorf("got %v", err)
	}
}

// FuzzParse feeds any text: nothing panics, every mistake has a place inside
// the text, and every key that the parser reports has a place in the index.
func FuzzParse(f *testing.F) {
	if archive, err := txtar.ParseFile("testdata/mistakes.txtar"); err == nil {
		for _, file := range archive.Files {
			f.Add(string(file.Data))
		}
	}
	if whole, err := os.ReadFile("testdata/whole.toml"); err == nil {
		f.Add(string(whole))
	}
	for _, text := range []string{"a.\"\\u00e9\".b = 1\n[[x.y]]\nz = [{a=1}]\n[x]\n", "'' = {}\n[\"\"]", "a = \"\"\"\\\n\"\"\"\"\"", "\uFEFFa=1\r\nb=2", "a = [[{b = [1,2]}]]"} {
		f.Add(text)
	}
	indexes := regexp.MustCompile(`\[\d+\]`)
	f.Fuzz(func(t *testing.T, text string) {
		m, err := project{".env": text}.parse(t, text, "A=1")
		if list, ok := err.(Errors); ok { //nolint:errorlint // parse returns the list itself
			checkList(t, list)
		} else if !Diff(m, m).Empty() {
			t.Error("a mesh differs from itself")
		}

		text = strings.TrimPrefix(text, "\uFEFF")
		var root map[string]any
		meta, err := toml.Decode(text, &root)
		x := newIndex(text)
		if err != nil || x.tooDeep >= 0 {
			return
		}
		known := map[string]bool{}
		for path := range x.spots {
			// A quoted key may look like an index; then both sides lose it.
			known[indexes.ReplaceAllString(path, "")] = true
		}
		for _, key := range meta.Keys() {
			path := ""
			for _, part := range key {
				path = join(path, part)
			}
			if !known[indexes.ReplaceAllString(path, "")] {
				t.Errorf("%s has no place", path)
			}
		}
	})
}

func checkList(t *testing.T, list Errors) {
	t.Helper()
	for _, e := range list {
		if e.Place.Line < 0 || e.Place.Line > 0 && e.Place.Column < 1 || e.Place.File == "" || e.Msg == "" {
			t.Errorf("a mistake without a place or a word: %+v", e)
		}
		if strings.ContainsAny(e.Error(), "\x1b\x00\r\u202e") {
			t.Errorf("a mistake that steers the terminal: %q", e.Error())
		}
	}
	if !slices.IsSortedFunc(list, func(a, b *Error) int {
		if a.Place.File != b.Place.File {
			return strings.Compare(a.Place.File, b.Place.File)
		}
		return a.Place.Line - b.Place.Line
	}) {
		t.Errorf("not in the order of places:\n%v", list)
	}
}
