// Package entrypoint has the roles of the binary that runs inside the containers: gateway, agent, collect.
//
// It imports nothing of the runner; the two speak package wire. Invariant: a role that cannot make sure of what it stands for (closed rules,
// a confined agent, the right layers) says why and ends, before anything of the agent's has run or been read.
package entrypoint
