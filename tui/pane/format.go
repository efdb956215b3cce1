package pane

import (
	"math"
	"strconv"
	"strings"
	"time"

	"mesh/runtime/flow/filter"
)

// size writes a number of bytes in at most five characters: "512", "61.2k",
// "1.8M". The units are powers of 1000.
func size(n uint64) string { return scaled(n, 1000, "kMGTPE") }

// count writes a number in at most five characters.
func count(n uint64) string {
	if n < 100_000 {
		return strconv.FormatUint(n, 10)
	}
	return scaled(n, 1000, "kMGTPE")
}

func scaled(n uint64, step float64, units string) string {
	if float64(n) < step {
		return strconv.FormatUint(n, 10)
	}
	v, i := float64(n)/step, 0
	for v >= 999.5 && i < len(units)-1 {
		v, i = v/step, i+1
	}
	digits := 1
	if v >= 99.95 {
		digits = 0
	}
	return strconv.FormatFloat(v, 'f', digits, 64) + units[i:i+1]
}

// percent writes a part of one core in at most five characters, up to a hundred
// cores: "0.3%", "99.9%", "250%".
func percent(cores float64) string {
	digits := 1
	if cores >= 0.9995 {
		digits = 0
	}
	return strconv.FormatFloat(cores*100, 'f', digits, 64) + "%"
}

// Plural gives "1 call", "2 calls".
func Plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// none stands where there is no value.
const none = "–"

// orNone writes a count, or a dash for none.
func orNone(n int) string {
	if n == 0 {
		return none
	}
	return count(uint64(max(0, n)))
}

// since writes how long ago something was, a dash for the zero time.
func since(now, then time.Time) string {
	if then.IsZero() {
		return none
	}
	return whole(now.Sub(then))
}

// whole writes a time in whole seconds at least, so that it changes only once
// a second: "4s", "3m05s".
func whole(d time.Duration) string {
	if d < time.Minute {
		return strconv.Itoa(int(max(0, d)/time.Second)) + "s"
	}
	return filter.Seconds(d)
}

// bar gives one of nine heights, from a blank to a full block, for v of most.
func bar(v, most float64) rune {
	if v <= 0 || most <= 0 {
		return ' '
	}
	return '▁' + rune(min(7, int(v/most*8)))
}

// trimmed writes a time in a unit without needless digits.
func trimmed(d, unit time.Duration, digits int) string {
	pow := math.Pow10(digits)
	v := math.Round(float64(d)/float64(unit)*pow) / pow
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// longAside is how long a remark in brackets may be where there is little room.
const longAside = 40

// Brief leaves out long remarks in brackets, such as all of a PATH; the list of
// notices has them.
func Brief(s string) string {
	var out strings.Builder
	for {
		from := strings.IndexByte(s, '(')
		if from < 0 {
			break
		}
		n := strings.IndexByte(s[from:], ')')
		if n < 0 {
			break
		}
		if n <= longAside {
			out.WriteString(s[:from+n+1])
		} else {
			out.WriteString(strings.TrimSuffix(s[:from], " "))
		}
		s = s[from+n+1:]
	}
	out.WriteString(s)
	return out.String()
}
