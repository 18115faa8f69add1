package tui

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	tea "github.com/charmbracelet/bubbletea"

	"baton/tui/data"
	"baton/tui/report"
	"baton/tui/shot"
	"baton/tui/style"
)

// savedMsg says what was written, or why not.
type savedMsg struct {
	what string
	err  error
}

// file is one that is to be written.
type file struct {
	suffix  string
	content []byte
}

// export writes the report of the run as it is now, with a picture of the screen.
func (m *Model) export() {
	if !m.mayWrite() {
		return
	}
	s := m.snap()
	from := s.At
	if len(s.Events) > 0 {
		from = s.Events[0].At
	}
	r := report.Of(s, s.Events, from)
	js, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		m.say("export: "+err.Error(), true)
		return
	}
	files := []file{{".md", []byte(r.Markdown())}, {".json", append(js, '\n')}, {".svg", m.svg()}}
	m.save("report-"+s.At.Format("20060102-150405"), files)
}

// picture saves the screen.
func (m *Model) picture() {
	if m.mayWrite() {
		m.save("screen-"+m.snap().At.Format("20060102-150405.000"), []file{{".svg", m.svg()}, {".txt", []byte(m.View() + "\n")}})
	}
}

func (m *Model) mayWrite() bool {
	if m.cfg.ExportDir == "" || m.snap() == nil {
		m.say("nothing can be saved from here", false)
		return false
	}
	return true
}

// svg is the screen as a picture, without dialogs and messages.
func (m *Model) svg() []byte {
	clean := *m
	clean.dialogs, clean.flash, clean.input = nil, flash{}, nil
	clean.cfg.Theme = style.New(style.Colour, m.cfg.Theme.Light, m.cfg.Theme.ASCII)
	return shot.SVG(clean.View(), shot.Options{Title: m.cfg.Product + ": " + m.page().Name() + " of " + data.Clean(m.snap().Cluster), Cols: m.w, Rows: m.h, Light: m.cfg.Theme.Light})
}

// save writes files of one name outside Update; nothing is overwritten.
func (m *Model) save(name string, files []file) {
	dir := m.cfg.ExportDir
	m.cmds = append(m.cmds, func() tea.Msg {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return savedMsg{err: fmt.Errorf("create %s: %w", dir, err)}
		}
		base := filepath.Join(dir, name)
		for i := 2; ; i++ {
			if _, err := os.Stat(base + files[0].suffix); errors.Is(err, os.ErrNotExist) {
				break
			}
			base = filepath.Join(dir, fmt.Sprintf("%s-%d", name, i))
		}
		what := ""
		for _, f := range files {
			if err := os.WriteFile(base+f.suffix, f.content, 0o600); err != nil {
				return savedMsg{err: fmt.Errorf("save %s: %w", base+f.suffix, err)}
			}
			what += " " + f.suffix[1:]
		}
		return savedMsg{what: base + " (" + what[1:] + ")"}
	})
}

func (m *Model) saved(msg savedMsg) {
	if msg.err != nil {
		m.say(msg.err.Error(), true)
		return
	}
	m.say("saved "+msg.what, false)
}

// undoable is an action that can be taken back.
type undoable struct{ action, node string }

// undoLast takes the last action back.
func (m *Model) undoLast() {
	u := m.undo
	m.undo = undoable{}
	if u.action != "" {
		m.do(u.action, u.node)
	}
}
