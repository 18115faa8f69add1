package stompserver_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// testsIn returns the names of the tests of a package of this repository.
func testsIn(t *testing.T, pkg string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(pkg), "*_test.go"))
	require.NoError(t, err)
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	names := map[string]bool{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range declared.FindAllSubmatch(b, -1) {
			names[string(m[1])] = true
		}
	}
	return names
}

// Every row of FEATURES.md names the tests behind it, and they exist.
func TestFeaturesAreTested(t *testing.T) {
	b, err := os.ReadFile("FEATURES.md")
	require.NoError(t, err)
	named := regexp.MustCompile("`([a-z/]+) (Test\\w+)`")
	known := map[string]map[string]bool{}
	rows := 0
	for line := range strings.Lines(string(b)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| feature") || strings.HasPrefix(line, "| ---") {
			continue
		}
		rows++
		tests := named.FindAllStringSubmatch(cells[len(cells)-1], -1)
		require.NotEmpty(t, tests, "no test behind: %s", line)
		for _, m := range tests {
			if known[m[1]] == nil {
				known[m[1]] = testsIn(t, m[1])
			}
			require.True(t, known[m[1]][m[2]], "there is no test %s in %s: %s", m[2], m[1], line)
		}
	}
	require.Greater(t, rows, 50)
}
