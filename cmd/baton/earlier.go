package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"

	"baton/tui/data"
)

// earlierMax is how many failovers of earlier runs are remembered, of all
// actions and policies together.
const earlierMax = 500

// earlierFile is where they are, "" if there is no place.
func earlierFile() string {
	dir, err := stateDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "failovers.json")
}

// earlier returns the failovers of earlier runs. A file that cannot be read is
// as good as none: forecasts are then made from the rules alone.
func earlier() []data.Measured {
	b, err := os.ReadFile(earlierFile())
	var m []data.Measured
	if err != nil || json.Unmarshal(b, &m) != nil {
		return nil
	}
	return slices.DeleteFunc(m, func(m data.Measured) bool {
		_, known := data.VerbByName(m.Verb)
		return !known || m.Stall <= 0
	})
}

// learn remembers what was measured in a run that ends.
func learn(s *data.Snapshot) {
	fresh, file := s.Measure(), earlierFile()
	if len(fresh) == 0 || file == "" {
		return
	}
	all := append(earlier(), fresh...) // another demo may have ended meanwhile
	b, err := json.Marshal(all[max(0, len(all)-earlierMax):])
	if err != nil || os.MkdirAll(filepath.Dir(file), 0o700) != nil {
		return // it is a convenience: the console does without
	}
	if os.WriteFile(file+".new", b, 0o600) == nil {
		_ = os.Rename(file+".new", file)
	}
}
