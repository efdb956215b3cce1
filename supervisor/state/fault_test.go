package state_test

import (
	"strings"
	"testing"
	"time"

	"mesh/supervisor/state"
)

func TestFaultsAreRead(t *testing.T) {
	for text, want := range map[string]state.Command{
		"orders":     {Name: "orders", On: true},
		"orders on":  {Name: "orders", On: true},
		"orders off": {Name: "orders"},
		"orders delay=200ms rate=0.2": {
			Name: "orders", On: true,
			Fault: &state.Fault{Name: "orders", Target: "orders", Delay: 200 * time.Millisecond, Rate: 0.2, On: true, Hand: true},
		},
		"orders abort=503 bandwidth=64k cut_after=1MiB": {
			Name: "orders", On: true,
			Fault: &state.Fault{Name: "orders", Target: "orders", Abort: 503, Bandwidth: 64 << 10, CutAfter: 1 << 20, On: true, Hand: true},
		},
	} {
		words := strings.Fields(text)
		got, err := state.ParseFault(words[0], words[1:])
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got.Op != state.SetFault || got.Name != want.Name || got.On != want.On || (got.Fault == nil) != (want.Fault == nil) {
			t.Errorf("%s: got %+v", text, got)
		}
		if got.Fault == nil {
			continue
		}
		if *got.Fault != *want.Fault {
			t.Errorf("%s: got %+v, want %+v", text, *got.Fault, *want.Fault)
		}
		if again, err := state.ParseFault("orders", strings.Fields(got.Fault.String())); err != nil || *again.Fault != *got.Fault {
			t.Errorf("%s: what it is written as, %q, is read as %+v (%v)", text, got.Fault, again.Fault, err)
		}
	}
}

func TestWrongFaultsSayWhy(t *testing.T) {
	for text, why := range map[string]string{
		"orders slow":                   `"slow" is not part of a fault`,
		"orders dealy=1s":               `no "dealy"`,
		"orders delay=1":                "delay=1: ",
		"orders rate=0.5":               "does nothing",
		"orders delay=1s rate=2":        "share of the calls",
		"orders delay=1s rate=0":        "would hit no call",
		"orders delay=1s rate=NaN":      "share of the calls",
		"orders abort=200":              "from 400 to 599",
		"orders delay=-1s":              "below 0",
		"orders bandwidth=fast":         "no number of bytes",
		"orders cut_after=99999999999g": "no number of bytes",
	} {
		words := strings.Fields(text)
		if _, err := state.ParseFault(words[0], words[1:]); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want %q", text, err, why)
		}
	}
	if _, err := state.ParseFault("", nil); err == nil {
		t.Error("a fault without a name is taken")
	}
}
