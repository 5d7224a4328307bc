//go:build !linux

package workspace

import "errors"

// Mapped is a view of the workspace that only Linux has.
type Mapped struct{}

// Map is for engines that share their kernel with the runner.
func (w *Workspace) Map(int, int) (*Mapped, error) {
	return nil, errors.New("only Linux can show it as the agent's")
}

// Path is empty.
func (m *Mapped) Path() string { return "" }

// Close does nothing.
func (m *Mapped) Close() error { return nil }
