package filter_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"mesh/runtime/flow"
	"mesh/runtime/flow/filter"
)

func TestTimeOfDay(t *testing.T) {
	v := flow.View{Head: flow.Head{Begun: time.Date(2026, 5, 4, 23, 59, 58, 300e6, time.UTC)}, Age: 4 * time.Second}
	for text, want := range map[string]bool{
		"at:23:59": true, "at:23:58": false, "at:23:59:58": true, "at:23:59:57": false, "at:23:59:58.2": false, "at:23:59:58.3": true,
		"at:23:59:58.299": false, "at:23:50-23:59": true, "at:23:50-23:58": false, "at:23:59:59-00:10": true, "at>23:59": true, "at<23:59": true,
		"at<23:58": false, "!at:23:59": false,
	} {
		f, err := filter.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if f.Match(&v) != want {
			t.Errorf("%s: %v, want %v", text, !want, want)
		}
	}
	for text, pos := range map[string]int{"to:a at:25:00": 8, "at:noon": 3, "at>12:00-13:00": 3, "at!=12:00": 4} {
		_, err := filter.Parse(text)
		if e, ok := errors.AsType[*filter.Error](err); !ok || e.Pos != pos || e.Hint == "" {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestOtherValues chooses among values of another type in the same language.
func TestOtherValues(t *testing.T) {
	type book struct {
		name  string
		pages int64
	}
	l := filter.Language[book]{
		Fields: map[string]filter.Field[book]{
			"name":  {Example: ":Emma", Texts: func(b *book) []string { return []string{b.name} }},
			"pages": {Example: ">100", Number: func(b *book) (int64, bool) { return b.pages, b.pages > 0 }},
		},
		Flags: map[string]func(*book) bool{"long": func(b *book) bool { return b.pages > 500 }},
		Text:  func(b *book) []string { return []string{b.name} },
	}
	shelf := []book{{"Emma", 474}, {"Ulysses", 730}, {"Ilias", 0}}
	for text, want := range map[string][]string{
		"": {"Emma", "Ulysses", "Ilias"}, "long": {"Ulysses"}, "pages<500": {"Emma"}, "name:*s !long": {"Ilias"}, "mm or pages>=730": {"Emma", "Ulysses"},
	} {
		f, err := l.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for i := range shelf {
			if f.Match(&shelf[i]) {
				got = append(got, shelf[i].name)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q chooses %v, want %v", text, got, want)
		}
	}
	if _, err := l.Parse("pags>100"); err == nil || err.Error() != `column 1: there is no field "pags"; did you mean pages?` {
		t.Errorf("got %v", err)
	}
	if c := l.Complete("lo", shelf); !slices.Equal(c.Options, []string{"long"}) {
		t.Errorf("after lo comes %v", c.Options)
	}
	if c := l.Complete("name:u", shelf); !slices.Equal(c.Options, []string{"name:Ulysses"}) {
		t.Errorf("after name:u comes %v", c.Options)
	}
}
