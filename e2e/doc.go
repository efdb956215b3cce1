// Package e2e tests the built binary as its users use it: in a project folder,
// with real child processes, real sockets and real signals. It holds no code of
// its own beyond its tests.
package e2e
