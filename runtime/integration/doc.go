// Package integration tests building blocks the whole way, against real servers
// which the tests start: an app calls its sidecar's API, a component does its
// work on the server, and what comes of it is delivered to another app. It
// holds no code of its own beyond its tests.
package integration
