//go:build !linux

package mdnsresolve

// sharedLinks gives nothing: only Linux keeps packets with a TTL of 0 on the
// host and tells who is listening.
func sharedLinks(string) map[string]bool { return nil }
