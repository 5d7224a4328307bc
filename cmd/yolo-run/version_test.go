package main

import (
	"maps"
	"testing"
)

func TestImageNames(t *testing.T) {
	got := imageNames("gateway=registry.example.com/gateway@sha256:0a,base=registry.example.com/base:1")
	want := map[string]string{"gateway": "registry.example.com/gateway@sha256:0a", "base": "registry.example.com/base:1"}
	if !maps.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	if got := imageNames(""); len(got) != 0 {
		t.Errorf("nothing was set, got %v", got)
	}
}
