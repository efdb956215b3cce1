package cli

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// quantity is a flag with a number of bytes as Kubernetes writes them: 4Mi.
type quantity int64

func (q *quantity) String() string { return strconv.FormatInt(int64(*q), 10) }

func (q *quantity) Type() string { return "size" }

// Set implements pflag.Value.
func (q *quantity) Set(s string) error {
	digits := strings.TrimRight(s, "BKMGkmgi")
	units := map[string]float64{
		"": 1, "b": 1, "k": 1e3, "kb": 1e3, "m": 1e6, "mb": 1e6, "g": 1e9, "gb": 1e9,
		"ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30,
	}
	unit, ok := units[strings.ToLower(s[len(digits):])]
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil || !ok || n < 0 || n*unit > math.MaxInt32 {
		return errors.New("a size is a number with a unit such as 16Mi, below 2Gi")
	}
	*q = quantity(n * unit)
	return nil
}

// megabytes is a quantity that is given in megabytes.
type megabytes quantity

func (m *megabytes) String() string { return strconv.FormatInt(int64(*m)>>20, 10) }

func (m *megabytes) Type() string { return "megabytes" }

// Set implements pflag.Value.
func (m *megabytes) Set(s string) error {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n > math.MaxInt32>>20 {
		return fmt.Errorf("%q is no number of megabytes below %d", s, math.MaxInt32>>20)
	}
	*m = megabytes(n << 20)
	return nil
}
