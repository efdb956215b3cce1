// Mesh runs a whole local mesh of services: every app of mesh.toml as a child
// process, each with a Dapr-compatible streaming sidecar in this process, and a
// terminal screen that shows their invocations chunk by chunk while they stream.
package main

func main() {}
