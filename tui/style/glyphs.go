package style

// Glyphs are the signs of a theme. Each is exactly one cell wide.
type Glyphs struct {
	Leader, Follower, CatchUp, Elected, Down, Paused, Unknown, Starting string
	OK, Missing, Cursor, Pending, Up, DownArrow, Flat, Dot, Ellipsis    string
	Arrow, Left, Right, Timer, Vote, Branch, Last                       string
	BarLeft, BarRight                                                   string

	Spark  []string // from empty to full, rising
	Fill   []string // eighths of a cell, filling from the left; last is full
	Border Border   // of a pane
	Heavy  Border   // of the focused pane
}

// Border holds the eight pieces of a frame.
type Border struct{ TL, TR, BL, BR, H, V string }

func unicodeGlyphs() Glyphs {
	return Glyphs{
		Leader: "●", Follower: "○", CatchUp: "◐", Elected: "◆", Down: "✗", Paused: "‖", Unknown: "?", Starting: "◌",
		OK: "✓", Missing: "–", Cursor: "▸", Pending: "·", Up: "↗", DownArrow: "↘", Flat: "→", Dot: "·", Ellipsis: "…",
		Arrow: "→", Left: "←", Right: "→", Timer: "▸", Vote: "▲", Branch: "├", Last: "╰",
		BarLeft: "▕", BarRight: "▏",
		Spark:  []string{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"},
		Fill:   []string{" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"},
		Border: Border{"╭", "╮", "╰", "╯", "─", "│"},
		Heavy:  Border{"╔", "╗", "╚", "╝", "═", "║"},
	}
}

func asciiGlyphs() Glyphs {
	return Glyphs{
		Leader: "*", Follower: "o", CatchUp: "~", Elected: "^", Down: "x", Paused: "=", Unknown: "?", Starting: ".",
		OK: "v", Missing: "-", Cursor: ">", Pending: ".", Up: "/", DownArrow: "\\", Flat: "-", Dot: "|", Ellipsis: "~",
		Arrow: ">", Left: "<", Right: ">", Timer: ">", Vote: "^", Branch: "|", Last: "`",
		BarLeft: "[", BarRight: "]",
		Spark:  []string{"_", ".", ":", "-", "=", "+", "*", "#"},
		Fill:   []string{" ", " ", " ", ".", ".", ":", ":", "#", "#"},
		Border: Border{"+", "+", "+", "+", "-", "|"},
		Heavy:  Border{"#", "#", "#", "#", "=", "#"},
	}
}
