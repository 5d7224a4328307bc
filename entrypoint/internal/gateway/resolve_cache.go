package gateway

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// maxCached is how many names keep their answers: more than a build talks to.
	maxCached = 1024
	// maxTTL bounds how long an answer is believed.
	maxTTL = 5 * time.Minute
)

// answerCache keeps answers for their time to live. Addresses from it are checked like fresh ones: the check is the dial's.
type answerCache struct {
	max int

	mu      sync.Mutex
	entries map[string]cachedAnswer
}

type cachedAnswer struct {
	addrs   []netip.Addr
	expires time.Time
}

func newAnswerCache(limit int) *answerCache {
	return &answerCache{max: limit, entries: make(map[string]cachedAnswer)}
}

// get returns nil when nothing is known. The slice is shared: do not change it.
func (c *answerCache) get(name string, now time.Time) []netip.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[name]
	if !ok || !now.Before(e.expires) {
		return nil
	}
	return e.addrs
}

func (c *answerCache) put(name string, a answer, now time.Time) {
	if a.ttl <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.entries[name]; !known && len(c.entries) >= c.max {
		c.shrink(now)
	}
	c.entries[name] = cachedAnswer{addrs: a.addrs, expires: now.Add(a.ttl)}
}

// shrink forgets what has expired, or else everything: a name that is asked for again costs one lookup.
func (c *answerCache) shrink(now time.Time) {
	for name, e := range c.entries {
		if !now.Before(e.expires) {
			delete(c.entries, name)
		}
	}
	if len(c.entries) >= c.max {
		clear(c.entries)
	}
}
