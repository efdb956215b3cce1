//go:build !linux

package socket

// FarEnd says whether the other side of a connection, which has sent its end, has
// closed its socket or only its sending half. Here that cannot be found out.
func (c *Conn) FarEnd() FarEnd { return FarUnknown }
