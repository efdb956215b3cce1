package mdnsresolve

import "testing"

func TestMembers(t *testing.T) {
	const table = "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n" +
		"1\tlo        :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n" +
		"2\teth0      :     2      V3\n\t\t\t\tFB0000E0     2 0:00000000\t\t0\n\t\t\t\t010000E0     1 0:00000000\t\t0\n" +
		"7\ta-long-device-name:     1      V3\n\t\t\t\tFB0000E0     1 0:00000000\t\t0\n"
	got := members([]byte(table))
	if !got["eth0"] || !got["a-long-device-name"] || len(got) != 2 {
		t.Errorf("members are %v", got)
	}
}
