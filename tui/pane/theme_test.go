package pane

import (
	"math"
	"testing"

	"mesh/tui/grid"
)

// TestTextStandsOutFromItsGround measures the contrast of all that is read, as
// the accessibility guidelines of the web do: 4.5 for text.
func TestTextStandsOutFromItsGround(t *testing.T) {
	for name, c := range map[string]struct {
		theme  *Theme
		ground [3]float64
	}{"dark": {Dark(), [3]float64{}}, "light": {Light(), [3]float64{1, 1, 1}}} {
		th := c.theme
		styles := map[string]grid.Style{"Dim": th.Dim, "Key": th.Key, "Good": th.Good, "Warn": th.Warn, "Bad": th.Bad, "Info": th.Info}
		for i, st := range th.Names {
			styles["Names "+string(rune('0'+i))] = st
		}
		for of, st := range styles {
			fg, ok := palette(st.FG)
			if !ok {
				if name == "light" {
					t.Errorf("light %s is one of the user's 16 colours, which may be as bright as the ground", of)
				}
				continue
			}
			grounds := map[string][3]float64{"the ground": c.ground}
			if bg, ok := palette(th.Selected.BG); ok {
				grounds["a selected row"] = bg
			}
			for on, bg := range grounds {
				want := 4.5
				if on != "the ground" && of == "Dim" {
					want = 3 // what is dim is dim there, too
				}
				if got := contrast(fg, bg); got < want {
					t.Errorf("%s: the contrast of %s on %s is %.1f, want %.1f", name, of, on, got, want)
				}
			}
		}
	}
}

// palette gives the red, green and blue of one of the 256 colours that are the
// same everywhere.
func palette(c grid.Color) (rgb [3]float64, ok bool) {
	n := int(c) - 1
	if n < 16 || n > 255 {
		return rgb, false
	}
	if n >= 232 {
		v := float64(8+10*(n-232)) / 255
		return [3]float64{v, v, v}, true
	}
	level := func(v int) float64 {
		if v == 0 {
			return 0
		}
		return float64(55+40*v) / 255
	}
	n -= 16
	return [3]float64{level(n / 36), level(n / 6 % 6), level(n % 6)}, true
}

func contrast(a, b [3]float64) float64 {
	light := func(c [3]float64) float64 {
		for i, v := range c {
			if v <= 0.04045 {
				c[i] = v / 12.92
			} else {
				c[i] = math.Pow((v+0.055)/1.055, 2.4)
			}
		}
		return 0.2126*c[0] + 0.7152*c[1] + 0.0722*c[2]
	}
	x, y := light(a), light(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}
