// Package mdnsresolve announces sidecars and finds them by multicast DNS, in
// the form that Dapr's sidecars publish and understand.
//
// A sidecar of app "orders" is a service named "orders.local." whose port is
// its internal gRPC port and whose only TXT string is the app id. One
// Responder serves every sidecar of the process; it announces a name when it
// appears, says goodbye when it goes, answers queries from any process on the
// interface, and keeps a cache of what others announce that forgets a name as
// soon as its goodbye is heard.
//
// Several processes of one host share the port 5353, and a packet to one
// address reaches only one of them. So everything is said to the group, on
// every interface in use, and whoever asks for an answer to itself gets that
// besides. On the loopback interface nothing leaves the host; where another
// responder of the host has joined the group on a real interface, as Dapr's
// sidecars do, it is met there with packets that the kernel does not send out.
//
// A packet's way: sockets read it, take decides whether its sender is to be
// heard, answer or learn does what it says. The cache is plain data that takes
// the time as an argument; the agenda does whatever is due later.
package mdnsresolve
