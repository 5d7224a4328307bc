package entrypoint

import "io"

// Collect is the role of the collector container; it returns the exit code.
func Collect(in io.Reader, out io.Writer) int { panic("todo") }
