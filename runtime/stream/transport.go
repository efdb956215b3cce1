package stream

// Transport is how calls to apps of the same mesh are carried.
type Transport string

// The transports.
const (
	Auto  Transport = "auto"  // in process when the peer lives here, else GRPC
	GRPC  Transport = "grpc"  // always over the wire, as streams
	Unary Transport = "unary" // always over the wire, whole bodies: the old way, to compare
)
