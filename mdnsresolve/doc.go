// Package mdnsresolve announces sidecars and finds them by multicast DNS, in
// the form that Dapr's sidecars publish and understand.
//
// A sidecar of app "orders" is a service named "orders.local." whose port is
// its internal gRPC port and whose only TXT string is the app id. One
// Responder serves every sidecar of the process; it announces a name when it
// appears, says goodbye when it goes, answers queries from any process on the
// interface, and keeps a cache of what others announce that forgets a name as
// soon as its goodbye is heard.
package mdnsresolve
