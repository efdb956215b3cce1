package cli

import "testing"

func TestSidecarSizes(t *testing.T) {
	for text, want := range map[string]int64{"4Mi": 4 << 20, "16MiB": 16 << 20, "1000": 1000, "2k": 2000, "1.5Ki": 1536, "-1": -1, "3Gi": -1, "Mi": -1, "4Zi": -1, "": -1} {
		var q quantity
		err := q.Set(text)
		if (err != nil) != (want < 0) || err == nil && int64(q) != want {
			t.Errorf("%q is %d, %v, want %d", text, q, err, want)
		}
	}
	var m megabytes
	if err := m.Set("16"); err != nil || int64(m) != 16<<20 || m.String() != "16" {
		t.Errorf("16 megabytes are %s (%d), %v", &m, int64(m), err)
	}
	if m.Set("4Mi") == nil || m.Set("9999999") == nil {
		t.Error("what is no number of megabytes is taken for one")
	}
}
