package entrypoint

// Agent is the role of the agent container's first process; it returns the exit code.
func Agent() int { panic("todo") }
