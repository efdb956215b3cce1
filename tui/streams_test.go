package tui

import (
	"strings"
	"testing"
)

func TestStreamsSayWhatTheyWaitFor(t *testing.T) {
	s := open(t, 200, 60, Options{NoColor: true})
	s.press("2")
	s.shows("stalled: bill not reading 2.1s", "holding 1.2s: orders is starting", "flowing", "200 in 12ms", "broken off: llm went away", "waiting for web 5.1s", "41/1", "größe-日本")
}

func TestFilterWhileTyping(t *testing.T) {
	s := open(t, 120, 40, Options{NoColor: true})
	s.press("2", "/")
	s.text("to:bill")
	s.shows("/quote")
	s.hides("/chat", "/embed")
	s.text(" ttfb>5")
	s.shows("a time needs a unit", "^", "/quote") // the last good one still holds
	s.press("enter")
	s.shows("a time needs a unit") // not accepted
	s.press("esc")
	s.shows("/chat", "/embed")
	s.press("/")
	s.text("stal")
	s.press("tab", "enter")
	s.shows("filter stalled", "/quote", "1 live, 0 ended")
	s.press("x")
	s.shows("4 live, 2 ended")
}

func TestSortingKeepsLiveStreamsOnTop(t *testing.T) {
	s := open(t, 200, 60, Options{NoColor: true})
	s.press("2", ":")
	s.text("sort bytes")
	s.press("enter")
	s.shows("bytes▾")
	order(t, s.frame(), "/files", "/quote", "/chat", "/orders ", "/embed", "/orders/17")
	s.press("O")
	s.shows("bytes▴")
	order(t, s.frame(), "/orders ", "/chat", "/quote", "/files", "/orders/17", "/embed")
	s.press(":")
	s.text("sort colour")
	s.press("enter")
	s.shows("sort by one of id, route")
}

func order(t *testing.T, frame string, texts ...string) {
	t.Helper()
	at := -1
	for _, text := range texts {
		i := strings.Index(frame, text)
		if i < at {
			t.Errorf("%q stands too high in\n%s", text, frame)
		}
		at = i
	}
}

func TestTypingReplacesTheOldFilter(t *testing.T) {
	s := open(t, 80, 24, Options{NoColor: true})
	s.press("2", "/")
	s.text("to:bill")
	s.press("enter", "/")
	s.shows("filter to:bill", "typing replaces it")
	s.text("to:llm")
	s.hides("typing replaces it", "to:bill")
	s.press("enter")
	s.shows("filter to:llm", "/chat")
	s.press("/", "left", "right") // now it is edited
	s.text("-2")
	s.press("enter")
	s.shows("filter to:llm-2")
	s.press("/", "ctrl+u", "enter")
	s.shows("4 live, 2 ended")
}
