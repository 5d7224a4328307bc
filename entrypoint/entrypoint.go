// Package entrypoint has the roles of the binary that runs inside the containers: gateway, agent, collect.
//
// It imports nothing of the runner; the two speak package wire.
package entrypoint
