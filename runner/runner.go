// Package runner runs an agent in the sandbox and hands back what it changed and what it tried.
//
// Invariant: the agent starts only after the gateway has proved itself closed, its changes are read only when no process of it is left, and
// none is applied that the gate has not passed.
package runner
