package socket

// FarEnd is what is known of the other side of a connection that sends no more.
type FarEnd uint8

// What is known of the other side.
const (
	FarUnknown FarEnd = iota // nothing: it may be on another host
	FarOpen                  // somebody still holds it and may read
	FarClosed                // nobody does
)
