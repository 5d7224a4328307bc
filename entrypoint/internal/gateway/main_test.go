package gateway

import (
	"os"
	"testing"
)

// TestMain is also the second process of the gateways under test, which start this very binary.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 {
		switch os.Args[1] {
		case ServeRole:
			os.Exit(Serve())
		case hostileRole:
			os.Exit(serveHostile())
		case markRole:
			os.Exit(serveMarks())
		}
	}
	os.Exit(m.Run())
}
