package gateway

import (
	"net/netip"

	"github.com/yolo-run/yolo-run/reports"
)

// recorder takes every decision. Record never blocks for long and is safe for concurrent use. A zero Time is set by it, a zero Count is 1.
type recorder interface {
	Record(reports.Event)
}

// attributor finds the process that owns a socket of the agent's: best effort, nil when it cannot be found.
// network is "tcp" or "udp"; local is the address that the agent's socket is bound to (its source address as the gateway sees it),
// remote is what the agent connected to (the original destination).
type attributor interface {
	Process(network string, local, remote netip.AddrPort) *reports.Process
}
