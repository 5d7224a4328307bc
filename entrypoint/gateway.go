package entrypoint

import "io"

// Gateway is the role of the gateway container's PID 1; it returns the exit code.
func Gateway(version string, in io.Reader, out io.Writer) int { panic("todo") }
