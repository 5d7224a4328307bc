package gateway

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
)

func TestPoolKeepsOneAddressForEachName(t *testing.T) {
	p := newPool(1 << 10)
	seen := make(map[netip.Addr]string)
	for i := range 1 << 10 {
		name := fmt.Sprintf("n%d.example", i)
		a, ok := p.addr(name)
		if !ok || !synthetic().Contains(a) {
			t.Fatalf("addr(%s) = %s, %t", name, a, ok)
		}
		if other, taken := seen[a]; taken {
			t.Fatalf("%s was given to %s and %s", a, other, name)
		}
		seen[a] = name
	}
	for a, name := range seen {
		if again, _ := p.addr(name); again != a {
			t.Errorf("%s has moved from %s to %s", name, a, again)
		}
		if got, ok := p.name(a); !ok || got != name {
			t.Errorf("name(%s) = %s, %t; want %s", a, got, ok, name)
		}
	}
}

func TestPoolEndsAtItsLimitAndKeepsServingWhatItHas(t *testing.T) {
	p := newPool(2)
	first, _ := p.addr("a.example")
	p.addr("b.example")
	if a, ok := p.addr("c.example"); ok {
		t.Errorf("a third name got %s", a)
	}
	if a, ok := p.addr("a.example"); !ok || a != first {
		t.Errorf("addr(a.example) = %s, %t after the end; want %s", a, ok, first)
	}
}

func TestPoolFillsTheRangeAndNoMore(t *testing.T) {
	p := newPool(1 << 20)
	n := 0
	for ; ; n++ {
		a, ok := p.addr(fmt.Sprint(n))
		if !ok {
			break
		}
		if !synthetic().Contains(a) {
			t.Fatalf("name %d got %s", n, a)
		}
	}
	if n != 1<<17-2 {
		t.Errorf("%d names fitted, want %d", n, 1<<17-2)
	}
}

func TestPoolKnowsNoAddressThatItDidNotGive(t *testing.T) {
	p := newPool(10)
	given, _ := p.addr("a.example")
	for _, s := range []string{"198.18.0.0", "198.18.0.2", "198.19.255.255", "198.17.255.255", "198.20.0.0", "127.0.0.1", "::1", "::ffff:198.18.0.1"} {
		if name, ok := p.name(netip.MustParseAddr(s)); ok {
			t.Errorf("%s belongs to %s", s, name)
		}
	}
	if name, ok := p.name(given); !ok {
		t.Errorf("%s belongs to nobody, %q", given, name)
	}
}

func TestPoolIsSafeForConcurrentUse(t *testing.T) {
	p := newPool(100)
	var got [8][100]netip.Addr
	var all sync.WaitGroup
	for g := range got {
		all.Go(func() {
			for i := range got[g] {
				got[g][i], _ = p.addr(fmt.Sprintf("n%d.example", i))
			}
		})
	}
	all.Wait()
	for g := range got {
		if got[g] != got[0] {
			t.Error("two goroutines got different addresses for one name")
		}
	}
}
