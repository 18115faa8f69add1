package clustertest

import (
	"testing"

	"baton/zkclient/ensemble/porttest"
)

// FreeBase returns a base port for a cluster of up to six processes of a kind:
// it and the 59 that follow are the test's.
func FreeBase(t *testing.T) int {
	t.Helper()
	return porttest.Base(t, 60)
}
