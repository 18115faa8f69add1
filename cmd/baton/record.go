package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"baton/tui/record"
)

// recordFlags say where a run is recorded.
type recordFlags struct{ path string }

func (f *recordFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.path, "record", "", `record the run in this file; empty = a new file below $XDG_STATE_HOME/baton/runs, "off" = do not`)
}

// runsKept is how many recordings that got their names by themselves are kept.
const runsKept = 20

// recordSuffix ends the name of every recording.
const recordSuffix = ".baton"

// stateDir is where the console keeps what outlives it: $XDG_STATE_HOME/baton.
func stateDir() (string, error) {
	if d := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "baton"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find a place for recordings: %w; name a file with --record", err)
	}
	return filepath.Join(home, ".local", "state", "baton"), nil
}

// open begins a recording. It returns nil if none is wanted; a run whose
// recording got no name of its own goes on without one when that cannot be
// written, and says so.
func (f *recordFlags) open(h record.Header, warn io.Writer) (*record.Writer, error) {
	if f.path == "off" {
		return nil, nil
	}
	h.Product, h.Command, h.At = version(), strings.Join(os.Args, " "), time.Now()
	path := f.path
	if path == "" {
		dir, err := stateDir()
		if err != nil {
			fmt.Fprintln(warn, "baton: not recorded:", err)
			return nil, nil
		}
		path = filepath.Join(dir, "runs", h.At.Format("20060102-150405.000")+recordSuffix)
	}
	w, err := record.Create(record.Config{Path: path, Header: h})
	if err != nil && f.path == "" {
		fmt.Fprintln(warn, "baton: not recorded:", err)
		return nil, nil
	}
	if err != nil {
		return nil, exitError{exitUsage, err}
	}
	if f.path == "" {
		pruneRuns(filepath.Dir(path))
	}
	return w, nil
}

// pruneRuns removes the oldest recordings that got their names by themselves.
func pruneRuns(dir string) {
	files, _ := filepath.Glob(filepath.Join(dir, "2???????-??????.???"+recordSuffix))
	slices.Sort(files)
	for len(files) > runsKept {
		_ = os.Remove(files[0]) // it may be somebody's; then it stays
		files = files[1:]
	}
}

// closeRecord ends a recording and says how to look at it.
func closeRecord(w *record.Writer, to io.Writer) {
	if w == nil {
		return
	}
	if err := w.Close(); err != nil {
		fmt.Fprintln(to, "baton:", err)
		return
	}
	fmt.Fprintf(to, "recorded; look at it with: baton report %s, baton replay %s\n", w.Path(), w.Path())
}

// tee lets a source be recorded, if it is.
func tee(src record.Live, w *record.Writer) record.Live {
	if w == nil {
		return src
	}
	return record.Tee{Live: src, To: w}
}

// exportDir is where the console saves reports and pictures, "" if there is no place.
func exportDir() string {
	dir, err := stateDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "reports")
}
