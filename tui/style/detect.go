package style

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrBadOption says that a theme or colour option is not one of the known words.
var ErrBadOption = errors.New("style: unknown option")

// Options are what the user asked for; empty strings mean "auto".
type Options struct {
	Theme string // auto, dark, light, mono
	Color string // auto, always, never; wins over NO_COLOR
	ASCII bool
}

// Detect chooses a theme from the options and the environment alone. The
// terminal is not asked: on one that never answers, that costs seconds.
func Detect(o Options, env func(string) string) (Theme, error) {
	level, ascii := Colour, o.ASCII
	if env("NO_COLOR") != "" {
		level = Mono
	}
	if t := env("TERM"); t == "dumb" || t == "" {
		level, ascii = Mono, true
	}
	switch o.Color {
	case "", "auto":
	case "always":
		level = Colour
	case "never":
		level = Mono
	default:
		return Theme{}, fmt.Errorf("%w: color %q, want auto, always or never", ErrBadOption, o.Color)
	}
	light := false
	switch o.Theme {
	case "", "auto":
		light = lightBackground(env("COLORFGBG"))
	case "dark":
	case "light":
		light = true
	case "mono":
		level = Mono
	default:
		return Theme{}, fmt.Errorf("%w: theme %q, want auto, dark, light or mono", ErrBadOption, o.Theme)
	}
	return New(level, light, ascii), nil
}

// lightBackground reads COLORFGBG ("15;0", "0;default;15"): the last field is
// the palette number of the background; 7 and 9 to 15 are light.
func lightBackground(v string) bool {
	fields := strings.Split(v, ";")
	n, err := strconv.Atoi(fields[len(fields)-1])
	return err == nil && (n == 7 || n >= 9 && n <= 15)
}
