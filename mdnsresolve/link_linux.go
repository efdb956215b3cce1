package mdnsresolve

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
)

// sharedLinks gives the names of the interfaces on which another responder of
// this host is a member of the mDNS group. Dapr's sidecars are never on the
// loopback interface; in loopback mode they are met there, with packets that
// the kernel delivers to this host and does not send. It keeps that promise
// only while the host is a member of the group on the interface, so we join
// too: the host is a member already, and nobody on the network notices.
func sharedLinks(mode string) map[string]bool {
	if mode != loopback {
		return nil
	}
	table, err := os.ReadFile("/proc/self/net/igmp")
	if err != nil {
		return nil // without it, only the loopback interface is used
	}
	return members(table)
}

// members reads the kernel's table of IPv4 multicast memberships.
func members(table []byte) map[string]bool {
	wanted := fmt.Sprintf("%08X", binary.NativeEndian.Uint32([]byte{224, 0, 0, 251}))
	found := map[string]bool{}
	name := ""
	lines := bufio.NewScanner(bytes.NewReader(table))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) < 2:
		case lines.Text()[0] != '\t': // "2  eth0  :  1  V3"
			name = strings.TrimSuffix(fields[1], ":")
		case fields[0] == wanted:
			found[name] = true
		}
	}
	return found
}
