package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"

	"mesh/supervisor/proc"
)

// wantFiles is how many open files let a mesh of some size work: each call
// holds up to four connections.
const wantFiles = 4096

// limits looks at what the system grants.
func limits() []finding {
	var found []finding
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		found = append(found, finding{"warning", "limits", "asking for the limit of open files: " + err.Error(), ""})
	} else {
		// The Go runtime raises the soft limit to the hard one by itself.
		f := finding{"ok", "limits", fmt.Sprintf("%d open files", files.Max), ""}
		if files.Max < wantFiles {
			f.Level, f.Hint = "warning", fmt.Sprintf("each call in flight needs up to four: raise it with `ulimit -n %d`", wantFiles)
		}
		found = append(found, f)
	}
	return append(found, watchLimits()...)
}

// multicast looks whether a packet to the group of mDNS comes back on the
// loopback interface. It uses a port of its own, so that no mesh hears it.
func multicast(ctx context.Context) finding {
	const hint = "apps of this mesh find each other all the same; other meshes on this host are not found"
	if err := echoMulticast(ctx); err != nil {
		return finding{"warning", "mdns", "multicast on the loopback interface: " + err.Error(), hint}
	}
	return finding{"ok", "mdns", "multicast on the loopback interface works", ""}
}

func echoMulticast(ctx context.Context) error {
	lo, err := loopback()
	if err != nil {
		return err
	}
	group := net.IPv4(224, 0, 0, 251)
	in, err := net.ListenMulticastUDP("udp4", lo, &net.UDPAddr{IP: group})
	if err != nil {
		return fmt.Errorf("joining the group: %w", err)
	}
	defer in.Close()
	port := in.LocalAddr().(*net.UDPAddr).Port //nolint:errcheck // a UDP socket has a UDP address
	var lc net.ListenConfig
	out, err := lc.ListenPacket(ctx, "udp4", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("opening a socket: %w", err)
	}
	defer out.Close()
	packets := ipv4.NewPacketConn(out)
	if err := errors.Join(packets.SetMulticastInterface(lo), packets.SetMulticastLoopback(true)); err != nil {
		return fmt.Errorf("choosing the interface: %w", err)
	}
	const word = "mesh doctor"
	if _, err := out.WriteTo([]byte(word), &net.UDPAddr{IP: group, Port: port}); err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	if err := in.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		return fmt.Errorf("waiting: %w", err)
	}
	buf := make([]byte, 64)
	n, _, err := in.ReadFrom(buf)
	if err != nil {
		return fmt.Errorf("what was sent has not come back: %w", err)
	}
	if string(buf[:n]) != word {
		return errors.New("something else has come back")
	}
	return nil
}

func loopback() (*net.Interface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("listing the interfaces: %w", err)
	}
	for _, i := range all {
		if i.Flags&net.FlagLoopback != 0 && i.Flags&net.FlagUp != 0 {
			return &i, nil
		}
	}
	return nil, errors.New("there is no loopback interface that is up")
}

// examineLeftovers looks for processes that an earlier mesh of the project has
// left behind.
func examineLeftovers(dir string) []finding {
	left, err := proc.Leftovers(filepath.Join(dir, runFolder))
	if err != nil {
		return []finding{{"warning", "leftovers", err.Error(), ""}}
	}
	if len(left) == 0 {
		return nil
	}
	names := make([]string, len(left))
	for i, l := range left {
		names[i] = l.String()
	}
	return []finding{{"warning", "leftovers", "an earlier mesh has left " + plural(len(left), "app") + " running" + "\n" + strings.Join(names, "\n"), "the next `mesh up` ends them"}}
}
