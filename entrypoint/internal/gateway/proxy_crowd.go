package gateway

import (
	"container/list"
	"net"
	"sync"
)

// spareConns are places over the bound, for connections that are on their way out: their processes may still be searched for.
const spareConns = 2048

// crowd knows how many connections are open, and which of them wait for their client to say something. Silence costs an agent nothing, so
// that it may not keep others out: when there are too many, the one that has been silent for longest goes.
type crowd struct {
	mu     sync.Mutex
	open   int
	silent *list.List // of *net.TCPConn, the longest first
	places map[*net.TCPConn]*list.Element
	ended  map[*net.TCPConn]bool // made room, and is on its way out
}

func newCrowd() *crowd {
	return &crowd{silent: list.New(), places: map[*net.TCPConn]*list.Element{}, ended: map[*net.TCPConn]bool{}}
}

// enter counts a connection, which is silent at first. Over the limit it ends another silent one; where there is none, it returns false.
func (c *crowd) enter(conn *net.TCPConn, limit int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open++
	if c.open > limit {
		longest := c.silent.Front()
		if longest == nil {
			return false
		}
		if other, ok := longest.Value.(*net.TCPConn); ok {
			c.forget(other)
			c.ended[other] = true
			abort(other) // its own goroutine records it
		}
	}
	c.places[conn] = c.silent.PushBack(conn)
	return true
}

// leave ends what enter began.
func (c *crowd) leave(conn *net.TCPConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open--
	c.forget(conn)
	delete(c.ended, conn)
}

// waits says that a connection is silent from now on, or that it is no longer.
func (c *crowd) waits(conn *net.TCPConn, silent bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget(conn)
	if silent && !c.ended[conn] {
		c.places[conn] = c.silent.PushBack(conn)
	}
}

func (c *crowd) forget(conn *net.TCPConn) {
	if e := c.places[conn]; e != nil {
		c.silent.Remove(e)
		delete(c.places, conn)
	}
}
