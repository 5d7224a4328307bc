// Package runner runs an agent in the sandbox and hands back what it changed and what it tried.
//
// Invariant: the agent starts only after the gateway has proved itself closed, and nothing of it reaches the host but what the
// gate has seen.
package runner
